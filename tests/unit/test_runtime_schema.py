"""The document a model process writes from the signature of predict(), in the shape older Cog gave it."""

# ruff: noqa: ANN001, B008, RUF012, UP007, UP045  the functions and records here are written as people write models

import enum
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Optional, TypedDict, Union

import pydantic
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "runtime"))

import cog
from pinion_runtime.failures import ModelError
from pinion_runtime.schema import openapi
from pinion_runtime.signature import read_signature


def schemas(function: Any) -> dict[str, Any]:
    return openapi(read_signature(function))["components"]["schemas"]


def properties(function: Any) -> dict[str, Any]:
    return schemas(function)["Input"]["properties"]


def output(function: Any) -> dict[str, Any]:
    return schemas(function)["Output"]


def test_the_document_has_the_components_every_model_has():
    def predict(text: str) -> str: ...

    document = openapi(read_signature(predict))
    assert document["openapi"] == "3.0.2"
    assert document["info"] == {"title": "Cog", "version": "0.1.0"}
    assert document["paths"]["/predictions"]["post"]["operationId"] == "predict_predictions_post"
    assert set(document["components"]["schemas"]) == {
        "Input",
        "Output",
        "PredictionRequest",
        "PredictionResponse",
        "Status",
        "WebhookEvent",
        "HTTPValidationError",
        "ValidationError",
    }


def test_a_parameter_has_title_type_and_order():
    def predict(input_text: str, top_k: int, top_p: float, is_loud: bool) -> str: ...

    assert schemas(predict)["Input"] == {
        "title": "Input",
        "type": "object",
        "required": ["input_text", "top_k", "top_p", "is_loud"],
        "properties": {
            "input_text": {"title": "Input Text", "type": "string", "x-order": 0},
            "top_k": {"title": "Top K", "type": "integer", "x-order": 1},
            "top_p": {"title": "Top P", "type": "number", "x-order": 2},
            "is_loud": {"title": "Is Loud", "type": "boolean", "x-order": 3},
        },
    }


@pytest.mark.parametrize("decorator", [cog.streaming, cog.streaming()])
def test_a_streaming_model_is_marked_at_the_post_of_predictions(decorator: Any):
    class Predictor:
        @decorator
        def predict(self) -> Iterator[str]: ...

    paths = openapi(read_signature(Predictor().predict))["paths"]
    assert paths["/predictions"]["post"]["x-cog-streaming"] is True
    assert "x-cog-streaming" not in paths["/predictions/{prediction_id}"]["put"]
    assert "streaming" not in str(openapi(read_signature(plain_iterator)))


def test_self_is_not_counted():
    class Predictor:
        def predict(self, text: str) -> str: ...

    assert properties(Predictor().predict) == {"text": {"title": "Text", "type": "string", "x-order": 0}}


def test_the_keywords_of_input_are_shown():
    def predict(
        count: int = cog.Input(default=3, description="How many", ge=1, le=10),
        word: str = cog.Input(min_length=1, max_length=5, regex="^a", deprecated=True),
        picture: cog.Path = cog.Input(accept="image/*"),
    ) -> str: ...

    assert properties(predict) == {
        "count": {
            "title": "Count",
            "type": "integer",
            "minimum": 1,
            "maximum": 10,
            "description": "How many",
            "default": 3,
            "x-order": 0,
        },
        "word": {
            "title": "Word",
            "type": "string",
            "minLength": 1,
            "maxLength": 5,
            "pattern": "^a",
            "deprecated": True,
            "x-order": 1,
        },
        "picture": {
            "title": "Picture",
            "type": "string",
            "format": "uri",
            "x-cog-accept": "image/*",
            "x-order": 2,
        },
    }
    assert schemas(predict)["Input"]["required"] == ["word", "picture"]


@pytest.mark.parametrize("kind", ["choices", "literal"])
def test_choices_are_a_component_of_their_own(kind: str):
    def chosen(size: str = cog.Input(default="s", description="How big", choices=["s", "l"])) -> str: ...
    def literal(size: Literal["s", "l"] = cog.Input(default="s", description="How big")) -> str: ...

    written = schemas(chosen if kind == "choices" else literal)
    assert written["size"] == {"title": "size", "description": "An enumeration.", "enum": ["s", "l"], "type": "string"}
    assert written["Input"]["properties"]["size"] == {
        "allOf": [{"$ref": "#/components/schemas/size"}],
        "description": "How big",
        "default": "s",
        "x-order": 0,
    }


def test_choices_may_be_texts_of_another_kind():
    class Colour(str):
        def __str__(self) -> str:
            return "shown"

    def chosen(colour: str = cog.Input(choices=[Colour("red"), Colour("blue")], default=Colour("red"))) -> str: ...

    written = schemas(chosen)
    assert [(type(each), each) for each in written["colour"]["enum"]] == [(str, "red"), (str, "blue")]


def test_choices_may_be_whole_numbers_and_any_iterable_and_stand_in_a_list():
    def predict(
        width: int = cog.Input(choices=range(1, 3)), styles: list[str] = cog.Input(choices={"a": 1, "b": 2})
    ) -> str: ...

    written = schemas(predict)
    assert written["width"]["enum"] == [1, 2]
    assert written["width"]["type"] == "integer"
    assert written["Input"]["properties"]["styles"]["items"] == {"$ref": "#/components/schemas/styles"}


def test_a_default_of_none_is_not_required_and_not_shown():
    def predict(seed: int = cog.Input(default=None), hint: Optional[str] = None, other: str | None = None) -> str: ...

    assert "required" not in schemas(predict)["Input"]
    assert properties(predict) == {
        "seed": {"title": "Seed", "type": "integer", "x-order": 0},
        "hint": {"title": "Hint", "type": "string", "nullable": True, "x-order": 1},
        "other": {"title": "Other", "type": "string", "nullable": True, "x-order": 2},
    }


def test_an_optional_without_default_is_not_required():
    def predict(hint: Optional[str], choice: Optional[Literal["a"]]) -> str: ...

    assert "required" not in schemas(predict)["Input"]
    assert properties(predict)["choice"]["nullable"] is True


@pytest.mark.parametrize(
    ("annotation", "shape"),
    [
        (cog.Path, {"type": "string", "format": "uri"}),
        (cog.File, {"type": "string", "format": "uri"}),
        (cog.Secret, {"type": "string", "format": "password", "writeOnly": True, "x-cog-secret": True}),
        (Any, {"type": "object"}),
        (dict, {"type": "object"}),
        (dict[str, int], {"type": "object"}),
        (TypedDict("Options", {"a": int}), {"type": "object"}),
        (Annotated[set, cog.Opaque], {"type": "object"}),
        (Annotated[int, "a remark"], {"type": "integer"}),
        (list, {"type": "array", "items": {}}),
        (list[str], {"type": "array", "items": {"type": "string"}}),
        (list[cog.Path], {"type": "array", "items": {"type": "string", "format": "uri"}}),
        (Union[int, str], {"anyOf": [{"type": "integer"}, {"type": "string"}]}),
        ("list[int]", {"type": "array", "items": {"type": "integer"}}),
    ],
)
def test_every_allowed_type_has_its_shape(annotation: Any, shape: dict[str, Any]):
    def predict(value): ...

    predict.__annotations__ = {"value": annotation}
    assert properties(predict)["value"] == {"title": "Value", **shape, "x-order": 0}


def test_limits_of_a_list_are_those_of_its_length_and_of_its_items():
    def predict(
        numbers: list[int] = cog.Input(ge=1, le=9, min_length=1, max_length=3), words: list[str] = cog.Input(regex="^a")
    ) -> str: ...

    assert properties(predict)["numbers"] == {
        "title": "Numbers",
        "type": "array",
        "items": {"type": "integer", "minimum": 1, "maximum": 9},
        "minItems": 1,
        "maxItems": 3,
        "x-order": 0,
    }
    assert properties(predict)["words"]["items"] == {"type": "string", "pattern": "^a"}


def test_an_optional_parameter_keeps_its_limits_and_its_default():
    def predict(count: Optional[int] = cog.Input(default=2, ge=1), path: cog.Path = cog.Path("a/b")) -> str: ...

    assert properties(predict)["count"] == {
        "title": "Count",
        "type": "integer",
        "minimum": 1,
        "default": 2,
        "nullable": True,
        "x-order": 0,
    }
    assert properties(predict)["path"]["default"] == "a/b"


def test_keyword_only_parameters_are_parameters():
    def predict(*, text: str, count: int = 1) -> str: ...

    assert list(properties(predict)) == ["text", "count"]
    assert schemas(predict)["Input"]["required"] == ["text"]


def test_a_secret_default_is_not_shown():
    def predict(password: cog.Secret = cog.Input(default="open sesame")) -> str: ...

    assert "open sesame" not in str(schemas(predict))


def test_kwargs_accept_any_key():
    def predict(text: str, **others: Any) -> str: ...

    assert schemas(predict)["Input"]["additionalProperties"] is True
    assert list(properties(predict)) == ["text"]


def not_annotated(text): ...
def starred(*texts: str) -> str: ...
def odd(numbers: set) -> str: ...
def nested(numbers: list[tuple]) -> str: ...
def mixed(choice: Literal["a", 1]) -> str: ...
def half_chosen(share: float = cog.Input(choices=[0.5])) -> str: ...
def unresolved(text: "NoSuchType") -> str: ...  # noqa: F821


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (not_annotated, "The parameter 'text' has no type annotation. Allowed are str, "),
        (starred, "The parameter 'texts' must be one that can be given by name."),
        (odd, "The parameter 'numbers' has the type set. Allowed are str, "),
        (nested, "The parameter 'numbers' has the type tuple. Allowed are str, "),
        (mixed, "The parameter 'choice' has the type Literal"),
        (half_chosen, "The choices of the parameter 'share' must be texts for str or whole numbers for int."),
        (unresolved, "The annotations of unresolved() cannot be resolved: name 'NoSuchType' is not defined"),
    ],
)
def test_what_cannot_be_described_is_refused_by_name(function: Any, message: str):
    with pytest.raises(ModelError) as refusal:
        read_signature(function)
    assert str(refusal.value).startswith(message)


class Point(cog.BaseModel):
    x_place: int
    note: Optional[str]
    tags: list[str] = []


class Output(cog.BaseModel):
    point: Point


class Modern(pydantic.BaseModel):
    name: str
    near: Optional["Modern"] = None


@dataclass
class Plain:
    name: str
    size: int = 1


@pytest.mark.parametrize(
    ("annotation", "shape"),
    [
        (str, {"type": "string"}),
        (cog.Path, {"type": "string", "format": "uri"}),
        (Any, {}),
        (dict, {"type": "object"}),
        (list[cog.Path], {"type": "array", "items": {"type": "string", "format": "uri"}}),
        (Optional[str], {"type": "string", "nullable": True}),
        (Union[int, str], {"anyOf": [{"type": "integer"}, {"type": "string"}]}),
        (tuple[str, ...], {"type": "array", "items": {"type": "string"}}),
        (tuple[str, int], {"type": "array", "items": {"anyOf": [{"type": "string"}, {"type": "integer"}]}}),
        (Literal["a", "b"], {"enum": ["a", "b"], "type": "string"}),
        (Literal["a", 1], {"enum": ["a", 1]}),
        (Point, {"$ref": "#/components/schemas/Point"}),
        (object, {}),
    ],
)
def test_a_result_is_described(annotation: Any, shape: dict[str, Any]):
    def predict(): ...

    predict.__annotations__ = {"return": annotation}
    assert output(predict) == {"title": "Output", **shape}


def test_a_record_is_a_component_and_one_called_output_stands_in_its_place():
    def predict() -> Output: ...

    written = schemas(predict)
    assert written["Output"] == {
        "title": "Output",
        "type": "object",
        "properties": {"point": {"$ref": "#/components/schemas/Point"}},
        "required": ["point"],
    }
    assert written["Point"] == {
        "title": "Point",
        "type": "object",
        "properties": {
            "x_place": {"title": "X Place", "type": "integer"},
            "note": {"title": "Note", "type": "string", "nullable": True},
            "tags": {"title": "Tags", "type": "array", "items": {"type": "string"}, "default": []},
        },
        "required": ["x_place"],
    }


class Size(enum.Enum):
    SMALL = "s"


def test_fields_of_a_record_keep_their_defaults_and_descriptions_as_in_cog():
    class About(pydantic.BaseModel):
        count: int = pydantic.Field(default=3, description="How many.")
        note: Optional[str] = None
        size: Size = Size.SMALL
        point: Plain = pydantic.Field(description="Where.")
        place: Path = Path("/tmp")
        made: list[int] = pydantic.Field(default_factory=list)

    @dataclass
    class Old:
        count: int = cog.Input(default=4, description="How few.")

    def new() -> About: ...
    def old() -> Old: ...
    def plain() -> Plain: ...

    assert schemas(new)["About"]["properties"] == {
        "count": {"title": "Count", "type": "integer", "description": "How many.", "default": 3},
        "note": {"title": "Note", "type": "string", "nullable": True},
        "size": {"title": "Size", "type": "string", "enum": ["s"], "default": "s"},
        "point": {"allOf": [{"$ref": "#/components/schemas/Plain"}], "description": "Where."},
        "place": {"title": "Place", "type": "string", "format": "uri"},
        "made": {"title": "Made", "type": "array", "items": {"type": "integer"}},
    }
    assert schemas(old)["Old"]["properties"]["count"]["default"] == 4
    assert schemas(old)["Old"]["properties"]["count"]["description"] == "How few."
    assert schemas(plain)["Plain"]["properties"]["size"] == {"title": "Size", "type": "integer", "default": 1}


@pytest.mark.parametrize(
    ("annotation", "values"),
    [
        (dict[str, int], {"type": "integer"}),
        (dict[str, list[float]], {"type": "array", "items": {"type": "number"}}),
        (dict[str, Plain], {"$ref": "#/components/schemas/Plain"}),
        (dict[str, Any], True),
    ],
)
def test_an_object_says_of_what_its_values_are(annotation: Any, values: Any):
    def predict() -> annotation: ...

    assert schemas(predict)["Output"] == {"title": "Output", "type": "object", "additionalProperties": values}


def test_records_called_like_a_component_stand_where_they_are_used():
    class Input(cog.BaseModel):
        name: str

    def several() -> list[Output]: ...
    def perhaps() -> Optional[Output]: ...
    def taken() -> Input: ...

    assert schemas(several)["Output"]["items"]["properties"] == {"point": {"$ref": "#/components/schemas/Point"}}
    assert schemas(perhaps)["Output"]["nullable"] is True
    assert "properties" in schemas(perhaps)["Output"]
    assert schemas(taken)["Output"]["properties"] == {"name": {"title": "Name", "type": "string"}}
    assert schemas(taken)["Input"]["properties"] == {}


def test_foreign_records_are_described_too():
    def modern() -> Modern: ...
    def plain() -> list[Plain]: ...

    assert schemas(modern)["Modern"]["required"] == ["name"]
    assert schemas(modern)["Modern"]["properties"]["near"]["allOf"] == [{"$ref": "#/components/schemas/Modern"}]
    assert schemas(plain)["Plain"]["required"] == ["name"]
    assert schemas(plain)["Output"]["items"] == {"$ref": "#/components/schemas/Plain"}


def plain_iterator() -> Iterator[int]:
    yield 1


def concatenated() -> cog.ConcatenateIterator[str]:
    yield ""


async def async_iterator() -> AsyncIterator[int]:
    yield 1


async def async_concatenated() -> cog.AsyncConcatenateIterator[str]:
    yield ""


def returned() -> Iterator[int]:
    return iter([1])


def without_annotation():
    yield 1


@pytest.mark.parametrize(
    ("function", "items", "is_concatenated"),
    [
        (plain_iterator, {"type": "integer"}, False),
        (concatenated, {"type": "string"}, True),
        (async_iterator, {"type": "integer"}, False),
        (async_concatenated, {"type": "string"}, True),
        (returned, {"type": "integer"}, False),
        (without_annotation, {}, False),
    ],
)
def test_an_iterator_is_an_array_that_is_marked(function: Any, items: dict[str, Any], is_concatenated: bool):
    marks = {"x-cog-array-display": "concatenate"} if is_concatenated else {}
    assert output(function) == {
        "title": "Output",
        "type": "array",
        "items": items,
        "x-cog-array-type": "iterator",
        **marks,
    }
    assert read_signature(function).is_iterator
    assert read_signature(function).is_async is function.__name__.startswith("async")
