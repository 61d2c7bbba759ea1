"""Several predictions at once in one model process: what each of them prints, records and suffers stays its own."""

import asyncio
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from tests.model_processes import PATIENCE_SECONDS, Heard, Start
from worker.events import Done, Metric, SetupFailed
from worker.process import ModelProcess

SERIAL = "class Predictor:\n    def predict(self) -> str: return ''\n"
TOGETHER = ("runs_together", "runs_together_in_threads")
TWO = ("runs_two_at_once", "runs_two_in_threads")
PARALLEL = "import cog\nclass Predictor:\n    {}\n    async def predict(self) -> str: return ''\n"


def begin(
    process: ModelProcess, name: str, heard: Heard | None = None, context: dict[str, str] | None = None, **given: Any
) -> asyncio.Task[Done]:
    listener = heard or Heard()
    return asyncio.create_task(process.predict(name, {"name": name, **given}, listener.take, context=context))


@pytest.mark.parametrize("model", TOGETHER)
async def test_predictions_run_together_and_keep_their_logs_items_and_metrics_apart(start: Start, model: str):
    process = await start(model)
    assert process.concurrency == 3
    heard = {name: Heard() for name in ("ann", "bob", "cid")}
    async with asyncio.timeout(PATIENCE_SECONDS):
        done = await asyncio.gather(*(begin(process, name, heard[name], together=3) for name in heard))
    assert [each.status for each in done] == ["succeeded"] * 3
    for name, said in heard.items():
        assert said.items == [f"{name}{number}" for number in range(3)]
        lines = "".join(f"{name} prints {number}\n{name} warns {number};" for number in range(3))
        assert said.logs == f"{lines}the end of {name}"
        assert [each for each in said.events if isinstance(each, Metric)] == [
            Metric(name, number, "replace") for number in range(3)
        ]
    assert process.stray_logs == ""


@pytest.mark.parametrize("model", TOGETHER)
async def test_what_is_printed_before_an_item_is_heard_before_it_also_beside_others(start: Start, model: str):
    process = await start(model)
    heard = Heard()
    async with asyncio.timeout(PATIENCE_SECONDS):
        await asyncio.gather(begin(process, "ann", heard, together=2, to=50), begin(process, "bob", together=2, to=50))
    logs = ""
    for event in heard.events:
        logs += getattr(event, "text", "")
        item = str(getattr(event, "value", "")) if not isinstance(event, Metric) else ""
        assert not item or f"ann prints {item.removeprefix('ann')}\n" in logs


@pytest.mark.parametrize("model", TWO)
async def test_more_than_that_wait_for_their_turn(start: Start, model: str):
    process = await start(model)
    assert process.concurrency == 2
    heard = {name: Heard() for name in ("ann", "bob", "cid")}
    running = {name: begin(process, name, heard[name], seconds=60) for name in heard}
    for name in ("ann", "bob"):
        await heard[name].until(lambda heard: bool(heard.logs))
    assert heard["cid"].events == []
    process.cancel("ann")
    await heard["cid"].until(lambda heard: heard.logs == "cid begins\n")
    assert (await running["ann"]).status == "canceled"
    assert not running["bob"].done()
    for name in ("bob", "cid"):
        process.cancel(name)
        assert (await running[name]).status == "canceled"


@pytest.mark.parametrize(
    ("model", "how"), [*product(TWO, ["print", "log", "bytes", "thread"]), ("runs_two_in_threads", "pool")]
)
async def test_whatever_python_code_prints_goes_to_the_prediction_that_printed_it(start: Start, model: str, how: str):
    process = await start(model)
    heard = {name: Heard() for name in ("ann", "bob")}
    running = [begin(process, name, heard[name], seconds=60, how=how) for name in heard]
    for name, said in heard.items():
        await said.until(lambda heard: bool(heard.logs))
        assert said.logs == f"{name} begins\n"
        process.cancel(name)
    await asyncio.gather(*running)


async def test_a_model_may_wrap_the_stream_it_prints_to(start: Start):
    process = await start("wraps_its_output")
    heard = Heard()
    done = await process.predict("p1", {"text": "wrapped ä"}, heard.take)
    assert (done.output, heard.logs) == ("1 False <stdout>", "wrapped ä\n")


@pytest.mark.parametrize(("model", "how"), [*product(TWO, ["child", "descriptor"])])
async def test_what_others_print_goes_to_the_only_prediction_or_to_the_process(start: Start, model: str, how: str):
    process = await start(model)
    alone, first, second = Heard(), Heard(), Heard()
    assert (await begin(process, "ann", alone, how=how)).status == "succeeded"
    assert alone.logs == "ann begins\n"
    waiting = begin(process, "bob", first, seconds=60)
    await first.until(lambda heard: bool(heard.logs))
    assert (await begin(process, "cid", second, how=how)).status == "succeeded"
    assert (first.logs, second.logs, process.stray_logs) == ("bob begins\n", "", "cid begins\n")
    process.cancel("bob")
    assert (await waiting).status == "canceled"


@pytest.mark.parametrize("model", TWO)
async def test_a_context_reaches_its_own_prediction(start: Start, model: str):
    process = await start(model)
    done = await asyncio.gather(begin(process, "ann", context={"of": "here"}), begin(process, "bob"))
    assert [each.output for each in done] == ["ann of here", "bob of nobody"]


@pytest.mark.parametrize("model", TWO)
async def test_a_prediction_that_swallows_its_cancel_costs_the_others_nothing(start: Start, model: str):
    process = await start(model)
    stubborn, other, next_one = Heard(), Heard(), Heard()
    canceled = begin(process, "ann", stubborn, seconds=60, patience=60)
    running = begin(process, "bob", other, seconds=60)
    for heard in (stubborn, other):
        await heard.until(lambda heard: bool(heard.logs))
    process.cancel("ann")
    assert (await canceled).status == "canceled"
    assert stubborn.logs == "ann begins\nswallowed\n"
    assert process.alive
    waiting = begin(process, "cid", next_one, seconds=60)  # ann still has the other place
    process.cancel("bob")
    assert (await running).status == "canceled"
    await next_one.until(lambda heard: bool(heard.logs))
    process.cancel("cid")
    assert (await waiting).status == "canceled"


async def test_a_thread_that_sleeps_in_c_is_canceled_and_left_alone_while_others_run(start: Start):
    process = await start("runs_two_in_threads")
    asleep, other = Heard(), Heard()
    canceled = begin(process, "ann", asleep, seconds=60, in_c=True)
    running = begin(process, "bob", other, seconds=60)
    for heard in (asleep, other):
        await heard.until(lambda heard: bool(heard.logs))
    process.cancel("ann")
    assert (await canceled).status == "canceled"
    assert process.alive
    assert not running.done()
    process.cancel("bob")  # now nobody is left who would be harmed
    assert (await running).status == "canceled"
    async with asyncio.timeout(PATIENCE_SECONDS):
        await process.wait_closed()


async def test_a_thread_that_sleeps_in_c_beside_nobody_costs_its_process(start: Start):
    process = await start("runs_two_in_threads")
    asleep = Heard()
    canceled = begin(process, "ann", asleep, seconds=60, in_c=True)
    await asleep.until(lambda heard: bool(heard.logs))
    process.cancel("ann")
    assert (await canceled).status == "canceled"
    async with asyncio.timeout(PATIENCE_SECONDS):
        await process.wait_closed()


async def test_a_failure_in_one_thread_is_told_with_its_traceback_and_touches_no_other(start: Start):
    process = await start("runs_two_in_threads")
    beside, failing = Heard(), Heard()
    running = begin(process, "ann", beside, seconds=60)
    await beside.until(lambda heard: bool(heard.logs))
    done = await begin(process, "bob", failing, how="raise")
    assert (done.status, done.error) == ("failed", "bob fails")
    assert "ValueError: bob fails" in failing.logs
    assert beside.logs == "ann begins\n"
    process.cancel("ann")
    assert (await running).status == "canceled"


async def test_a_flood_of_cancels_tears_no_frame_and_hits_nobody_else(start: Start):
    """Each is to strike while its prediction prints, records and yields, which is when frames are written."""
    process = await start("runs_together_in_threads")
    heard = {f"p{number}": Heard() for number in range(30)}
    running = {name: begin(process, name, said, to=100_000) for name, said in heard.items()}
    last = heard.popitem()[0]
    for name, said in heard.items():
        await said.until(lambda said: len(said.items) > 20)
        process.cancel(name)
        assert (await running[name]).status == "canceled"
        assert said.items == [f"{name}{number}" for number in range(len(said.items))]
    process.cancel(last)
    assert (await running[last]).status == "canceled"
    assert process.alive
    assert process.stray_logs == ""


async def test_a_switch_has_models_that_are_not_async_run_one_at_a_time(start: Start, tmp_path: Path):
    environment = "environment: [PINION_BATCH_GENERATE=0]\n"
    (tmp_path / "cog.yaml").write_text(f"predict: predict.py:Predictor\nconcurrency: {{max: 4}}\n{environment}")
    (tmp_path / "predict.py").write_text(SERIAL)
    process = await start(tmp_path)
    assert process.concurrency == 1
    assert (
        process.setup_logs == "Predictions run one at a time: PINION_BATCH_GENERATE is 0, and predict() is not async.\n"
    )


async def test_a_model_that_blocks_its_loop_is_ended_even_beside_others(start: Start, tmp_path: Path):
    (tmp_path / "cog.yaml").write_text("predict: predict.py:predict\nconcurrency: {max: 2}\n")
    head = "import asyncio, time\nasync def predict(name: str, block: bool = False) -> str:\n"
    body = "    print('begun', flush=True)\n    time.sleep(60) if block else await asyncio.sleep(60)\n"
    (tmp_path / "predict.py").write_text(head + body)
    process = await start(tmp_path)
    first, second = Heard(), Heard()
    beside = begin(process, "ann", first)
    await first.until(lambda heard: bool(heard.logs))
    blocking = begin(process, "bob", second, block=True)
    await second.until(lambda heard: bool(heard.logs))
    process.cancel("bob")
    assert (await blocking).status == "canceled"
    assert (await beside).error == "The model process was stopped because a prediction could not be canceled otherwise."


@pytest.mark.parametrize(
    ("said", "decorator", "expected"),
    [
        ("", "", 1),
        ("", "@cog.concurrent(max=2)", 2),
        ("concurrency: {max: 3, default_target: 1}\n", "@cog.concurrent(max=2)", 3),
        ("concurrency: {max: 3}\nenvironment: [COG_MAX_CONCURRENCY=4]\n", "@cog.concurrent(max=2)", 4),
    ],
)
async def test_the_environment_is_asked_before_cog_yaml_and_the_decorator(
    start: Start, tmp_path: Path, said: str, decorator: str, expected: int
):
    (tmp_path / "cog.yaml").write_text(f"predict: predict.py:Predictor\n{said}")
    (tmp_path / "predict.py").write_text(PARALLEL.format(decorator))
    assert (await start(tmp_path)).concurrency == expected


@pytest.mark.parametrize(
    ("said", "code", "message"),
    [
        ("concurrency: {max: 0}", SERIAL, "`concurrency.max` in cog.yaml must be 1 or more."),
        ("concurrency: many", SERIAL, "`concurrency` in cog.yaml must be a mapping of keys to values."),
        (
            "environment: [COG_MAX_CONCURRENCY=lots]",
            SERIAL,
            "COG_MAX_CONCURRENCY is 'lots'; the concurrency of a model is a whole number from 1.",
        ),
        (
            "",
            PARALLEL.format("@cog.concurrent(max=0)"),
            "@concurrent says max=0; the concurrency of a model is a whole number from 1.",
        ),
    ],
)
async def test_a_concurrency_that_cannot_be_is_explained(
    start: Start, tmp_path: Path, said: str, code: str, message: str
):
    (tmp_path / "cog.yaml").write_text(f"predict: predict.py:Predictor\n{said}\n")
    (tmp_path / "predict.py").write_text(code)
    with pytest.raises(SetupFailed) as failure:
        await start(tmp_path)
    assert str(failure.value) == message
