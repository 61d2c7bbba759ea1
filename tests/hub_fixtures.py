"""Models of a local Hub, pushed as far as their folder and set up in this process: what their predictors answer.

Nothing is asserted about the product here.
"""

import asyncio
import shutil
import sys
from collections.abc import AsyncIterator
from inspect import isawaitable
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT / "runtime"))

from cog.scope import Scope, running  # noqa: E402
from pinion_runtime.loading import Model  # noqa: E402
from pinion_runtime.schema import openapi  # noqa: E402

from cli.huggingface import folder_of  # noqa: E402
from tests.hub import Hub  # noqa: E402


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    hub = Hub(tmp_path / "hub")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(hub.folder))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return hub


class Loaded:
    """The predictor of a model of the Hub, set up as in its process; and what it said about its predictions."""

    def __init__(self, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(place)
        names: dict[str, Any] = {}
        exec((place / "predict.py").read_text(), names)
        self.predictor = names["Predictor"]()
        self.predictor.setup()
        signature = Model(self.predictor.predict).signature
        self.schema = openapi(signature)["components"]["schemas"]
        self.metrics: dict[str, Any] = {}
        self._usual = {each.name: each.field.default for each in signature.parameters}

    def predict_together(self, *given: dict[str, Any]) -> list[Any]:
        """All of them at once; for predictions that are awaited."""

        async def together() -> list[Any]:
            return await asyncio.gather(*(self.predictor.predict(**{**self._usual, **each}) for each in given))

        return asyncio.run(together())

    def predict(self, **given: Any) -> Any:
        token = running.set(Scope(lambda name, value, mode: self.metrics.update({name: value})))
        try:
            answer = self.predictor.predict(**{**self._usual, **given})
            return asyncio.run(_whole(answer)) if isawaitable(answer) or isinstance(answer, AsyncIterator) else answer
        finally:
            running.reset(token)


async def _whole(answer: Any) -> Any:
    return [piece async for piece in answer] if isinstance(answer, AsyncIterator) else await answer


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    def load(source: str, task: str | None = None) -> Loaded:
        with folder_of(source, task) as folder:
            copy = shutil.copytree(folder, tmp_path / "version", dirs_exist_ok=True)
        return Loaded(copy, monkeypatch)

    return load
