"""What a model takes, read from its OpenAPI document: the check of an input, and which of it are files and secrets.

Other spellings of numbers are read as `leniency` says. Nothing is fetched or run here.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from serving.leniency import read_leniently
from shared.file_inputs import file_inputs, replaced, with_defaults
from shared.input_schema import compile_schema
from shared.secret_inputs import masked


class Interface:
    """One model's; UnsupportedSchema when its input cannot be checked."""

    def __init__(self, openapi: dict[str, Any]) -> None:
        self.document = openapi
        self._schema = compile_schema(openapi)
        self.is_iterator = openapi["components"]["schemas"]["Output"].get("x-cog-array-type") == "iterator"

    @property
    def is_trainable(self) -> bool:
        return "TrainingInput" in self.document["components"]["schemas"]

    @cached_property
    def of_training(self) -> "Interface":
        """What train() takes and gives, in the place of what predict() does; UnsupportedSchema."""
        schemas = self.document["components"]["schemas"]
        its_own = {"Input": schemas["TrainingInput"], "Output": schemas["TrainingOutput"]}
        return Interface({**self.document, "components": {"schemas": {**schemas, **its_own}}})

    def check(self, given: Any) -> dict[str, Any]:
        """The input as the model takes it, without what it does not know; InvalidRequest names all that is wrong."""
        read = read_leniently(self.document, given) if isinstance(given, dict) else given
        return self._schema.check(read)

    def completed(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The input with the defaults that are files to be fetched."""
        return with_defaults(self.document, given)

    def files(self, given: Mapping[str, Any]) -> dict[str, str]:
        """The URLs of an input that name files, by names like `image` and `images.0`."""
        return file_inputs(self.document, given)

    def with_files(self, given: Mapping[str, Any], paths: Mapping[str, str]) -> dict[str, Any]:
        """An input with local paths in place of those URLs."""
        return replaced(self.document, given, lambda name, url: paths[name])

    def shown(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """An input as it may be repeated to whoever asks."""
        return masked(given, self._schema.secrets)
