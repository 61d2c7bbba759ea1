"""One server from its start to its end: the model beside the HTTP side, signals, and who waits for whom at the end.

What is answered stands in `app`, how the model is kept in `model`.
"""

import asyncio
import socket
from typing import TYPE_CHECKING

from serving.app import App
from serving.files import Files
from serving.model import Model
from serving.options import Options
from serving.outside import Outside
from serving.runs import Runs
from serving.training import Trainer
from serving.webhooks import Webhooks
from shared.tasks import end

if TYPE_CHECKING:
    from serving.listening import Listening


async def serve(options: Options, listener: socket.socket) -> None:
    """Until a signal or `POST /shutdown`, and then until the last prediction and training have ended."""
    if options.readiness_file:
        options.readiness_file.unlink(missing_ok=True)  # left by the container's run before this one
    outside = Outside()
    files = Files(outside, options.upload_url)
    model = Model(options, files.download)
    webhooks = Webhooks(outside, options.webhook_interval, options.webhook_token)
    predictions = Runs(model, files, webhooks, options.history_events)
    trainings = Runs(Trainer(model, options.setup_limit), files, webhooks, options.history_events)

    def cancel_all() -> None:
        predictions.cancel_all()
        trainings.cancel_all()

    keeper = asyncio.create_task(model.keep())
    try:
        listening = await asyncio.to_thread(_load)
        server = listening(
            lambda stop: App(model, predictions, trainings, stop), cancel_all, ignores_sigterm=options.ignores_sigterm
        )
        keeper.add_done_callback(server.stop_if_failed)
        await server.serve([listener])
        await predictions.drain()
        await trainings.drain()
        await webhooks.close()
        if keeper.done():
            keeper.result()
    finally:
        await end(keeper)
        await model.stop()
        await outside.close()


def _load() -> "type[Listening]":
    """In a thread, while the model starts: it takes about as long."""
    from serving.listening import Listening

    return Listening
