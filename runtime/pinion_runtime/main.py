"""The program of a model process: `python -I main.py <control descriptor> <frames descriptor>` in the model's folder.

It only puts the pieces together; what the frames mean stands in frames.py.
"""

from __future__ import annotations

import faulthandler
import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pinion_runtime.control import Control
    from pinion_runtime.frames import FrameWriter
    from pinion_runtime.loading import Model
    from pinion_runtime.serving import Serving
    from pinion_runtime.serving_async import AsyncServing
    from pinion_runtime.serving_threads import ThreadServing

_RUNTIME = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def main() -> int:
    sys.path.insert(0, _RUNTIME)
    from pinion_runtime.confinement import confine

    confine()
    control_descriptor, frames_descriptor = int(sys.argv[1]), int(sys.argv[2])
    os.set_inheritable(control_descriptor, False)
    os.set_inheritable(frames_descriptor, False)
    _prepare_path()
    from pinion_runtime import logs, renames, routing
    from pinion_runtime.control import Control
    from pinion_runtime.frames import FrameWriter, read_frames

    faulthandler.enable()  # a crash in C leaves its traceback in the logs
    logs.prepare()
    routing.install()
    renames.install()
    frames = read_frames(control_descriptor)
    start = next(frames, None)
    if start is None:
        return 1
    reference = start["train"] if start["mode"] == "train" else start["reference"]
    sys.argv[:] = [reference.partition(":")[0]]
    control = Control()
    control.listen(frames)
    return _run(start, control, FrameWriter(frames_descriptor))


def _prepare_path() -> None:
    """The model's folder first, then ours; our own modules are imported before a model can shadow them."""
    import pinion_runtime.schema
    import pinion_runtime.serving  # noqa: F401

    extra = os.environ.get("PYTHONPATH", "").split(os.pathsep)  # -I ignored it, but cog.yaml may have set it
    sys.path[:1] = [os.getcwd(), _RUNTIME, *filter(None, extra)]


def _run(start: dict[str, Any], control: Control, writer: FrameWriter) -> int:
    from pinion_runtime import logs
    from pinion_runtime.answering import record_for_process
    from pinion_runtime.failures import ModelError, text_of
    from pinion_runtime.frames import compose

    record_for_process(writer)
    try:
        serving = _load(start, control, writer)
        serving.set_up()
    except BaseException as error:  # user code: also SystemExit is a failed setup
        if not isinstance(error, ModelError):
            logs.print_traceback(error)
        logs.flush()
        writer.write(compose("setup_failed", {"error": text_of(error)}))
        return 1
    logs.flush()
    writer.write(compose("ready", {"concurrency": serving.concurrency}))
    serving.serve()
    return 0


def _load(start: dict[str, Any], control: Control, writer: FrameWriter) -> Serving | AsyncServing | ThreadServing:
    from pinion_runtime import logs
    from pinion_runtime.concurrency import concurrency_of
    from pinion_runtime.frames import compose
    from pinion_runtime.loading import load, load_training
    from pinion_runtime.schema import openapi

    is_training = start["mode"] == "train"
    model = load_training(start["train"]) if is_training else load(start["reference"])
    training = model if is_training else _training(start["train"])
    concurrency = 1 if is_training else concurrency_of(model, start["concurrency"])
    fields = {
        "openapi": openapi(model.signature, training.signature if training else None),
        "iterator": model.signature.is_iterator,
        "healthcheck": model.healthcheck is not None,
    }
    logs.flush()  # a push is over with the schema, and shows what was printed until then
    writer.write(compose("schema", fields))
    if concurrency > 1:
        from pinion_runtime import inheritance

        inheritance.install()
    if model.signature.is_async:
        from pinion_runtime.serving_async import AsyncServing

        return AsyncServing(model, control, writer, concurrency)
    if concurrency > 1:
        from pinion_runtime.serving_threads import ThreadServing

        return ThreadServing(model, control, writer, concurrency)
    from pinion_runtime.serving import Serving

    return Serving(model, control, writer)


def _training(reference: str | None) -> Model | None:
    """What can be trained, for the document. A training that cannot be loaded must not keep the model from serving."""
    from pinion_runtime import logs
    from pinion_runtime.loading import load_training

    try:
        return load_training(reference) if reference else None
    except (Exception, SystemExit) as error:  # user code
        logs.print_traceback(error)
        return None


if __name__ == "__main__":
    sys.exit(main())
