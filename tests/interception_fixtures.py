"""generate() stood in for as in a model process, and as it was again after the test.

Whoever imports `intercepted` has it for each test of the module.
"""

import sys

import pytest
import torch
from transformers.generation.utils import GenerationMixin
from transformers.tokenization_utils_tokenizers import TokenizersBackend

import tests.text_models  # noqa: F401  first: it finds the runtime

from pinion_generate import interception  # isort: skip


@pytest.fixture(autouse=True)
def intercepted(monkeypatch: pytest.MonkeyPatch) -> None:
    for owner, name in ((GenerationMixin, "generate"), (TokenizersBackend, "_encode_plus")):
        monkeypatch.setattr(owner, name, getattr(owner, name))
    for owner in (torch, torch.random):
        monkeypatch.setattr(owner, "manual_seed", owner.manual_seed)
    monkeypatch.setattr(sys, "setswitchinterval", lambda seconds: None)
    interception.intercept([], print)
