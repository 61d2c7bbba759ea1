"""What a parameter may be, and what is made of a value."""

from typing import Any

from tests.cog_models.row import fails, gives, predicts, refuses, row

TEXT = "data:text/plain;base64,aGFsbG8="


def deep(levels: int) -> dict[str, Any]:
    """Objects within objects."""
    value: dict[str, Any] = {}
    for _ in range(levels):
        value = {"a": value}
    return value


ROWS = [
    predicts("text", "(self, a: str) -> str", "return a", gives("x", a="x"), gives("", a=""), refuses("a", a=5)),
    predicts("whole", "(self, a: int) -> int", "return a", gives(3, a=3), gives(3, a=3.0), refuses("a", a=3.5)),
    predicts("huge", "(self, a: int) -> int", "return a + 1", gives(2**70 + 1, a=2**70)),
    predicts("number", "(self, a: float) -> str", "return repr(a)", gives("1.0", a=1), gives("-0.0", a=-0.0)),
    predicts("truth", "(self, a: bool) -> str", "return repr(a)", gives("True", a=True), refuses("a", a="maybe")),
    predicts("none-idiom", "(self, a: int = Input(default=None)) -> str", "return repr(a)", gives("None")),
    predicts("optional", "(self, a: Optional[str]) -> str", "return repr(a)", gives("None"), gives("None", a=None)),
    predicts(
        "pep604",
        "(self, a: str | None = None, b: int | str = 1) -> str",
        "return f'{a!r}{b!r}'",
        gives("None1"),
        gives("'x''2'", a="x", b="2"),
        since=10,
    ),
    predicts(
        "union",
        "(self, a: Union[int, str, List[int]]) -> str",
        "return repr(a)",
        gives("5", a=5),
        gives("'5'", a="5"),
        gives("[5]", a=[5]),
        refuses("a", a={}),
    ),
    predicts(
        "int-choices",
        "(self, a: int = Input(choices=[1, 2, 4], default=2)) -> int",
        "return a",
        gives(2),
        gives(4, a=4),
        refuses("a", a=3),
    ),
    predicts(
        "text-choices",
        "(self, a: str = Input(choices=('x', 'y'))) -> str",
        "return a + str(type(a) is str)",
        gives("xTrue", a="x"),
        refuses("a"),
        refuses("a", a="z"),
    ),
    predicts(
        "literal",
        "(self, a: Literal['x', 'y'] = 'x', b: Literal[1, 2] = 2) -> str",
        "return f'{a}{b}'",
        gives("x2"),
        gives("y1", a="y", b=1),
        refuses("b", b=3),
    ),
    predicts(
        "dict-choices",
        "(self, a: str = Input(choices=SIZES.keys(), default='s')) -> int",
        "return SIZES[a]",
        gives(1),
        gives(9, a="l"),
        before="SIZES = {'s': 1, 'l': 9}",
    ),
    predicts(
        "regex", "(self, a: str = Input(regex='^a+$')) -> str", "return a", gives("aa", a="aa"), refuses("a", a="ab")
    ),
    predicts(
        "lengths",
        "(self, a: str = Input(min_length=2, max_length=3)) -> str",
        "return a",
        gives("äöü", a="äöü"),
        refuses("a", a="x"),
        refuses("a", a="wxyz"),
    ),
    predicts(
        "float-bounds",
        "(self, a: float = Input(ge=0.1, le=0.9, default=0.5)) -> float",
        "return a",
        gives(0.5),
        gives(0.1, a=0.1),
        refuses("a", a=0.95),
        refuses("a", a=0),
    ),
    predicts(
        "int-bounds",
        "(self, a: int = Input(ge=0, le=10, default=20)) -> int",
        "return a",
        gives(20),
        gives(10, a=10),
        refuses("a", a=11),
    ),
    predicts(
        "deprecated",
        "(self, a: str = Input(deprecated=True, default='x')) -> str",
        "return a",
        gives("x"),
        gives("y", a="y"),
    ),
    predicts("default-text-for-int", "(self, a: int = Input(default='7')) -> str", "return repr(a)", gives("7")),
    predicts("default-unfit", "(self, a: int = Input(default='many')) -> str", "return repr(a)", gives("'many'")),
    predicts("default-positional", "(self, a: str = Input('x', description='it')) -> str", "return a", gives("x")),
    predicts(
        "default-list",
        "(self, a: List[str] = ['x']) -> List[str]",
        "a.append('y'); return a",
        gives(["x", "y"]),
        gives(["x", "y"]),
        gives(["z", "y"], a=["z"]),
    ),
    predicts("default-ellipsis", "(self, a: str = Input(default=...)) -> str", "return a", refuses("a")),
    predicts("default-path", "(self, a: Path = Path('given.txt')) -> str", "return str(a)", gives("given.txt")),
    predicts(
        "default-url", f"(self, a: Path = Input(default='{TEXT}')) -> str", "return a.read_text()", gives("hallo")
    ),
    predicts("list", "(self, a: list) -> str", "return repr(a)", gives("['x', 1, None]", a=["x", 1, None])),
    predicts(
        "list-bounds",
        "(self, a: List[int] = Input(ge=1, le=3)) -> int",
        "return sum(a)",
        gives(3, a=[1, 2]),
        gives(0, a=[]),
        refuses("a", a=[4]),
    ),
    predicts(
        "list-lengths",
        "(self, a: list[int] = Input(min_length=1, max_length=2)) -> int",
        "return len(a)",
        gives(2, a=[1, 2]),
        refuses("a", a=[]),
        refuses("a", a=[1, 2, 3]),
        since=9,
    ),
    predicts(
        "paths",
        "(self, a: List[Path]) -> list[str]",
        "return [each.read_text() for each in a]",
        gives(["hallo", "a"], a=[TEXT, "data:,a"]),
        gives([], a=[]),
        since=9,
    ),
    predicts(
        "optional-paths",
        "(self, a: Optional[List[Path]] = None) -> str",
        "return 'none' if a is None else ''.join(each.read_text() for each in a)",
        gives("none"),
        gives("hallo", a=[TEXT]),
    ),
    predicts(
        "path-suffix",
        "(self, a: Path) -> str",
        "return a.suffix + type(a).__name__ + str(isinstance(a, os.PathLike))",
        gives(".txtPathTrue", a=TEXT),
        before="import os",
    ),
    predicts("file", "(self, a: File) -> str", "return a.read().decode()", gives("hallo", a=TEXT)),
    predicts("optional-file", "(self, a: File = None) -> bool", "return a is None", gives(True), gives(False, a=TEXT)),
    predicts("path-of-the-machine", "(self, a: Path) -> str", "return a.read_text()", refuses("a", a="/etc/hostname")),
    predicts(
        "secret",
        "(self, a: Secret) -> str",
        "return f'{a} {len(a.get_secret_value())}'",
        gives("********** 6", a="sesame"),
        refuses("a", a={"x": 1}),
    ),
    predicts(
        "secret-default",
        "(self, a: Secret = Secret('xyz')) -> str",
        "return a.get_secret_value()",
        gives("xyz"),
        gives("q", a="q"),
    ),
    predicts(
        "secret-none", "(self, a: Optional[Secret] = Input(default=None)) -> str", "return repr(a)", gives("None")
    ),
    predicts(
        "secrets",
        "(self, a: List[Secret]) -> int",
        "return sum(len(x.get_secret_value()) for x in a)",
        gives(3, a=["a", "bc"]),
    ),
    predicts(
        "dict", "(self, a: dict = {'k': 1}) -> dict", "return a", gives({"k": 1}), gives({"x": [None]}, a={"x": [None]})
    ),
    predicts(
        "typed-dict",
        "(self, a: Options) -> int",
        "return a['n']",
        gives(3, a={"n": 3}),
        before="class Options(TypedDict):\n    n: int",
    ),
    predicts(
        "messages",
        "(self, a: List[Dict[str, str]]) -> str",
        "return a[-1]['content']",
        gives("hi", a=[{"role": "user", "content": "hi"}]),
    ),
    predicts(
        "annotated",
        "(self, a: Annotated[str, 'a remark'] = 'x') -> str",
        "return a",
        gives("x"),
        gives("y", a="y"),
        since=9,
    ),
    predicts(
        "annotated-input",
        "(self, a: Annotated[str, Input(description='it', default='x')]) -> str",
        "return a",
        gives("x"),
        gives("y", a="y"),
        since=9,
    ),
    predicts(
        "annotated-limits",
        "(self, a: Annotated[int, Input(ge=1, le=3)] = 2) -> int",
        "return a",
        gives(2),
        gives(3, a=3),
        refuses("a", a=4),
        since=9,
    ),
    predicts(
        "enum",
        "(self, a: str = Input(choices=[s.value for s in Size], default=Size.S)) -> str",
        "return a",
        gives("small"),
        gives("large", a="large"),
        before="import enum\nclass Size(str, enum.Enum):\n    S = 'small'\n    L = 'large'",
    ),
    predicts(
        "kwargs", "(self, a: int = 1, **more: Any) -> dict", "return {'a': a, **more}", gives({"a": 1, "b": "x"}, b="x")
    ),
    predicts("keyword-only", "(self, *, a: int = 1, b: str) -> str", "return f'{a}{b}'", gives("1x", b="x")),
    predicts("unknown-keys", "(self, a: int = 1) -> int", "return a", gives(1, b="x")),
    predicts("surrogates", "(self, a: str) -> int", "return len(a)", gives(1, a="\N{GRINNING FACE}")),
    predicts(
        "names",
        "(self, id: str = 'i', type: str = 't', input: str = 'n', class_: str = 'c') -> str",
        "return id + type + input + class_",
        gives("itnc"),
        gives("itnx", class_="x"),
    ),
    predicts(
        "regex-lookahead",
        r"(self, a: str = Input(regex=r'^(?!\s*$).+')) -> str",
        "return a",
        gives("x", a="x"),
        refuses("a", a="  "),
    ),
    predicts(
        "regex-in-python",
        r"(self, a: str = Input(regex=r'(?i)^ab\d+$', default='ab1')) -> str",
        "return a",
        gives("ab1"),
        gives("AB22", a="AB22"),
    ),
    row(
        "future",
        """
        from __future__ import annotations
        import typing
        from cog import BasePredictor, Input, Path
        class Predictor(BasePredictor):
            def predict(self, a: str = Input(default="x"), b: typing.Optional[list[int]] = None) -> list[str]:
                return [a, repr(b)]
        """,
        gives(["x", "None"]),
        gives(["y", "[1]"], a="y", b=[1]),
        since=9,
    ),
    row(
        "string-annotations",
        """
        class Predictor(BasePredictor):
            def predict(self, a: "Optional[int]" = None, b: "List['str']" = []) -> "str":
                return f"{a}{b}"
        """,
        gives("None[]"),
        gives("1['x']", a=1, b=["x"]),
        since=9,
    ),
    predicts(
        "nested",
        "(self, a: dict) -> dict",
        "return a",
        gives(deep(60), a=deep(60)),
        refuses("nested too deeply", a=deep(70)),
    ),
    row(
        "raises-in-validation",
        """
        class Predictor(BasePredictor):
            def predict(self, a: int = Input(description="n")) -> str:
                if a > 3:
                    raise ValueError("a must be at most 3")
                return "ok"
        """,
        gives("ok", a=1),
        fails("a must be at most 3", a=4),
    ),
]
