"""Inputs against a version's schema: what passes untouched, and Replicate's words for what does not."""

from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import InvalidRequest, Problem, UnsupportedSchema
from shared.input_schema import InputSchema, check_schema, compile_schema


def document(properties: dict[str, Any], required: tuple[str, ...] = (), **components: Any) -> dict[str, Any]:
    model_input = {"title": "Input", "type": "object", "properties": properties, "required": list(required)}
    return {"openapi": "3.0.2", "components": {"schemas": {"Input": model_input, **components}}}


def schema_of(**properties: Any) -> InputSchema:
    """A schema in which every property has a default, so that nothing may be null for want of one."""
    return compile_schema(document({name: {"default": 0, **body} for name, body in properties.items()}))


def problems(schema: InputSchema, value: Any) -> list[Problem]:
    with pytest.raises(InvalidRequest) as caught:
        schema.check(value)
    return caught.value.problems


def problem(schema: InputSchema, value: Any) -> Problem:
    (only,) = problems(schema, value)
    return only


NO_URI = "Does not match format 'uri': it has to be an http, https or data URL"
IMAGE_MODEL = compile_schema(
    document(
        {
            "prompt": {"type": "string", "title": "Prompt", "x-order": 0},
            "steps": {"type": "integer", "minimum": 0, "maximum": 4, "default": 4},
            "scheduler": {"allOf": [{"$ref": "#/components/schemas/scheduler"}], "default": "DDIM", "x-order": 2},
            "seed": {"type": "integer", "title": "Seed"},
            "image": {"type": "string", "format": "uri", "nullable": True},
        },
        required=("prompt",),
        scheduler={
            "type": "string",
            "enum": ["DDIM", "K_EULER"],
            "title": "scheduler",
            "description": "An enumeration.",
        },
    )
)


def test_a_good_input_is_returned_as_it_was_sent() -> None:
    sent = {"steps": 3, "prompt": "an otter"}
    assert IMAGE_MODEL.check(sent) == sent
    assert list(IMAGE_MODEL.check(sent)) == ["steps", "prompt"]


def test_a_model_that_takes_any_key_gets_every_key() -> None:
    described = document({"steps": {"type": "integer"}})
    described["components"]["schemas"]["Input"]["additionalProperties"] = True
    schema = compile_schema(described)
    assert schema.check({"steps": 1, "other": [2]}) == {"steps": 1, "other": [2]}
    assert problem(schema, {"steps": "x", "other": 1}).field == "input.steps"


def test_unknown_keys_are_dropped_even_one_that_holds_the_callers_token() -> None:
    sent = {"prompt": "an otter", "num_outputs": 1, "auth": "r8_secret", "__proto__": {}}
    assert IMAGE_MODEL.check(sent) == {"prompt": "an otter"}


def test_all_problems_come_in_one_answer_in_replicates_form() -> None:
    sent = {"steps": 5, "scheduler": "DPM", "seed": "7", "image": "cat.png"}
    with pytest.raises(InvalidRequest) as caught:
        IMAGE_MODEL.check(sent)
    assert caught.value.problems == [
        Problem("required", "input", "prompt is required"),
        Problem("number_lte", "input.steps", "Must be less than or equal to 4"),
        Problem("enum", "input.scheduler", 'input.scheduler must be one of the following: "DDIM", "K_EULER"'),
        Problem("invalid_type", "input.seed", "Invalid type. Expected: integer, given: string"),
        Problem("format", "input.image", NO_URI),
    ]
    assert caught.value.title == "Input validation failed"
    assert str(caught.value).startswith("- input: prompt is required\n- input.steps: Must be less than or equal to 4\n")


@pytest.mark.parametrize(
    ("body", "value", "kind", "description"),
    [
        ({"type": "number", "minimum": 0.5}, 0, "number_gte", "Must be greater than or equal to 0.5"),
        ({"type": "number", "minimum": 0.0}, -1, "number_gte", "Must be greater than or equal to 0"),
        ({"type": "number", "maximum": 1}, 1.5, "number_lte", "Must be less than or equal to 1"),
        ({"type": "number", "minimum": 0, "exclusiveMinimum": True}, 0, "number_gt", "Must be greater than 0"),
        ({"type": "number", "exclusiveMaximum": 1}, 1, "number_lt", "Must be less than 1"),
        ({"type": "integer", "multipleOf": 8}, 12, "multiple_of", "Must be a multiple of 8"),
        ({"type": "string", "minLength": 2}, "é", "string_gte", "String length must be greater than or equal to 2"),
        ({"type": "string", "maxLength": 2}, "éàü", "string_lte", "String length must be less than or equal to 2"),
        ({"type": "string", "pattern": "^a+$"}, "b", "pattern", "Does not match pattern '^a+$'"),
        ({"type": "array", "minItems": 2}, [1], "array_min_items", "Array must have at least 2 items"),
        ({"type": "array", "maxItems": 1}, [1, 2], "array_max_items", "Array must have at most 1 items"),
        ({"type": "array", "uniqueItems": True}, [1, 1], "unique", "array items must be unique"),
        ({"const": "a"}, "b", "const", 'input.x does not match: "a"'),
        ({"type": "boolean"}, 1, "invalid_type", "Invalid type. Expected: boolean, given: integer"),
        ({"type": ["string", "null"]}, 1.5, "invalid_type", "Invalid type. Expected: [null,string], given: number"),
        ({"type": "object", "minProperties": 1}, {}, "array_min_properties", "Must have at least 1 properties"),
        ({"anyOf": [{"type": "string"}]}, [], "number_any_of", "Must validate at least one schema (anyOf)"),
        ({"oneOf": [{}, {"type": "string"}]}, "a", "number_one_of", "Must validate one and only one schema (oneOf)"),
        ({"not": {"type": "string"}}, "a", "number_not", "Must not validate the schema (not)"),
    ],
)  # fmt: skip
def test_every_rule_is_worded_as_gojsonschema_words_it(body: Any, value: Any, kind: str, description: str) -> None:
    assert problem(schema_of(x=body), {"x": value}) == Problem(kind, "input.x", description)


def test_a_wrong_type_is_the_only_complaint_about_a_value() -> None:
    schema = schema_of(x={"allOf": [{"type": "string", "enum": ["a", "b"]}], "type": "string"})
    assert problem(schema, {"x": 1}).type == "invalid_type"


def test_problems_inside_lists_and_objects_carry_the_path() -> None:
    schema = schema_of(
        sizes={"type": "array", "items": {"type": "integer"}},
        box={
            "type": "object",
            "properties": {"left": {"type": "number"}},
            "required": ["top"],
            "additionalProperties": False,
        },
    )
    found = problems(schema, {"sizes": [1, "two", True], "box": {"left": None, "a": 1, "b": 2}})
    assert {(problem.type, problem.field) for problem in found} == {
        ("invalid_type", "input.sizes.1"),
        ("invalid_type", "input.sizes.2"),
        ("required", "input.box"),
        ("invalid_type", "input.box.left"),
        ("additional_property_not_allowed", "input.box"),
    }
    assert "Additional property b is not allowed" in [problem.description for problem in found]


@pytest.mark.parametrize(
    ("value", "given_type"),
    [
        (None, "null"),
        ([], "array"),
        ("text", "string"),
        (1, "integer"),
        (1.0, "integer"),
        (1.5, "number"),
        (True, "boolean"),
    ],
)
def test_an_input_that_is_no_object_is_refused(value: Any, given_type: str) -> None:
    expected = Problem("invalid_type", "input", f"Invalid type. Expected: object, given: {given_type}")
    assert problem(IMAGE_MODEL, value) == expected


class TestIntegers:
    schema = schema_of(x={"type": "integer"})

    @pytest.mark.parametrize("value", [0, -1, 1.0, 12345678901234567890, -(10**40)])
    def test_whole_numbers_of_any_size_pass_unchanged(self, value: float) -> None:
        stored = self.schema.check({"x": value})["x"]
        assert stored == value
        assert type(stored) is type(value)

    @pytest.mark.parametrize("value", [True, False, "5", 1.5, [], None])
    def test_anything_else_is_refused(self, value: Any) -> None:
        assert problem(self.schema, {"x": value}).type == "invalid_type"

    @given(st.integers())
    def test_bounds_hold_for_integers_of_any_size(self, value: int) -> None:
        schema = schema_of(x={"type": "integer", "maximum": 10**20})
        if value <= 10**20:
            assert schema.check({"x": value}) == {"x": value}
        else:
            assert problem(schema, {"x": value}).type == "number_lte"


class TestNull:
    choices: ClassVar[dict[str, Any]] = {"type": "string", "enum": ["a", "b"]}

    def test_null_is_refused_where_there_is_a_default(self) -> None:
        assert problem(IMAGE_MODEL, {"prompt": "x", "steps": None}).type == "invalid_type"

    def test_null_is_refused_for_a_required_input(self) -> None:
        assert problem(IMAGE_MODEL, {"prompt": None}) == Problem(
            "invalid_type", "input.prompt", "Invalid type. Expected: string, given: null"
        )

    def test_null_is_accepted_for_a_nullable_input(self) -> None:
        assert IMAGE_MODEL.check({"prompt": "x", "image": None}) == {"prompt": "x", "image": None}

    def test_null_is_accepted_for_an_optional_input_without_a_default(self) -> None:
        assert IMAGE_MODEL.check({"prompt": "x", "seed": None}) == {"prompt": "x", "seed": None}

    def test_a_nullable_required_input_may_be_null_but_not_missing(self) -> None:
        schema = compile_schema(document({"x": {"type": "string", "nullable": True}}, required=("x",)))
        assert schema.check({"x": None}) == {"x": None}
        assert problem(schema, {}) == Problem("required", "input", "x is required")

    @pytest.mark.parametrize("nullable", [True, False])
    def test_null_is_a_choice_only_where_the_choice_is_nullable(self, nullable: bool) -> None:
        choice = {"allOf": [{"$ref": "#/components/schemas/x"}], "nullable": nullable, "default": "a"}
        schema = compile_schema(document({"x": choice}, x=self.choices))
        if nullable:
            assert schema.check({"x": None}) == {"x": None}
        else:
            assert problem(schema, {"x": None}).type == "invalid_type"
        assert problem(schema, {"x": "c"}).type == "enum"

    def test_items_of_a_list_may_be_nullable_too(self) -> None:
        schema = schema_of(x={"type": "array", "items": {"type": "integer", "nullable": True, "minimum": 1}})
        assert schema.check({"x": [1, None]}) == {"x": [1, None]}
        assert problem(schema, {"x": [None, 0]}).field == "input.x.1"


@pytest.mark.parametrize(
    "value",
    [
        "https://example.com/a b.png",
        "data:image/png;base64,AAAA",
        "http://[::1]/x",
        "https://exämple.com/ü",
        "HTTPS://example.com/a.png",
        "Data:,a",
    ],
)
def test_a_file_input_takes_urls_and_data_uris(value: str) -> None:
    assert schema_of(x={"type": "string", "format": "uri"}).check({"x": value}) == {"x": value}


@pytest.mark.parametrize(
    "value", ["", "cat.png", "/etc/passwd", "C:\\cat.png", "http:", "data:image/png", "http://a\nb"]
)
def test_a_file_input_refuses_what_is_no_uri(value: str) -> None:
    schema = schema_of(x={"type": "string", "format": "uri"})
    assert problem(schema, {"x": value}).description == NO_URI


@pytest.mark.parametrize("value", ["file:///etc/passwd", "ftp://example.com/a", "gopher://x", "javascript:alert(1)"])
def test_a_file_input_refuses_what_cannot_be_fetched(value: str) -> None:
    schema = schema_of(x={"type": "string", "format": "uri"})
    assert problem(schema, {"x": value}) == Problem("format", "input.x", NO_URI)


@pytest.mark.parametrize(
    "body",
    [{"type": "string", "maxLength": 3}, {"type": "integer"}, {"enum": ["a"]}, {"type": "string", "format": "uri"}],
)
def test_a_refused_value_is_not_echoed(body: Any) -> None:
    assert "secret" not in str(problem(schema_of(x=body), {"x": "secret" * 100}))


def test_an_unexpected_key_is_echoed_only_in_part() -> None:
    schema = schema_of(x={"type": "object", "additionalProperties": False})
    assert len(problem(schema, {"x": {"k" * 10_000: 1}}).description) < 200
    schema = schema_of(x={"type": "object", "additionalProperties": {"type": "string"}})
    assert len(problem(schema, {"x": {"k" * 10_000: 1}}).field) < 200


def test_a_pattern_that_would_not_end_elsewhere_is_matched() -> None:
    schema = schema_of(x={"type": "string", "pattern": "^(a+)+$"})
    assert problem(schema, {"x": "a" * 100_000 + "!"}).type == "pattern"


@pytest.mark.parametrize("value", [["x"] * 100_000, [1] * 99_999 + ["x"]])
def test_a_huge_list_of_wrong_items_is_described_briefly(value: list[Any]) -> None:
    wrong = problem(schema_of(x={"type": "array", "items": {"type": "integer"}}), {"x": value})
    assert wrong.type == "invalid_type"
    assert len(wrong.description) < 200


def test_at_most_a_hundred_problems_are_listed() -> None:
    names = [f"x{number}" for number in range(300)]
    schema = compile_schema(document({name: {"type": "string"} for name in names}, required=tuple(names)))
    assert len(problems(schema, {})) == 100


@pytest.mark.parametrize(("pattern", "fits"), [(r"^(?!\s*$).+", "a"), (r"(a|b)\1", "xbb"), ("(?<!x)y", "zy")])
def test_a_pattern_may_look_around_and_refer_to_itself(pattern: str, fits: str) -> None:
    for nullable in (False, True):
        schema = schema_of(x={"type": "string", "pattern": pattern, "nullable": nullable})
        assert schema.check({"x": fits}) == {"x": fits}
        assert problem(schema, {"x": " "}).type == "pattern"


def test_a_pattern_that_takes_too_many_steps_does_not_match() -> None:
    schema = schema_of(x={"type": "string", "pattern": r"(a|b)\1"})
    assert problem(schema, {"x": "a1" * 50_000 + "bb"}).type == "pattern"


class TestUnsupportedSchemas:
    @pytest.mark.parametrize("pattern", ["(", "(a{1000}){1000}", "(?=x)(a{1000}){1000}"])
    def test_what_is_no_pattern_or_a_huge_one_is_refused_when_compiled(self, pattern: str) -> None:
        with pytest.raises(UnsupportedSchema, match=r"^Input\.x\.pattern must be a regular expression"):
            schema_of(x={"type": "string", "pattern": pattern})

    @pytest.mark.parametrize("pattern", ["(?=a)b", r"(a)\1", "(?<!x)y"])
    def test_the_items_of_a_list_may_only_be_matched_in_linear_time(self, pattern: str) -> None:
        with pytest.raises(UnsupportedSchema, match=r"^Input\.x\.items\.pattern must be .* in linear time"):
            schema_of(x={"type": "array", "items": {"type": "string", "pattern": pattern}})

    @pytest.mark.parametrize(
        "body",
        [
            {"type": "text"},
            {"minimum": "0"},
            {"enum": "a"},
            {"items": True},
            {"properties": [1]},
            {"allOf": {"$ref": 1}},
            {"$ref": "https://example.com/schema.json"},
            {"$ref": "#/components/schemas/Missing"},
        ],
    )
    def test_a_broken_schema_is_refused_with_its_place(self, body: Any) -> None:
        with pytest.raises(UnsupportedSchema, match=r"^Input\.x"):
            compile_schema(document({"x": body}))

    def test_a_schema_of_many_megabytes_is_refused_with_advice(self) -> None:
        openapi = document({"x": {"type": "string", "description": "x" * 10_000_000}})
        with pytest.raises(UnsupportedSchema, match=r"more than 1048576 bytes\. Shorten"):
            compile_schema(openapi)

    def test_a_schema_is_refused_for_what_trainings_take_too(self) -> None:
        openapi = document({"x": {"type": "string"}})
        check_schema(openapi)
        trained = {"properties": {"y": {"type": "string", "pattern": "("}}}
        openapi["components"]["schemas"]["TrainingInput"] = trained
        with pytest.raises(UnsupportedSchema, match=r"^TrainingInput\.y\.pattern"):
            check_schema(openapi)

    @pytest.mark.parametrize("body", [True, "string", None, [1]])
    def test_a_property_that_is_no_schema_is_refused(self, body: Any) -> None:
        with pytest.raises(UnsupportedSchema, match=r"^Input\.x"):
            compile_schema(document({"x": body}))

    @pytest.mark.parametrize(
        "circle",
        [
            {"$ref": "#/components/schemas/x"},
            {"type": "object", "properties": {"left": {"$ref": "#/components/schemas/x"}}},
        ],
    )
    def test_references_in_a_circle_are_refused(self, circle: dict[str, Any]) -> None:
        with pytest.raises(UnsupportedSchema, match=r"^Input\.x"):
            compile_schema(document({"x": {"$ref": "#/components/schemas/x"}}, x=circle))

    def test_references_that_multiply_are_refused(self) -> None:
        layers: dict[str, Any] = {
            f"l{n}": {"allOf": [{"$ref": f"#/components/schemas/l{n + 1}"}] * 10} for n in range(20)
        }
        openapi = document({"x": {"$ref": "#/components/schemas/l0"}})
        openapi["components"]["schemas"] |= layers | {"l20": {"type": "string"}}
        with pytest.raises(UnsupportedSchema, match="too large"):
            compile_schema(openapi)

    def test_values_nested_beyond_reason_are_refused(self) -> None:
        deep: list[Any] = []
        for _ in range(500):
            deep = [deep]
        with pytest.raises(UnsupportedSchema, match=r"^Input\.x"):
            schema_of(x={"enum": [deep]})

    @pytest.mark.parametrize(
        "openapi",
        [
            {},
            {"components": []},
            {"components": {"schemas": {"Input": 1}}},
            {"components": {"schemas": {"Input": {"required": "x"}}}},
            {"components": {"schemas": {"Input": {"properties": []}}}},
        ],
    )
    def test_a_document_without_a_usable_input_is_refused(self, openapi: Any) -> None:
        with pytest.raises(UnsupportedSchema):
            compile_schema(openapi)


def test_a_model_without_inputs_accepts_the_empty_object() -> None:
    assert compile_schema(document({})).check({"anything": 1}) == {}


def test_a_training_input_is_checked_by_the_same_rules() -> None:
    training = {"type": "object", "properties": {"epochs": {"type": "integer"}}, "required": ["epochs"]}
    schema = compile_schema(document({}, TrainingInput=training), component="TrainingInput")
    assert problem(schema, {}).description == "epochs is required"
