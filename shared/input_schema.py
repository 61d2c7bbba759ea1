"""A version's input schema, compiled once, and the check of one input against it.

Nothing is converted and no default is filled in here: the model process does that, so what is stored is what was sent.
"""

import re
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any

import jsonschema_rs
import msgspec

from shared.errors import InvalidRequest, Problem, UnsupportedSchema
from shared.secret_inputs import is_secret

# More would help nobody, and a list of 100,000 wrong items would take a second to describe.
_PROBLEMS_MAX = 100
_EXPLAINED_ITEMS_MAX = 1_000
_ECHO_MAX = 100
# Resolved references can multiply («billion laughs») or go round in circles.
_NODES_MAX = 10_000
_DEPTH_MAX = 32
# It is kept with its version, and sent whenever that is shown.
_BYTES_MAX = 1024 * 1024
# A match takes less than 10 ms then.
_BACKTRACKS_MAX = 10_000

Complain = Callable[[str], str | None]
"""What is wrong with the address of a file, if something is."""
_REFERENCE = "#/components/schemas/"
_URI_SCHEME = re.compile(r"(https?|data):(?=.)", re.DOTALL | re.IGNORECASE)

# JSON Schema keyword → type and text as gojsonschema words them, which is what Replicate's clients have seen so far.
_WORDING = {
    "type": ("invalid_type", "Invalid type. Expected: {value}, given: {given}"),
    "enum": ("enum", "{field} must be one of the following: {value}"),
    "const": ("const", "{field} does not match: {value}"),
    "minimum": ("number_gte", "Must be greater than or equal to {value}"),
    "maximum": ("number_lte", "Must be less than or equal to {value}"),
    "exclusiveMinimum": ("number_gt", "Must be greater than {value}"),
    "exclusiveMaximum": ("number_lt", "Must be less than {value}"),
    "multipleOf": ("multiple_of", "Must be a multiple of {value}"),
    "minLength": ("string_gte", "String length must be greater than or equal to {value}"),
    "maxLength": ("string_lte", "String length must be less than or equal to {value}"),
    "pattern": ("pattern", "Does not match pattern '{value}'"),
    "format": ("format", "Does not match format '{value}'{hint}"),
    "minItems": ("array_min_items", "Array must have at least {value} items"),
    "maxItems": ("array_max_items", "Array must have at most {value} items"),
    "uniqueItems": ("unique", "array items must be unique"),
    "required": ("required", "{value} is required"),
    "minProperties": ("array_min_properties", "Must have at least {value} properties"),
    "maxProperties": ("array_max_properties", "Must have at most {value} properties"),
    "additionalProperties": ("additional_property_not_allowed", "Additional property {value} is not allowed"),
    "anyOf": ("number_any_of", "Must validate at least one schema (anyOf)"),
    "oneOf": ("number_one_of", "Must validate one and only one schema (oneOf)"),
    "not": ("number_not", "Must not validate the schema (not)"),
}
_BRANCHES = {"allOf", "anyOf", "oneOf"}
_NESTED = {"items", "not", "additionalProperties", "properties"} | _BRANCHES
_COPIED = _WORDING.keys() - _NESTED - {"exclusiveMinimum", "exclusiveMaximum"}


class InputSchema:
    """The compiled schema of one version; made by `compile_schema`."""

    def __init__(
        self,
        validators: Mapping[str, jsonschema_rs.Validator],
        required: tuple[str, ...],
        secrets: tuple[str, ...],
        complain: Complain,
        *,
        takes_any_key: bool,
    ) -> None:
        self.secrets = secrets
        """The names of the inputs that nobody is to be shown."""
        self._validators = validators
        self._required = required
        self._complain = complain
        self._takes_any_key = takes_any_key

    def check(self, input: Any) -> dict[str, Any]:
        """The input to store: keys the model does not take dropped, nothing else changed.

        InvalidRequest names all that is wrong. Dropping matters beyond tolerance: Replicate's JavaScript client can
        send its API token as a key `auth`.
        """
        if not isinstance(input, dict):
            raise InvalidRequest([_worded("type", "input", "object", input)])
        known = {name: value for name, value in input.items() if name in self._validators}
        wrong = [name for name, value in known.items() if not self._validators[name].is_valid(value)]
        problems = [_worded("required", "input", name) for name in self._required if name not in input]
        for name in wrong:
            problems += _explain(self._validators[name], f"input.{name}", known[name], self._complain)
        if problems:
            raise InvalidRequest(problems[:_PROBLEMS_MAX])
        return input if self._takes_any_key else known


def complain_of_no_uri(text: str) -> str | None:
    """As lenient as the Go validator, but for what cannot be fetched.

    A path of this machine must not reach a model: it would open whatever a client names.
    """
    scheme = _URI_SCHEME.match(text)
    if scheme and ("," in text if scheme[1].lower() == "data" else "\\" not in text and text.isprintable()):
        return None
    return "it has to be an http, https or data URL"


def compile_schema(
    openapi: Mapping[str, Any], component: str = "Input", complain: Complain = complain_of_no_uri
) -> InputSchema:
    """The check for one component of a model's OpenAPI 3.0 document; UnsupportedSchema names what cannot be checked.

    Patterns are matched in linear time, or in a bounded number of steps, so that none can stall the service.
    """
    if len(msgspec.json.encode(openapi)) > _BYTES_MAX:
        advice = "Shorten its descriptions, or its lists of choices."
        raise UnsupportedSchema(f"The schema of the model has more than {_BYTES_MAX} bytes. {advice}")
    translation = _Translation(_mapping(_mapping(openapi, "components"), "schemas"))
    root = translation.resolve({"$ref": _REFERENCE + component}, component)
    required = root.get("required", [])
    if not isinstance(required, list) or not all(isinstance(name, str) for name in required):
        raise UnsupportedSchema(f"{component}.required must be a list of names")
    validators, secrets = {}, []
    for name, source in _mapping(root, "properties").items():
        path = f"{component}.{name}"
        secrets_before = translation.secrets
        schema = translation.translate(source, path)
        if translation.secrets > secrets_before:
            secrets.append(name)
        if name not in required and translation.resolve(source, path).get("default") is None:
            # `seed: int = Input(default=None)`: published as a plain integer, yet None is what it gets when left out.
            schema = _or_null(schema)
        validators[name] = _validator(schema, path, complain)
    takes_any_key = root.get("additionalProperties") is True  # its predict() has **kwargs
    return InputSchema(validators, tuple(required), tuple(secrets), complain, takes_any_key=takes_any_key)


def check_schema(openapi: Mapping[str, Any]) -> None:
    """Raises UnsupportedSchema where inputs of predictions, or of trainings if there are such, could not be checked."""
    compile_schema(openapi)
    if "TrainingInput" in openapi["components"]["schemas"]:
        compile_schema(openapi, "TrainingInput")


class _Translation:
    """OpenAPI 3.0 to JSON Schema 2020-12: `nullable`, boolean bounds, and references put in place."""

    def __init__(self, components: Mapping[str, Any]) -> None:
        self._components = components
        self._nodes = 0
        self.secrets = 0
        """How many it has come by, at whatever depth."""

    def translate(self, source: Any, path: str, depth: int = 0) -> dict[str, Any]:
        self._nodes += 1
        if depth > _DEPTH_MAX or self._nodes > _NODES_MAX:
            raise UnsupportedSchema(f"{path} is too large or refers to itself")
        resolved = self.resolve(source, path)
        self.secrets += is_secret(resolved)
        schema = {keyword: value for keyword, value in resolved.items() if keyword in _COPIED}
        schema |= _exclusive_bounds(resolved)
        for keyword, nested in resolved.items():
            if keyword in _NESTED:
                schema[keyword] = self._translate_below(keyword, nested, f"{path}.{keyword}", depth + 1)
        if schema.get("additionalProperties") is False:
            schema.setdefault("properties", {})  # without it the validator does not say which key it minds
        return _or_null(schema) if resolved.get("nullable") is True else schema

    def resolve(self, source: Any, path: str) -> dict[str, Any]:
        """The schema behind a chain of references; what stands beside a reference overlays it."""
        for _ in range(_DEPTH_MAX):
            if not isinstance(source, dict):
                break
            if "$ref" not in source:
                return source
            reference = str(source["$ref"])
            target = (
                self._components.get(reference.removeprefix(_REFERENCE)) if reference.startswith(_REFERENCE) else None
            )
            overlay = {keyword: value for keyword, value in source.items() if keyword != "$ref"}
            source = {**target, **overlay} if isinstance(target, dict) else None
        raise UnsupportedSchema(f"{path} is not a schema, or refers to one that this document does not hold")

    def _translate_below(self, keyword: str, nested: Any, path: str, depth: int) -> Any:
        if keyword == "properties" and isinstance(nested, dict):
            return {name: self.translate(schema, f"{path}.{name}", depth) for name, schema in nested.items()}
        if keyword in _BRANCHES and isinstance(nested, list):
            return [self.translate(branch, path, depth) for branch in nested]
        if keyword == "additionalProperties" and isinstance(nested, bool):
            return nested
        return self.translate(nested, path, depth)


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    # Unlike `anyOf` with null this keeps the problems of a wrong value as they are.
    return {"if": {"type": "null"}, "else": schema}


def _exclusive_bounds(source: Mapping[str, Any]) -> dict[str, Any]:
    """OpenAPI 3.0 says `minimum: 0, exclusiveMinimum: true` where JSON Schema says `exclusiveMinimum: 0`."""
    bounds = {}
    for exclusive, inclusive in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        value = source.get(exclusive, False)
        if value is True and inclusive in source:
            bounds[exclusive] = source[inclusive]
        elif not isinstance(value, bool):
            bounds[exclusive] = value
    return bounds


def _mapping(document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = document.get(key, {})
    if not isinstance(value, dict):
        raise UnsupportedSchema(f"{key} must be an object")
    return value


def _validator(schema: dict[str, Any], path: str, complain: Complain) -> jsonschema_rs.Validator:
    try:
        return _compiled(schema, complain, jsonschema_rs.RegexOptions())
    except jsonschema_rs.ValidationError as error:
        steps = [str(step) for step in error.instance_path if step != "else"]
        where = ".".join([path, *steps])
        if not where.endswith(".pattern"):
            raise UnsupportedSchema(f"{where}: {error.message[:_ECHO_MAX]}") from None
        if "items" in steps:  # a hundred thousand of them would each have the steps of one
            raise UnsupportedSchema(f"{where} must be a regular expression that matches in linear time") from None
        return _looking_around(schema, where, complain)
    except ValueError as error:  # nested too deeply, or no JSON at all
        raise UnsupportedSchema(f"{path}: {error}") from None


def _looking_around(schema: dict[str, Any], where: str, complain: Complain) -> jsonschema_rs.Validator:
    """With an engine that knows lookaround and references; what takes it too many steps does not match."""
    try:
        return _compiled(schema, complain, jsonschema_rs.FancyRegexOptions(backtrack_limit=_BACKTRACKS_MAX))
    except jsonschema_rs.ValidationError:
        raise UnsupportedSchema(f"{where} must be a regular expression, and not a huge one") from None


def _compiled(
    schema: dict[str, Any],
    complain: Complain,
    patterns: jsonschema_rs.RegexOptions | jsonschema_rs.FancyRegexOptions,
) -> jsonschema_rs.Validator:
    formats = {"uri": lambda text: complain(text) is None}
    return jsonschema_rs.Draft202012Validator(
        schema, formats=formats, validate_formats=True, pattern_options=patterns, offline=True
    )


def _explain(validator: jsonschema_rs.Validator, field: str, value: Any, complain: Complain) -> list[Problem]:
    errors = _errors(validator, value)
    mistyped = [error.instance_path for error in errors if error.kind.name == "type"]
    problems = [
        _worded(
            error.kind.name,
            ".".join([field, *map(_clipped, error.instance_path)]),
            limit,
            inside := _inside(value, error),
            f": {complain(inside)}" if limit == "uri" and error.kind.name == "format" else "",
        )
        for error in errors
        for limit in _limits(error)
        if error.kind.name == "type" or error.instance_path not in mistyped
    ]
    return list(dict.fromkeys(problems))


def _errors(validator: jsonschema_rs.Validator, value: Any) -> list[jsonschema_rs.ValidationError]:
    if not isinstance(value, dict | list) or len(value) <= _EXPLAINED_ITEMS_MAX:
        return list(islice(validator.iter_errors(value), _PROBLEMS_MAX))
    try:
        validator.validate(value)
    except jsonschema_rs.ValidationError as first:
        return [first]
    return []


def _limits(error: jsonschema_rs.ValidationError) -> list[Any]:
    """What the value was measured against; every unexpected property is a problem of its own."""
    limit = error.kind.value
    return limit if error.kind.name == "additionalProperties" else [limit]


def _inside(value: Any, error: jsonschema_rs.ValidationError) -> Any:
    for step in error.instance_path:
        value = value[step]
    return value


def _worded(keyword: str, field: str, limit: Any, value: Any = None, hint: str = "") -> Problem:
    kind, text = _WORDING[keyword]
    shown = _shown(keyword, limit)
    return Problem(kind, field, text.format(field=field, value=shown, given=_type_name(value), hint=hint))


def _shown(keyword: str, limit: Any) -> str:
    if keyword == "enum":
        return ", ".join(map(_json, limit))
    if keyword == "const":
        return _json(limit)
    if keyword == "type" and isinstance(limit, list):
        return limit[0] if len(limit) == 1 else f"[{','.join(limit)}]"
    if isinstance(limit, float) and limit.is_integer():
        return str(int(limit))
    return _clipped(limit)


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _clipped(value: Any) -> str:
    return str(value)[:_ECHO_MAX]


def _type_name(value: Any) -> str:
    if isinstance(value, float) and not value.is_integer():
        return "number"
    names = {str: "string", bool: "boolean", int: "integer", float: "integer", dict: "object", list: "array"}
    return names.get(type(value), "null")
