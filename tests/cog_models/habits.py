"""What models do to themselves and to the Python around them, and what seldom stands in a signature."""

from tests.cog_models.row import fails, gives, predicts, refuses, row

_MANIFEST = 'build:\n  python_version: "3.11"\npredict: "{}"\n'

ROWS = [
    row(
        "partial",
        """
        import functools
        def base(a: str, suffix: str) -> str:
            return a + suffix
        predict = functools.partial(base, suffix="!")
        """,
        gives("x!", a="x"),
        cog_yaml=_MANIFEST.format("predict.py:predict"),
    ),
    row(
        "partial-method",
        """
        import functools
        class Predictor(BasePredictor):
            def base(self, a: str, suffix: str = "?") -> str:
                return a + suffix
            predict = functools.partialmethod(base, suffix="!")
        """,
        gives("x!", a="x"),
    ),
    predicts(
        "default-mutated",
        "(self, a: List[str] = Input(default=['a'])) -> List[str]",
        "a.append('b')\nreturn a",
        gives(["a", "b"]),
        gives(["a", "b"]),
    ),
    predicts(
        "default-mutated-plain",
        "(self, a: dict = {'n': 1}) -> dict",
        "a['n'] += 1\nreturn a",
        gives({"n": 2}),
        gives({"n": 2}),
    ),
    predicts(
        "list-of-literals",
        "(self, a: List[Literal['x', 'y']] = ['x']) -> List[str]",
        "return a",
        gives(["x"]),
        gives(["y"], a=["y"]),
        refuses("must be one of", a=["z"]),
    ),
    predicts(
        "optional-literal",
        "(self, a: Optional[Literal['x', 'y']] = None) -> str",
        "return str(a)",
        gives("None"),
        gives("y", a="y"),
        gives("None", a=None),
        refuses("must be one of", a="z"),
    ),
    predicts(
        "optional-bounded",
        "(self, a: Optional[int] = Input(default=None, ge=0)) -> str",
        "return str(a)",
        gives("None"),
        gives("1", a=1),
        gives("None", a=None),
        refuses("greater", a=-1),
    ),
    predicts(
        "choices-generator",
        "(self, a: str = Input(default='x', choices=(c for c in 'xy'))) -> str",
        "return a",
        gives("x"),
        gives("y", a="y"),
        refuses("must be one of", a="z"),
    ),
    predicts(
        "choices-none-default",
        "(self, a: str = Input(default=None, choices=['x', 'y'])) -> str",
        "return str(a)",
        gives("None"),
        gives("x", a="x"),
    ),
    predicts(
        "nested-containers",
        "(self, a: List[Dict[str, List[int]]] = [{'n': [1]}]) -> List[Dict[str, List[int]]]",
        "return a",
        gives([{"n": [1]}]),
        gives([{"m": [2, 3]}], a=[{"m": [2, 3]}]),
    ),
    predicts(
        "new-type", "(self, a: Prompt) -> str", "return a", gives("x", a="x"), before="Prompt = NewType('Prompt', str)"
    ),
    predicts(
        "annotated-optional",
        "(self, a: Annotated[Optional[int], Input(ge=1)] = None) -> str",
        "return str(a)",
        gives("None"),
        gives("3", a=3),
        refuses("greater", a=0),
        since=9,
    ),
    predicts(
        "name-input",
        "(self, input: str, id: int = 1, files: list = [], context: str = 'c', prediction_id: str = 'p', cls: str = 'k') -> str",
        "return f'{input}{id}{files}{context}{prediction_id}{cls}'",
        gives("a1[]cpk", input="a"),
        gives("a2['f']dqm", input="a", id=2, files=["f"], context="d", prediction_id="q", cls="m"),
    ),
    predicts("name-unicode", "(self, größe: int = 1) -> int", "return größe", gives(1), gives(2, größe=2)),
    predicts(
        "containers-out",
        "(self) -> Any",
        "return [range(2), {1: 2}.keys(), map(str, [1]), C.deque([1]), C.OrderedDict(a=1), C.Counter('aa'), C.ChainMap({'a': 1}), types.MappingProxyType({'a': 1}), C.UserDict(a=1), C.UserList([1])]",
        gives([[0, 1], [1], ["1"], [1], {"a": 1}, {"a": 2}, {"a": 1}, {"a": 1}, {"a": 1}, [1]]),
        before="import collections as C, types",
    ),
    predicts(
        "subclasses-out",
        "(self) -> Any",
        "return [Text('a'), Whole(1), Real(1.5), Few([1]), Pairs(a=1)]",
        gives(["a", 1, 1.5, [1], {"a": 1}]),
        before="import collections as C\nclass Text(str): ...\nclass Whole(int): ...\nclass Real(float): ...\nclass Few(list): ...\nclass Pairs(dict): ...",
    ),
    predicts(
        "scandir-out",
        "(self) -> List[Path]",
        "d = tempfile.mkdtemp()\nopen(d + '/a.txt', 'w').write('a')\nreturn list(os.scandir(d))",
        gives(["a"]),
        before="import os, tempfile",
    ),
    predicts(
        "zip-member-out",
        "(self) -> Path",
        "b = io.BytesIO()\nwith zipfile.ZipFile(b, 'w') as z: z.writestr('in/a.txt', 'words')\nreturn zipfile.ZipFile(b).open('in/a.txt')",
        gives("words"),
        before="import io, zipfile",
    ),
    predicts(
        "gzip-out",
        "(self) -> Path",
        "p = tempfile.mkdtemp() + '/a.txt.gz'\nwith gzip.open(p, 'wt') as f: f.write('words')\nreturn gzip.open(p)",
        gives("words"),
        before="import gzip, tempfile",
    ),
    predicts("key-error", "(self) -> str", "return {}['gone']", fails("'gone'")),
    predicts(
        "str-of-none",
        "(self) -> str",
        "raise Odd()",
        fails(""),
        before="class Odd(Exception):\n    def __str__(self):\n        return None",
    ),
    predicts(
        "cause-cycle",
        "(self) -> str",
        "a, b = ValueError('a'), ValueError('b')\na.__cause__, b.__cause__ = b, a\nraise a",
        fails("a"),
    ),
    predicts(
        "alarm",
        "(self) -> str",
        "signal.signal(signal.SIGALRM, ring)\nsignal.setitimer(signal.ITIMER_REAL, 0.05)\ntry:\n    time.sleep(20)\nexcept TimeoutError:\n    return 'rang'",
        gives("rang"),
        gives("rang"),
        before="import signal, time\ndef ring(*_):\n    raise TimeoutError",
    ),
    predicts(
        "usr1",
        "(self) -> str",
        "signal.signal(signal.SIGUSR1, lambda *_: None)\nos.kill(os.getpid(), signal.SIGUSR1)\nreturn 'x'",
        gives("x"),
        gives("x"),
        before="import os, signal",
    ),
    row(
        "context-of-setup",
        """
        import contextvars, threading
        var, local = contextvars.ContextVar("v"), threading.local()
        class Predictor(BasePredictor):
            def setup(self):
                var.set("set")
                local.x = "kept"
            def predict(self) -> str:
                return var.get() + local.x
        """,
        gives("setkept"),
        gives("setkept"),
    ),
    predicts(
        "get-event-loop",
        "(self) -> str",
        "return asyncio.get_event_loop().run_until_complete(later())",
        gives("a"),
        gives("a"),
        before="import asyncio, warnings\nwarnings.simplefilter('ignore')\nasync def later():\n    return 'a'",
    ),
    predicts(
        "executor-in-async",
        "async (self) -> str",
        "return await asyncio.get_running_loop().run_in_executor(None, work)",
        gives("a", logs="in a thread"),
        before="import asyncio\ndef work():\n    print('in a thread')\n    return 'a'",
    ),
    predicts(
        "warnings-are-errors",
        "(self, a: Path) -> Path",
        "p = tempfile.mkdtemp() + '/b.txt'\nwith open(p, 'w') as f: f.write(a.read_text())\nreturn Path(p)",
        gives("x", a="data:,x"),
        before="import tempfile, warnings\nwarnings.simplefilter('error')",
    ),
    predicts(
        "path-replaced-files",
        "(self, a: Path) -> Path",
        "return a",
        gives("x", a="data:,x"),
        before="import sys\nsys.path = ['nowhere']",
    ),
    predicts(
        "environment-cleared",
        "(self, a: str = 'x') -> Path",
        "with tempfile.NamedTemporaryFile('w', delete=False) as f: f.write(a)\nreturn Path(f.name)",
        gives("x"),
        gives("y", a="y"),
        before="import os, tempfile\nos.environ.clear()",
    ),
    predicts(
        "patched-builtins",
        "(self, a: Path) -> Path",
        "return a",
        gives("x", a="data:,x"),
        before="import builtins, json, time, os\njson.dumps = json.loads = lambda *a, **k: 'no'\nbuiltins.print = lambda *a, **k: None\ntime.perf_counter = time.time = lambda: 0.0",
    ),
    predicts(
        "umask",
        "(self) -> Path",
        "os.umask(0o777)\nd = tempfile.mkdtemp()\nwith open(d + '/a.txt', 'w') as f: f.write('x')\nreturn Path(d + '/a.txt')",
        gives("x"),
        gives("x"),
        before="import os, tempfile",
    ),
    predicts(
        "descriptors",
        "(self) -> str",
        "resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16))\nreturn 'x'",
        gives("x"),
        gives("x"),
        before="import resource",
    ),
    predicts(
        "closes-all", "(self) -> str", "os.closerange(3, 256)\nreturn 'x'", fails(""), fails(""), before="import os"
    ),
    row(
        "replaced-in-setup",
        """
        class Predictor(BasePredictor):
            def setup(self):
                inner = self.predict
                self.predict = lambda **given: "wrapped " + inner(**given)
            def predict(self, a: str = "x") -> str:
                return a
        """,
        gives("wrapped x"),
        gives("wrapped y", a="y"),
    ),
    row(
        "setup-extra",
        """
        class Predictor(BasePredictor):
            def setup(self, weights: Optional[Path] = None, **extra):
                self.seen = repr((weights, extra))
            def predict(self) -> str:
                return self.seen
        """,
        gives("(None, {})"),
    ),
    row(
        "dashed-file",
        """
        class Predictor(BasePredictor):
            def predict(self) -> str:
                return "unused"
        """,
        gives("dashed"),
        cog_yaml=_MANIFEST.format("my-model.v2.py:Predictor"),
        **{
            "my-model.v2.py": "from cog import BasePredictor\nclass Predictor(BasePredictor):\n    def predict(self) -> str:\n        return 'dashed'\n"
        },
    ),
    row(
        "looks-at-itself",
        """
        import inspect, os
        from pathlib import Path as P
        class Predictor(BasePredictor):
            def predict(self) -> str:
                assert "looks at" in inspect.getsource(type(self)), "looks at"
                return os.path.basename(__file__) + type(self).__module__ + P(__file__).parent.joinpath("words.txt").read_text()
        """,
        gives("predict.pypredictwords"),
        **{"words.txt": "words"},
    ),
    row(
        "made-by-new",
        """
        class Predictor:
            __slots__ = ("n",)
            def __new__(cls, *a):
                made = super().__new__(cls)
                made.n = 1
                return made
            def predict(self) -> int:
                self.n += 1
                return self.n
        """,
        gives(2),
        gives(3),
    ),
    row(
        "record-of-names",
        """
        from cog import BaseModel
        class Inner(BaseModel):
            json: str = "j"
            copy: int = 1
            dict: List[str] = []
        class Out(BaseModel):
            inner: Optional[Inner] = None
            file: Optional[Path] = None
            items: Dict[str, Inner] = {}
            @property
            def size(self):
                return len(self.items)
        class Predictor(BasePredictor):
            def predict(self, a: bool = False) -> Out:
                return Out(inner=Inner(), items={"a": Inner(copy=2)}) if a else Out()
        """,
        gives({"inner": None, "file": None, "items": {}}),
        gives(
            {
                "inner": {"json": "j", "copy": 1, "dict": []},
                "file": None,
                "items": {"a": {"json": "j", "copy": 2, "dict": []}},
            },
            a=True,
        ),
    ),
    row(
        "secret-printed",
        """
        class Predictor(BasePredictor):
            def predict(self, key: Secret) -> str:
                print(f"key={key} {key!r}")
                return str(len(key.get_secret_value()))
        """,
        gives("6", logs="**********", key="sesame"),
    ),
    row(
        "delegates",
        """
        class Predictor:
            def setup(self):
                self.model = "abc"
            def __getattr__(self, name):
                return getattr(self.model, name)
            def run(self) -> str:
                return self.upper()
        """,
        gives("ABC"),
    ),
    row(
        "knows-any-name",
        """
        class Predictor:
            def __getattr__(self, name):
                return lambda *_: 1 / 0
            async def predict(self) -> str:
                return "x"
        """,
        gives("x"),
    ),
    predicts(
        "union-of-literal",
        "(self, size: Union[int, Literal['auto']] = 'auto', more: List[Union[Literal[1, 2], str]] = []) -> str",
        "return f'{size!r}{more}'",
        gives("'auto'[]"),
        gives("3[1, 'x']", size=3, more=[1, "x"]),
        refuses("size", size="large"),
        refuses("more", more=[3]),
    ),
    row(
        "numpy-choices",
        """
        import numpy
        class Predictor:
            def predict(
                self,
                a: int = Input(choices=numpy.arange(1, 3), default=numpy.int64(2)),
                b: str = Input(choices=numpy.array(["x", "y"])),
                c: float = numpy.float32(0.5),
            ) -> str:
                return f"{a!r}{b!r}{c!r}"
        """,
        gives("2'x'0.5", b="x"),
        gives("1'y'1.5", a=1, b="y", c=1.5),
        refuses("must be one of", a=3, b="x"),
        package="numpy",
    ),
]
