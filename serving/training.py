"""Trainings of the model: each in a process of its own, which ends with it, beside the one that predicts.

They are begun, canceled and followed by `runs`.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path

from serving.interface import Interface
from serving.model import Model
from shared.errors import ModelNotReady, NotFound, UnsupportedSchema
from worker.excerpt import Excerpt
from worker.process import ModelProcess
from worker.shelf import Say


class Trainer:
    busy = "Already running a training"
    concurrency = 1

    def __init__(self, model: Model, setup_limit: timedelta | None) -> None:
        self.folder = model.folder
        self._model = model
        self._setup_limit = setup_limit

    def ready(self) -> tuple[Callable[[Say], AbstractAsyncContextManager[ModelProcess]], Interface]:
        """As soon as the model is imported: it may need the weights of a training for its own setup().

        Raises ModelNotReady, or NotFound without a train().
        """
        python, interface = self._model.python, self._model.interface
        if python is None or interface is None:
            raise ModelNotReady("The model has not been imported; /health-check shows how it stands.")
        if not interface.is_trainable:
            raise NotFound('cog.yaml names nothing to train, like `train: "train.py:train"`.')
        try:
            return partial(self._process, python), interface.of_training
        except UnsupportedSchema as error:
            raise ModelNotReady(error.message) from error

    @asynccontextmanager
    async def _process(self, python: Path, say: Say) -> AsyncIterator[ModelProcess]:
        process = await ModelProcess.start(
            self.folder,
            mode="train",
            python=python,
            setup_limit=self._setup_limit,
            on_setup_log=_bounded(say),
        )
        try:
            await process.ready()
            yield process
        finally:
            await process.stop(timedelta(0))


def _bounded(say: Say) -> Say:
    logs = Excerpt()

    def say_some(text: str) -> None:
        if shown := logs.take(text):
            say(shown)

    return say_some
