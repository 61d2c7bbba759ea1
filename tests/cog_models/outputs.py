"""What a model may return or yield, and how it looks in JSON."""

from tests.cog_models.row import fails, gives, predicts, row

_RECORD = """
from cog import BaseModel
class Segment(BaseModel):
    start: float
    text: Optional[str] = None
class Output(BaseModel):
    segments: List[Segment]
    file: Optional[Path] = None
    count: int = 0
"""
_DEEP = "value = 1\nfor _ in range({}):\n    value = [value]\nreturn value"


def nested(levels: int) -> object:
    value: object = 1
    for _ in range(levels):
        value = [value]
    return value


ROWS = [
    predicts("false", "(self) -> bool", "return False", gives(False)),
    predicts("zero", "(self) -> float", "return 0.0", gives(0.0)),
    predicts("empty", "(self) -> str", "return ''", gives("")),
    predicts("none", "(self) -> str", "return None", gives(None)),
    predicts("nothing", "(self) -> None", "pass", gives(None)),
    predicts("any", "(self) -> Any", "return {'a': (1, 2)}", gives({"a": [1, 2]})),
    predicts("unannotated", "(self)", "return {1: {3}}", gives({"1": [3]})),
    predicts("unannotated-generator", "(self)", "yield 'a'\nyield 'b'", gives(["a", "b"])),
    predicts("returned-generator", "(self)", "return (str(n) for n in range(3))", gives(["0", "1", "2"])),
    predicts("returned-iterator", "(self) -> Iterator[str]", "return iter(['a', 'b'])", gives(["a", "b"])),
    predicts("returned-list-for-iterator", "(self) -> Iterator[str]", "return ['a', 'b']", gives(["a", "b"])),
    predicts("generator-annotated-list", "(self) -> List[str]", "yield 'a'\nyield 'b'", gives(["a", "b"])),
    predicts("generator-type", "(self) -> Generator[str, None, None]", "yield 'a'", gives(["a"])),
    predicts("empty-texts", "(self) -> ConcatenateIterator[str]", "yield ''\nyield ''", gives(["", ""])),
    predicts("concatenate-bare", "(self) -> ConcatenateIterator", "yield 'a'", gives(["a"])),
    predicts("no-items", "(self) -> Iterator[str]", "return\nyield", gives([])),
    predicts("none-items", "(self) -> Iterator[Any]", "yield None\nyield 0\nyield False", gives([None, 0, False])),
    predicts("async", "async (self) -> str", "await asyncio.sleep(0); return 'a'", gives("a"), before="import asyncio"),
    predicts("async-generator", "async (self) -> AsyncIterator[str]", "yield 'a'\nyield 'b'", gives(["a", "b"])),
    predicts(
        "async-concatenate", "async (self) -> AsyncConcatenateIterator[str]", "yield 'a'\nyield ''", gives(["a", ""])
    ),
    predicts("async-unannotated", "async (self)", "yield 1", gives([1])),
    predicts(
        "async-raises-late",
        "async (self) -> AsyncIterator[str]",
        "for n in range(3):\n    yield str(n)\nraise ValueError('late')",
        fails("late", ["0", "1", "2"]),
    ),
    predicts("raises-late", "(self) -> Iterator[str]", "yield 'a'\nraise ValueError('late')", fails("late", ["a"])),
    predicts(
        "returns-coroutine",
        "(self) -> str",
        "return later()",
        fails("type coroutine"),
        before="async def later():\n    return 'a'",
    ),
    predicts(
        "optional-out",
        "(self, a: bool = True) -> Optional[str]",
        "return None if a else 'x'",
        gives(None),
        gives("x", a=False),
    ),
    predicts("pep604-out", "(self) -> str | None", "return 'x'", gives("x"), since=10),
    predicts("literal-out", "(self) -> Literal['a', 'b']", "return 'b'", gives("b")),
    predicts("union-out", "(self) -> Union[str, List[int]]", "return [1]", gives([1])),
    predicts("one-of-list", "(self) -> List[str]", "return ['a']", gives(["a"])),
    predicts("tuple", "(self) -> Tuple[str, int]", "return 'a', 1", gives(["a", 1])),
    predicts(
        "enum-out",
        "(self) -> Any",
        "return [Colour.RED, {'c': Colour.RED}]",
        gives(["red", {"c": "red"}]),
        before="import enum\nclass Colour(enum.Enum):\n    RED = 'red'",
    ),
    predicts(
        "enum-key",
        "(self) -> dict",
        "return {Colour.RED: 1, Plain.ONE: 2}",
        gives({"red": 1, "1": 2}),
        before="import enum\nclass Colour(str, enum.Enum):\n    RED = 'red'\nclass Plain(enum.Enum):\n    ONE = 1",
    ),
    predicts(
        "odd-keys",
        "(self) -> dict",
        "return {None: 'b', True: 'c', 1.5: 'd', Path('x'): [{Path('y'): Path('z')}]}",
        fails("names the file z"),
    ),
    predicts(
        "plain-keys",
        "(self) -> dict",
        "return {None: 'b', True: 'c', 1.5: 'd', Path('x'): ({2: 'e'},)}",
        gives({"null": "b", "true": "c", "1.5": "d", "x": [{"2": "e"}]}),
    ),
    predicts(
        "keys-and-files",
        "(self) -> dict",
        "Path('o').write_text('x'); return {Path('a'): Path('o'), 'b': Path('o')}",
        gives({"a": "x", "b": "x"}),
    ),
    predicts("tuple-key", "(self) -> dict", "return {(1, 2): 'a'}", fails("key of type tuple")),
    predicts("key-and-generator", "(self) -> dict", "return {'a': iter([1]), Path('x'): 1}", fails("keys must be")),
    row(
        "numpy-keys",
        """
        class Predictor(BasePredictor):
            def predict(self) -> dict:
                import numpy
                return {numpy.int64(3): numpy.float64(0.5)}
        """,
        gives({"3": 0.5}),
        package="numpy",
    ),
    predicts(
        "numbers-as-enums",
        "(self) -> list",
        "return [Level.LOW, Level.LOW + 1]",
        gives([1, 2]),
        before="import enum\nclass Level(enum.IntEnum):\n    LOW = 1",
    ),
    predicts(
        "dataclass",
        "(self) -> Any",
        "return Point(1, [Point(2)])",
        gives({"x": 1, "y": [{"x": 2, "y": None}]}),
        before="import dataclasses\n@dataclasses.dataclass\nclass Point:\n    x: int\n    y: Any = None",
    ),
    predicts(
        "slots",
        "(self) -> Any",
        "return Point(1)",
        gives({"x": 1}),
        before="import dataclasses\n@dataclasses.dataclass(frozen=True)\nclass Point:\n    __slots__ = ('x',)\n    x: int",
    ),
    predicts(
        "named-tuple",
        "(self) -> Any",
        "return Point(1, 2)",
        gives([1, 2]),
        before="class Point(NamedTuple):\n    x: int\n    y: int",
    ),
    predicts(
        "typed-dict-out",
        "(self) -> Result",
        "return {'n': 1}",
        gives({"n": 1}),
        before="class Result(TypedDict):\n    n: int",
    ),
    predicts(
        "times",
        "(self) -> Any",
        "return [datetime.date(2026, 1, 2), datetime.timedelta(seconds=1.5)]",
        gives(["2026-01-02", 1.5]),
        before="import datetime",
    ),
    predicts(
        "decimal-uuid",
        "(self) -> Any",
        "return [decimal.Decimal('1.5'), uuid.UUID(int=0)]",
        gives([1.5, "00000000-0000-0000-0000-000000000000"]),
        before="import decimal, uuid",
    ),
    predicts("bytes", "(self) -> Any", "return [b'text', bytearray(b'more')]", gives(["text", "more"])),
    predicts("bytes-no-text", "(self) -> Any", "return b'\\xff'", fails("bytes that are no text")),
    predicts("sets", "(self) -> Any", "return [{1}, frozenset(['a']), range(2)]", gives([[1], ["a"], [0, 1]])),
    predicts("nan", "(self) -> float", "return float('nan')", fails("NaN or Infinity")),
    predicts("infinity", "(self) -> Iterator[Any]", "yield 1\nyield [float('-inf')]", fails("NaN or Infinity", [1])),
    predicts("cycle", "(self) -> Any", "a = []; a.append(a); return a", fails("contains itself")),
    predicts(
        "cyclic-record",
        "(self) -> Any",
        "a = types.SimpleNamespace(); a.a = a; return a",
        fails("contains itself"),
        before="import types",
    ),
    predicts("deep", "(self) -> Any", _DEEP.format(100), gives(nested(100))),
    predicts("too-deep", "(self) -> Any", _DEEP.format(101), fails("nested too deeply")),
    predicts("far-too-deep", "(self) -> Any", _DEEP.format(100_000), fails("nested too deeply")),
    predicts("broad", "(self) -> Any", "return [[{}] for _ in range(300)]", gives([[{}]] * 300)),
    predicts(
        "brackets-in-text", "(self) -> str", "return '[' * 500 + '\"' + '{' * 500", gives("[" * 500 + '"' + "{" * 500)
    ),
    predicts("huge-number", "(self) -> int", "return 2 ** 200", gives(2**200)),
    predicts("far-too-huge-number", "(self) -> int", "return 10 ** 5000", fails("digits")),
    predicts("object", "(self) -> Any", "return object()", fails("type object")),
    predicts("function", "(self) -> Any", "return {'f': print}", fails("cannot be expressed")),
    predicts("class", "(self) -> Any", "return [int]", fails("cannot be expressed")),
    predicts("lone-surrogate", "(self) -> str", "return 'a\\ud800b'", gives("a\N{REPLACEMENT CHARACTER}b")),
    predicts("secret-out", "(self, a: Secret) -> Secret", "return a", gives("sesame", a="sesame")),
    predicts(
        "record",
        "(self) -> Output",
        "return Output(segments=[Segment(start=1.5, text='a')])",
        gives({"segments": [{"start": 1.5, "text": "a"}], "file": None, "count": 0}),
        before=_RECORD,
    ),
    predicts(
        "record-file",
        "(self) -> Output",
        "p = Path('o.txt'); p.write_text('x'); return Output(segments=[], file=p)",
        gives({"segments": [], "file": "x", "count": 0}),
        before=_RECORD,
    ),
    predicts(
        "records-with-files",
        "(self) -> Iterator[Output]",
        "for n in range(2):\n    Path('o.txt').write_text(str(n))\n    yield Output(segments=[], file=Path('o.txt'))",
        gives([{"segments": [], "file": str(n), "count": 0} for n in range(2)]),
        before=_RECORD,
    ),
    predicts(
        "record-list",
        "(self) -> List[Segment]",
        "return [Segment(start=0.5)]",
        gives([{"start": 0.5, "text": None}]),
        before=_RECORD,
    ),
    predicts(
        "foreign-model",
        "(self) -> Any",
        "return Thing()",
        gives({"a": 1}),
        before="class Thing:\n    def model_dump(self, **options):\n        return {'a': 1}",
    ),
    predicts(
        "array",
        "(self) -> Any",
        "return {'a': Array(), 's': Scalar()}",
        gives({"a": [1, 2], "s": 1.5}),
        before="class Array:\n    def tolist(self):\n        return [1, 2]\nclass Scalar:\n    def item(self):\n        return 1.5",
    ),
    row(
        "numpy",
        """
        class Predictor(BasePredictor):
            def predict(self) -> Any:
                import numpy
                return [numpy.float32(1.5), numpy.int64(2), numpy.bool_(True), numpy.zeros((1, 2)), numpy.array("a")]
        """,
        gives([1.5, 2, True, [[0.0, 0.0]], "a"]),
        package="numpy",
    ),
    row(
        "numpy-nan",
        """
        class Predictor(BasePredictor):
            def predict(self) -> Any:
                import numpy
                return numpy.array([numpy.nan])
        """,
        fails("NaN or Infinity"),
        package="numpy",
    ),
    row(
        "pydantic",
        """
        import pydantic
        class Inner(pydantic.BaseModel):
            path: Any
        class Outer(pydantic.BaseModel):
            inner: Optional[Inner] = None
            n: int = pydantic.Field(1, ge=0)
        class Predictor(BasePredictor):
            def predict(self) -> Outer:
                with open("a.txt", "w") as file:
                    file.write("x")
                return Outer(inner=Inner(path=Path("a.txt")))
        """,
        gives({"inner": {"path": "x"}, "n": 1}),
        package="pydantic",
    ),
]
