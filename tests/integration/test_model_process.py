"""Real model processes on five-line predictors: what they say, how they are canceled, how they die."""

import asyncio
import os
import random
import signal
import socket
import sys
import textwrap
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import uvloop

from tests.model_processes import PATIENCE_SECONDS, PREDICTORS, ROOT, Heard, Start, content_of, is_running, run, until
from worker.cell import open_cell
from worker.child import spawn
from worker.events import Done, Event, Log, Metric, Output, SetupFailed
from worker.frames import Lines
from worker.process import ModelProcess
from worker.surroundings import build_environment

TOKENS = ("HF_TOKEN", "HF_TOKEN_PATH", "HUGGING_FACE_HUB_TOKEN", "COG_API_KEY")


async def test_a_whole_value_comes_with_the_end(start: Start):
    process = await start("echo")
    heard = Heard()
    done = await run(process, heard, text="hallo")
    assert (done.status, done.output, done.error) == ("succeeded", "hallo", None)
    assert done.predict_time is not None
    assert 0 < done.predict_time < 10
    assert heard.events == []
    assert not process.is_iterator
    assert process.concurrency == 1


async def test_the_items_of_an_iterator_come_one_by_one(start: Start):
    process = await start("counts_slowly")
    heard = Heard()
    running = asyncio.create_task(run(process, heard, to=3, seconds=0.05))
    await heard.until(lambda heard: len(heard.items) == 1)
    assert not running.done()
    assert (await running).output is None
    assert heard.items == ["1 ", "2 ", "3 "]
    assert process.is_iterator


async def test_an_async_model_is_served_like_any_other(start: Start):
    counting, echoing = await start("async_counts"), await start("async_echo")
    heard = Heard()
    assert (await run(counting, heard, to=2)).status == "succeeded"
    assert heard.items == ["1 ", "2 "]
    assert (await run(echoing, text="hallo")).output == "hallo"


async def test_metrics_come_between_the_items(start: Start):
    heard = Heard()
    await run(await start("records_metrics"), heard)
    assert heard.events == [Output(1), Metric("tokens", 2, "replace"), Metric("tokens", 3, "incr"), Output(2)]


async def test_a_lost_device_fails_what_runs_and_ends_the_process(start: Start):
    process = await start("loses_its_device", seconds=12 * PATIENCE_SECONDS)  # it imports torch
    assert (await run(process, length=3)).output == 3
    assert {name: process.figures.values[f"engine.{name}"] for name in ("tokens", "rows", "waiting")} == {
        "tokens": 3,
        "rows": 0,
        "waiting": 0,
    }
    told = [{"length": 100_000}, {"length": 100_000}, {"length": 100_000, "loses": True}]
    async with asyncio.timeout(PATIENCE_SECONDS):
        heard = [Heard() for _ in told]
        runs = (process.predict(f"lost {number}", told[number], heard[number].take) for number in range(len(told)))
        all_ended = await asyncio.gather(*runs)
    for ended in all_ended:
        assert ended.status == "failed"
        assert "The model failed while it wrote: CUDA error: an illegal memory access" in (ended.error or "")
    async with asyncio.timeout(PATIENCE_SECONDS):
        await process.wait_closed()
    assert process.fault is not None
    # Where the last of them had not yet been told, it alone was running, and what is printed counts as its own.
    printed = process.stray_logs + "".join(each.logs for each in heard)
    assert "The device is lost, so this process ends" in printed


async def test_what_is_recorded_outside_a_prediction_tells_of_the_process(start: Start):
    process, heard = await start("tells_of_its_process"), Heard()
    await run(process, heard)
    assert heard.events == [Metric("tokens", 5, "replace")]
    assert process.figures.values == {"cache.size": 4, "steps": 5}


async def test_all_that_is_printed_is_heard_in_order_and_before_the_end(start: Start):
    process = await start("prints_everywhere")
    for _ in range(20):
        heard = Heard()
        await run(process, heard)
        assert heard.logs == "python\nerror\nraw é\nchild\nc\n10%\r20%\rno end of line"


async def test_what_is_printed_before_an_item_is_heard_before_it(start: Start):
    heard = Heard()
    await run(await start("prints_between"), heard, to=200)
    logs = ""
    for event in heard.events:
        logs += event.text if isinstance(event, Log) else ""
        assert not isinstance(event, Output) or f"before {event.value};" in logs
    assert heard.items == list(range(200))


async def test_a_flood_of_logs_does_not_block_the_loop(start: Start):
    process = await start("floods")
    heard = Heard()
    running = asyncio.create_task(run(process, heard, lines=100_000))
    turns = 0
    while not running.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns > len(heard.events) > 10, "others had their turn after each that was heard"


async def test_inputs_are_completed_and_converted_in_the_child(start: Start, tmp_path: Path):
    file = tmp_path / "file.txt"
    file.write_text("content")
    process = await start("takes_everything")
    given = {"count": 3.0, "scale": 2, "file": str(file), "files": [str(file)], "password": "open sesame", "other": 1}
    output = (await run(process, **given)).output
    kinds = output.pop("types")
    assert output == {
        "count": 3,
        "scale": 2.0,
        "seed": None,
        "content": "content",
        "contents": ["content"],
        "secret": "open sesame",
        "shown": "**********",
    }
    assert (kinds["count"], kinds["scale"], kinds["file"]) == ("int", "float", "Path")
    assert (kinds["seed"], kinds["hint"], kinds["size"]) == ("NoneType", "NoneType", "str")
    assert "other" not in kinds


async def test_an_input_that_does_not_fit_fails_the_prediction_alone(start: Start):
    process = await start("takes_everything")
    done = await run(process, count=3.5)
    assert (done.status, done.error) == ("failed", "input.count: must be a whole number")
    assert (await run(process)).status == "succeeded"


@pytest.mark.parametrize(
    ("what", "output"),
    [
        ("record", {"name": "a", "point": {"x": 1, "near": "red"}}),
        ("set", [3]),
        ("generator", [0, 1, 2]),
        ("time", "2026-01-02T00:00:00+00:00"),
        ("false", False),
        ("empty", ""),
        ("none", None),
        ("unclean", "a\ufffdb\ufffdc\\u0000"),
    ],
)
async def test_anything_that_json_can_express_may_be_returned(start: Start, what: str, output: Any):
    assert await run(await start("returns_anything"), what=what) == Done(
        "succeeded", output, None, pytest.approx(0, abs=1)
    )


async def test_what_json_cannot_express_fails_with_a_clear_text(start: Start):
    process = await start("returns_anything")
    not_a_number, an_object = await run(process, what="nan"), await run(process, what="object")
    assert not_a_number.error == "The output contains NaN or Infinity, which JSON cannot express."
    assert an_object.error == "The output contains a value of type object, which cannot be expressed in JSON."


async def test_a_file_is_handed_over_by_its_name(start: Start, tmp_path: Path):
    process = await start("returns_anything")
    (tmp_path / "picture.png").write_bytes(b"\x89")
    done = await run(process, what="file", path=str(tmp_path / "picture.png"))
    assert done.output == [{"$file": str(tmp_path / "picture.png")}]
    missing = await run(process, what="file", path="missing.png")
    assert missing.error == "The output names the file missing.png, which does not exist."
    in_memory = (await run(process, what="bytes")).output["$file"]
    assert content_of(in_memory) == b"\xff"
    os.unlink(in_memory)


async def test_a_large_value_passes_both_ways(start: Start):
    assert len((await run(await start("returns_anything"), what="large", size=32_000_000)).output) == 32_000_000
    text = "ä" * 2_000_000
    assert (await run(await start("echo"), text=text)).output == text


async def test_an_output_that_everybody_would_wait_for_is_refused_by_the_model_process(start: Start):
    process = await start("returns_anything")
    done = await run(process, what="large", size=32 << 20)
    assert done.error == (
        "The output is too large: it has 33,554,434 characters of JSON, and 33,554,432 are allowed at once. "
        "Return it as a file (cog.Path), or yield it in parts."
    )
    assert (await run(process, what="false")).output is False


async def test_a_line_without_end_from_a_model_ends_it_instead_of_filling_our_memory(start: Start, tmp_path: Path):
    (tmp_path / "cog.yaml").write_text("predict: predict.py:predict\n")
    (tmp_path / "predict.py").write_text(
        "import os, sys\n"
        "frames = int(sys.orig_argv[-1])\n"
        "def predict() -> str:\n"
        "    while True:\n"
        "        os.write(frames, b'x' * (1 << 20))\n"
    )
    process = await start(tmp_path)
    process._lines = Lines(8 << 20)
    assert (await run(process)).error == "The model process sent something that is no frame."


async def test_a_model_that_raises_fails_with_its_message_and_lives_on(start: Start):
    process = await start("raises")
    heard = Heard()
    done = await run(process, heard)
    assert (done.status, done.error) == ("failed", "out of cheese")
    assert heard.logs.startswith('Traceback (most recent call last):\n  File "')
    assert heard.logs.endswith(
        'predict.py", line 6, in predict\n    raise ValueError(message * times)\nValueError: out of cheese\n'
    )
    assert (await run(process)).error == "out of cheese"


async def test_a_message_is_cut_and_made_printable_and_never_empty(start: Start):
    process = await start("raises")
    assert len(((await run(process, message="ä", times=10_000)).error or "").encode()) <= 4096
    assert (await run(process, message="a\0b\x1b[31m\ud800")).error == "a\ufffdb\ufffd[31m\ufffd"
    assert (await run(process, message="")).error == "ValueError"


async def test_a_model_that_calls_exit_fails_and_lives_on(start: Start):
    process = await start("exits")
    assert (await run(process, code=3)).error == "SystemExit: 3"
    assert process.alive


async def test_a_process_that_exits_says_with_which_code(start: Start):
    process = await start("exits")
    done = await run(process, code=3, at_once=True)
    assert done.status == "failed"
    assert done.error == "The model process exited with code 3. It will be started again for the next prediction."
    await process.wait_closed()
    assert not process.alive
    assert (await run(process, code=3)).status == "failed"


@pytest.mark.parametrize(
    ("number", "name", "guess"),
    [
        (signal.SIGKILL, "SIGKILL", ", probably because the machine ran out of memory"),
        (signal.SIGSEGV, "SIGSEGV", ""),
    ],
)
async def test_a_process_that_is_killed_says_by_what(start: Start, number: signal.Signals, name: str, guess: str):
    done = await run(await start("kills_itself"), with_signal=int(number))
    assert done.error == (
        f"The model process was killed by signal {int(number)} ({name}){guess}. "
        "It will be started again for the next prediction."
    )


async def test_a_forked_copy_of_the_model_does_not_answer(start: Start):
    process = await start("forks")
    for _ in range(3):
        assert (await run(process)).output == "parent"


async def test_a_cancel_ends_a_sleep_in_c_at_once(start: Start):
    process = await start("sleeps_in_c")
    heard = Heard()
    running = asyncio.create_task(run(process, heard, seconds=60))
    await heard.until(lambda heard: heard.logs == "asleep\n")
    process.cancel("p1")
    done = await running
    assert (done.status, done.error) == ("canceled", None)
    assert done.predict_time is not None  # the model answered, it was not killed
    assert (await run(process, seconds=0)).output == "awake"


async def test_a_cancel_that_comes_in_the_moment_before_a_sleep_ends_it_too(start: Start):
    """A signal then is noted by the interpreter, but the sleep in C begins all the same."""
    process = await start("does_as_told")
    for _ in range(500):
        heard = Heard()
        running = asyncio.create_task(run(process, heard, name="ann", what="wait"))
        await heard.until(lambda heard: bool(heard.logs))
        process.cancel("p1")
        done = await running
        assert (done.status, done.predict_time is None) == ("canceled", False)


@pytest.mark.parametrize("predictor", ["spins", "swallows_cancel"])
async def test_a_prediction_is_canceled_even_if_the_model_does_not_want_it(start: Start, predictor: str):
    process = await start(predictor)
    heard = Heard()
    running = asyncio.create_task(run(process, heard))
    await heard.until(lambda heard: bool(heard.logs))
    process.cancel("p1")
    process.cancel("p1")
    done = await running
    assert (done.status, done.output) == ("canceled", None)
    assert process.alive


@pytest.mark.parametrize(("predictor", "given"), [("ignores_cancel", {}), ("swallows_cancel", {"patience": 60})])
async def test_a_model_that_goes_on_after_the_grace_is_ended(start: Start, predictor: str, given: dict[str, Any]):
    process = await start(predictor)
    heard = Heard()
    running = asyncio.create_task(run(process, heard, **given))
    await heard.until(lambda heard: bool(heard.logs))
    process.cancel("p1")
    assert await running == Done("canceled")
    assert not process.alive


async def test_a_canceled_iterator_keeps_its_items_and_cleans_up(start: Start):
    process = await start("cleans_up")
    heard = Heard()
    running = asyncio.create_task(run(process, heard))
    await heard.until(lambda heard: bool(heard.items))
    process.cancel("p1")
    assert (await running).status == "canceled"
    assert (heard.items, heard.logs) == (["first"], "cleaned up\n")


async def test_an_async_model_is_canceled_while_it_waits(start: Start):
    counting, echoing = await start("async_counts"), await start("async_echo")
    heard = Heard()
    running = asyncio.create_task(run(counting, heard, to=3, seconds=60))
    await heard.until(lambda heard: bool(heard.items))
    counting.cancel("p1")
    assert (await running).predict_time is not None
    running = asyncio.create_task(run(echoing, text="never", seconds=60))
    await asyncio.sleep(0)  # it is sent, perhaps not yet started
    echoing.cancel("p1")
    assert (await running).status == "canceled"
    assert (await run(echoing, text="next")).output == "next"


@pytest.mark.parametrize(
    ("predictor", "given"),
    [
        ("sleeps_in_c", {"seconds": 0.0002}),
        ("counts_slowly", {"to": 4, "seconds": 0.0001}),
        ("async_counts", {"to": 4, "seconds": 0.0001}),
    ],
)
async def test_a_late_cancel_never_hits_the_next_prediction(start: Start, predictor: str, given: dict[str, Any]):
    """The cancel is sent at every moment around the end of a prediction, while the next one is already on its way."""
    process = await start(predictor)
    loop = asyncio.get_running_loop()
    statuses, began = set(), loop.time()
    for _ in range(20):
        await run(process, **given)
    usual_seconds = (loop.time() - began) / 20
    for round_number in range(300):
        first, second = f"first{round_number}", f"second{round_number}"
        predictions = [asyncio.create_task(process.predict(each, given, Heard().take)) for each in (first, second)]
        loop.call_later(random.uniform(0, 2 * usual_seconds), process.cancel, first)
        canceled, untouched = await asyncio.gather(*predictions)
        statuses.add(canceled.status)
        assert untouched.status == "succeeded"
        assert canceled.error is None
    assert statuses == {"canceled", "succeeded"}
    assert process.alive


async def test_canceling_what_does_not_run_does_nothing(start: Start):
    process = await start("echo")
    process.cancel("nobody")
    await run(process, text="before")
    process.cancel("p1")
    assert (await run(process, text="after")).output == "after"


async def test_a_canceled_prediction_that_waits_does_not_cost_the_running_one_its_process(start: Start):
    process = await start("sleeps_in_c")
    running = asyncio.create_task(process.predict("first", {"seconds": 0.8}, Heard().take))
    waiting = asyncio.create_task(process.predict("second", {"seconds": 60}, Heard().take))
    await asyncio.sleep(0)
    process.cancel("second")
    assert (await running).status == "succeeded"
    assert (await waiting).status == "canceled"
    assert process.alive


async def test_a_prediction_nobody_waits_for_any_more_is_canceled(start: Start):
    process = await start("sleeps_in_c")
    heard = Heard()
    running = asyncio.create_task(run(process, heard, seconds=60))
    await heard.until(lambda heard: bool(heard.logs))
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert (await process.predict("p2", {"seconds": 0}, Heard().take)).output == "awake"


async def test_an_error_of_the_listener_is_raised_and_the_process_goes_on(start: Start):
    process = await start("counts_slowly")

    def take(event: Event) -> None:
        raise LookupError("the listener is broken")

    with pytest.raises(LookupError, match="the listener is broken"):
        await process.predict("p1", {"to": 100, "seconds": 1}, take)
    heard = Heard()
    await process.predict("p2", {"to": 1}, heard.take)
    assert heard.items == ["1 "]


@pytest.mark.parametrize(
    ("predictor", "message", "logs"),
    [
        ("fails_in_setup", "the weights are missing", "loading weights\nTraceback (most recent call last):\n"),
        ("fails_at_import", "No module named 'a_module_that_is_not_there'", "Traceback (most recent call last):\n"),
        ("dies_in_setup", "The model process exited with code 7 during setup.", ""),
    ],
)
async def test_a_failed_setup_says_why(start: Start, predictor: str, message: str, logs: str):
    heard: list[str] = []
    with pytest.raises(SetupFailed) as failure:
        await start(predictor, on_setup_log=heard.append)
    assert failure.value.message == str(failure.value) == message
    assert failure.value.logs.startswith(logs)
    assert "".join(heard) == failure.value.logs
    assert "pinion_runtime" not in failure.value.logs


async def test_an_unusual_type_is_refused_with_the_name_of_the_parameter(start: Start):
    with pytest.raises(SetupFailed, match=r"The parameter 'numbers' has the type set\. Allowed are str, int, "):
        await start("unusual_type")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "The model has no cog.yaml."),
        ("predict: [", "cog.yaml is no valid YAML at line 1, column "),
        ("just text", "cog.yaml must be a mapping of keys"),
        ("build: {}", "cog.yaml must name the predictor"),
        ("predict: predict.py:A\nrun: run.py:B", "cog.yaml must name the predictor"),
        ("predict: Predictor", "cog.yaml must name the predictor"),
        ("predict: predict.py:Predictor\nenvironment: {A: b}", "`environment` in cog.yaml must be a list"),
        ("predict: missing.py:Predictor", "cog.yaml names missing.py, but the model has no such file."),
        ("predict: predict.py:Missing", "predict.py has no class or function named Missing."),
        ("predict: predict.py:Empty", "Empty in predict.py has neither predict() nor run()"),
    ],
)
async def test_a_wrong_cog_yaml_is_explained(start: Start, tmp_path: Path, content: str | None, message: str):
    (tmp_path / "predict.py").write_text("class Empty: ...\n")
    if content is not None:
        (tmp_path / "cog.yaml").write_text(content)
    with pytest.raises(SetupFailed) as failure:
        await start(tmp_path)
    assert str(failure.value).startswith(message)


async def test_a_python_that_is_not_there_is_a_failed_setup(start: Start, tmp_path: Path):
    with pytest.raises(SetupFailed, match="could not be started: No such file"):
        await start("echo", python=tmp_path / "python")


async def test_a_model_sees_neither_our_secrets_nor_our_code(start: Start, monkeypatch: pytest.MonkeyPatch):
    for secret in ("DATABASE_URL", "REDIS_URL", "PINION_SECRET_KEY", "AWS_SECRET_ACCESS_KEY", *TOKENS):
        monkeypatch.setenv(secret, "canary")
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    process = await start("reveals_surroundings")
    seen = (await run(process)).output
    assert "canary" not in seen["environment"].values()
    assert b"canary" not in content_of(f"/proc/{seen['process']}/environ")
    assert seen["environment"]["GREETING"] == "a=b"
    assert seen["environment"]["CUDA_VISIBLE_DEVICES"] == "1"
    assert seen["environment"]["TOKENIZERS_PARALLELISM"] == "false"
    assert not {"api", "shared", "worker", "cli", "yaml"} & set(seen["modules"])


async def test_a_model_has_the_token_it_asks_for_by_name(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name in TOKENS:
        monkeypatch.setenv(name, "canary")
    (tmp_path / "cog.yaml").write_text("predict: predict.py:predict\nenvironment: [HF_TOKEN, A=b]\n")
    (tmp_path / "predict.py").write_text("import os\ndef predict() -> dict:\n    return dict(os.environ)\n")
    seen = (await run(await start(tmp_path))).output
    assert [name for name in seen if seen[name] == "canary"] == ["HF_TOKEN"]
    assert seen["A"] == "b"


def test_what_packages_run_while_they_are_built_has_no_token_either(monkeypatch: pytest.MonkeyPatch):
    for name in (*TOKENS, "UV_INDEX_OURS_PASSWORD"):
        monkeypatch.setenv(name, "canary")
    built = build_environment({})
    assert [name for name in built if built[name] == "canary"] == ["UV_INDEX_OURS_PASSWORD"]


async def test_a_model_runs_in_its_own_folder_as_if_it_were_the_program(start: Start):
    seen = (await run(await start("reveals_surroundings"))).output
    folder = str(PREDICTORS / "reveals_surroundings")
    assert seen["folder"] == folder
    assert seen["path"][:2] == [folder, str(ROOT / "runtime")]
    assert seen["arguments"] == ["predict.py"]
    assert (seen["module"], seen["neighbour"], seen["stdin"]) == ("predict", "next door", "")


async def test_a_model_gives_up_what_it_does_not_need(start: Start, tmp_path: Path):
    (tmp_path / "cog.yaml").write_text("predict: predict.py:predict\n")
    (tmp_path / "predict.py").write_text(
        "import os, resource\n"
        "def predict() -> list:\n"
        "    status = dict(line.split(':', 1) for line in open('/proc/self/status'))\n"
        "    core = resource.getrlimit(resource.RLIMIT_CORE)\n"
        "    return [os.umask(0), int(status['NoNewPrivs']), core[0], os.getpgrp() == os.getpid()]\n"
    )
    if sys.platform != "linux":
        pytest.skip("only Linux tells")
    assert (await run(await start(tmp_path))).output == [0o077, 1, 0, True]


async def test_stopping_ends_the_children_of_a_model_too(start: Start):
    process = await start("leaves_children")
    child = (await run(process)).output
    assert is_running(child)
    await process.stop()
    await process.stop()
    await until(lambda: not is_running(child))
    assert not process.alive


async def test_stopping_waits_for_the_running_prediction_within_the_grace(start: Start):
    process = await start("sleeps_in_c")
    heard = Heard()
    running = asyncio.create_task(run(process, heard, seconds=0.2))
    await heard.until(lambda heard: bool(heard.logs))
    await process.stop(timedelta(seconds=PATIENCE_SECONDS))
    assert (await running).output == "awake"


async def test_a_prediction_longer_than_the_grace_fails_when_the_process_is_stopped(start: Start):
    process = await start("sleeps_in_c")
    heard = Heard()
    running = asyncio.create_task(run(process, heard, seconds=60))
    await heard.until(lambda heard: bool(heard.logs))
    await process.stop(timedelta(milliseconds=50))
    assert await running == Done("failed", error="The model process was stopped.")


async def test_a_process_that_is_being_set_up_is_given_no_grace(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("COG_WEIGHTS", str(tmp_path / "never"))
    process = await ModelProcess.start(PREDICTORS / "waits_in_setup")
    async with asyncio.timeout(PATIENCE_SECONDS):
        await process.stop(timedelta(hours=1))
    with pytest.raises(SetupFailed, match=r"The model process was stopped\."):
        await process.ready()


@pytest.mark.parametrize("where", ["", "def setup(self): time.sleep(600)"])
async def test_a_model_that_is_not_set_up_in_time_is_stopped_and_says_so(start: Start, tmp_path: Path, where: str):
    (tmp_path / "cog.yaml").write_text("predict: predict.py:Predictor\n")
    body = f"class Predictor:\n    {where or 'pass'}\n    def predict(self) -> str: return ''\n"
    begin = "import os, time\nopen('pid', 'w').write(str(os.getpid()))\nprint('begun', flush=True)\n"
    (tmp_path / "predict.py").write_text(begin + ("" if where else "time.sleep(600)\n") + body)
    with pytest.raises(SetupFailed, match=r"not set up within 1 seconds") as failure:
        await start(tmp_path, setup_limit=timedelta(seconds=1))
    assert failure.value.logs == "begun\n"
    await until(lambda: not is_running(int((tmp_path / "pid").read_text())))


async def test_a_start_that_is_given_up_leaves_no_process(tmp_path: Path):
    (tmp_path / "cog.yaml").write_text("predict: predict.py:predict\n")
    (tmp_path / "predict.py").write_text("import os, time\nopen('pid', 'w').write(str(os.getpid()))\ntime.sleep(600)\n")
    starting = asyncio.create_task(ModelProcess.start(tmp_path))
    await until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text() != "")
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert not is_running(int((tmp_path / "pid").read_text()))


async def test_a_model_process_dies_with_its_parent(tmp_path: Path):
    """Killed, the parent can tell nobody; the model holds the interpreter and could not listen."""
    program = """
        import asyncio, pathlib, sys
        from worker.events import Log
        from worker.process import ModelProcess

        async def main():
            process = await ModelProcess.start(pathlib.Path(sys.argv[1]))
            await process.ready()
            print(process._child.process.pid, flush=True)
            await process.predict("p1", {}, lambda event: print("runs", flush=True))

        asyncio.run(main())
    """
    parent = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        textwrap.dedent(program),
        str(PREDICTORS / "spins"),
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    assert parent.stdout is not None
    child = int(await parent.stdout.readline())
    assert await parent.stdout.readline() == b"runs\n"
    parent.kill()
    await parent.wait()
    await until(lambda: not is_running(child))


def test_the_event_loop_of_the_service_closes_the_way_to_a_process_once(tmp_path: Path):
    """It closes the number of a pipe, and then the pipe's file closes it again, while it may be another thread's file.

    That cannot be seen from here; a socket it detaches from its number instead.
    """

    async def start_and_end() -> None:
        cell = await open_cell(tmp_path, Path(sys.executable), None)
        child = await spawn(cell, Path("/bin/true"), tmp_path, {})
        ours = child.control.get_extra_info("pipe")
        await child.wait()
        child.close()
        await cell.leave()
        assert isinstance(ours, socket.socket)

    uvloop.run(start_and_end())
