"""Steps that are recorded and replayed write the same tokens; where they cannot be, the log says so and all goes on."""

from collections.abc import Sequence as Numbers
from random import Random
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from tests.step_recorders import Counting, Replay, Step, recorder
from tests.text_models import DEVICE, FAMILIES, generated, made, prompts, run

from pinion_textgen import recording  # isort: skip
from pinion_textgen.admission import Limits  # isort: skip
from pinion_textgen.cuda_recorder import recorder_for  # isort: skip
from pinion_textgen.decoders import decoder_of  # isort: skip
from pinion_textgen.engine import Engine  # isort: skip
from pinion_textgen.options import Options  # isort: skip
from pinion_textgen.request import End, Request  # isort: skip
from pinion_textgen.steps import Steps  # isort: skip
from pinion_textgen.t5 import T5Decoder  # isort: skip

LONGEST = 80
"""Together with prompts beyond the length up to which attention looks at first."""
SAYS = "Steps are not recorded from now on, and take longer: "


@pytest.fixture(scope="module", params=FAMILIES)
def model(request: pytest.FixtureRequest) -> Any:
    return made(request.param)


@pytest.fixture(scope="module")
def t5() -> Any:
    return made("t5-gated")


def recorded(decoder: Any, limits: Limits | None = None) -> tuple[Engine, Counting]:
    counting = Counting(recorder())
    return Engine(decoder, limits, Steps(decoder, counting)), counting


def asked_for(lengths: Numbers[int]) -> list[Request]:
    return [
        Request(prompt, Options(length))
        for prompt, length in zip(prompts(Random(8), len(lengths)), lengths, strict=True)
    ]


def options_of(random: Random) -> dict[str, Any]:
    longest = random.choice([*range(1, 30), LONGEST])
    return {
        "max_new_tokens": longest,
        "min_new_tokens": random.choice([0, 0, random.randint(0, longest)]),
        "repetition_penalty": random.choice([1.0, 1.0, 1.3, 0.8]),
    }


def test_joins_leaves_cancels_and_growth_change_no_token(model: Any) -> None:
    random = Random(7)
    engine, recordings = recorded(decoder_of(model), Limits(rows=9))
    coming = [(prompt, options_of(random)) for prompt in prompts(random, 26)]
    told: list[tuple[dict[str, Any], Request]] = []
    while coming or engine.is_busy:
        for prompt, options in coming[: random.choice([0, 0, 0, 1, 2])]:
            # those that draw from one token only are greedy in another way
            drawn = random.choice([{}, {}, {"do_sample": True, "top_k": 1, "sequences": random.randint(1, 3)}])
            told.append((options, Request(prompt, Options(**options, **drawn))))
            engine.submit(told[-1][1])
            coming.pop(0)
        writing = [each for _, each in told if not each.is_over]
        if writing and random.random() < 0.04:
            engine.cancel(random.choice(writing))
        engine.step()
    assert recordings.replays == engine.figures()["steps"]
    assert {1, 2, 4, 8, 16} == set(recordings.rows)
    ends = [sequence.end for _, each in told for sequence in each.sequences]
    assert {End.CANCELED, End.LENGTH} <= set(ends)
    for options, each in told:
        expected = generated(model, each.prompt, **options)
        for sequence in each.sequences:
            assert sequence.tokens == (expected[: len(sequence.tokens)] if sequence.end == End.CANCELED else expected)


@pytest.mark.parametrize("family", ["mt5", "llama"])
def test_a_seed_draws_the_same_as_from_steps_that_are_not_recorded(family: str) -> None:
    decoder = decoder_of(made(family, torch.float64))
    drawn = {"do_sample": True, "temperature": 2.0, "top_p": 0.95, "repetition_penalty": 1.2, "seed": 5}
    tokens = []
    for engine in (recorded(decoder)[0], Engine(decoder, steps=Steps(decoder))):
        options = [Options(30, top_k=top_k, **drawn) for top_k in (0, 0, 0, 20, 20, 20)]
        asked = [Request(prompt, each) for prompt, each in zip(prompts(Random(3), 6), options, strict=True)]
        run(engine, *asked)
        tokens.append([request.sequences[0].tokens for request in asked])
    assert tokens[0] == tokens[1]


def test_what_was_recorded_serves_whoever_comes_later_until_they_want_more_room(t5: Any) -> None:
    engine, recordings = recorded(decoder_of(t5))
    few, more = prompts(Random(8), 2), prompts(Random(9), 5)

    def answered(asked: list[list[int]], length: int) -> tuple[int, int]:
        requests = [Request(prompt, Options(length, min_new_tokens=length)) for prompt in asked]
        run(engine, *requests)
        for each in requests:
            wanted = generated(t5, each.prompt, max_new_tokens=length, min_new_tokens=length)
            assert each.sequences[0].tokens == wanted
        return len(recordings.rows), recordings.forgets

    assert answered(few, 12) == answered(few[::-1], 40) == (1, 1)  # forgotten was what there was before the first
    assert answered(few, LONGEST) == (3, 2)
    assert answered(more, 12) == (4, 3)
    assert answered(few, LONGEST) == (6, 3)


def test_caches_that_are_kept_stay_within_their_bytes(t5: Any) -> None:
    decoder = decoder_of(t5)
    most = max(decoder.bytes_of(8, (64, 64)), decoder.bytes_of(1, (640, 64)))
    engine, _ = recorded(decoder, Limits(cache_bytes=most))
    for lengths in ([10] * 8, [600], [20] * 8):
        requests = asked_for(lengths)
        for request in requests:
            engine.submit(request)
        while engine.is_busy:
            engine.step()
            assert 0 < decoder.cache_bytes <= most
        for each in requests:
            wanted = generated(t5, each.prompt, max_new_tokens=each.options.max_new_tokens)
            assert each.sequences[0].tokens == wanted


def test_only_those_used_last_are_kept(t5: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "_MOST", 2)
    engine, recordings = recorded(decoder_of(t5), Limits(rows=4))
    asked = asked_for((9, 3, 6, 1) * 2)
    run(engine, *asked)
    run(engine, *(Request(each.prompt, each.options) for each in asked))
    assert len(recordings.rows) > len(set(recordings.rows)) == 3
    assert recordings.forgets == 1
    for each in asked:
        assert each.sequences[0].tokens == generated(t5, each.prompt, max_new_tokens=each.options.max_new_tokens)


class Watched(TorchDispatchMode):
    """Sees which operations are started one by one."""

    def __init__(self) -> None:
        super().__init__()
        self.started: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if name not in ("lift_fresh", "detach_", "slice", "resolve_conj", "resolve_neg"):  # which start nothing
            self.started.append(name)
        return func(*args, **(kwargs or {}))


@pytest.mark.skipif(DEVICE.type != "cpu", reason="a graph of a GPU is no operation of torch, nor is pinned memory")
def test_a_greedy_step_that_is_replayed_starts_nothing_but_a_copy_of_its_numbers(t5: Any) -> None:
    engine, recordings = recorded(decoder_of(t5))
    for prompt in prompts(Random(8), 3):
        engine.submit(Request(prompt, Options(30)))
    for _ in range(4):
        engine.step()
    with Watched() as watched:
        engine.step()
    assert recordings.replays == 5
    assert watched.started == ["copy_"]


class Peeking(T5Decoder):
    """Its step asks the device for a number."""

    def decode(self, given: Tensor, reach: Numbers[int]) -> Tensor:
        scores = super().decode(given, reach)
        return scores + (0 if int(scores.argmax()) >= 0 else 1)


class FromTheHost(T5Decoder):
    """Its step brings numbers along that were true when it was recorded."""

    def decode(self, given: Tensor, reach: Numbers[int]) -> Tensor:
        return super().decode(given, reach) + torch.tensor([0.0] * self.vocabulary).to(self.device)


class Stale:
    """Replays the step with the numbers it was recorded with."""

    def record(self, step: Step, given: Tensor) -> Replay:
        found = step(given.clone())
        return lambda: (found[0].clone(), found[1].clone())

    def forget(self) -> None: ...


class Refusing:
    def __init__(self, error: Exception) -> None:
        self.error = error
        self.asked = 0

    def record(self, step: Step, given: Tensor) -> Replay:
        self.asked += 1
        raise self.error

    def forget(self) -> None: ...


class Second:
    """Fails from the second shape on, as when memory runs out."""

    def __init__(self) -> None:
        self._recorder = recorder()
        self._asked = 0

    def record(self, step: Step, given: Tensor) -> Replay:
        self._asked += 1
        if self._asked > 1:
            raise torch.OutOfMemoryError("out of memory")
        return self._recorder.record(step, given)

    def forget(self) -> None:
        self._recorder.forget()


CAPTURING = torch.AcceleratorError("CUDA error: operation not permitted when stream is capturing")


@pytest.mark.parametrize(
    ("kind", "make", "reason"),
    [
        (Peeking, recorder, ""),
        (FromTheHost, recorder, ""),
        (T5Decoder, Stale, "a replay differs by"),
        (T5Decoder, lambda: Refusing(ValueError("not this one")), "not this one"),
        (T5Decoder, lambda: Refusing(CAPTURING), "CUDA error: operation not permitted when stream is capturing"),
        (T5Decoder, Second, "out of memory"),
    ],
)
def test_what_cannot_be_recorded_is_said_once_and_written_without(
    t5: Any, capsys: pytest.CaptureFixture[str], kind: Any, make: Any, reason: str
) -> None:
    decoder = kind(t5)
    steps = Steps(decoder, make())
    engine = Engine(decoder, Limits(rows=4), steps)
    for _ in range(2):
        asked = asked_for((20, 9, 3))
        run(engine, *asked)
        for each in asked:
            assert each.sequences[0].tokens == generated(t5, each.prompt, max_new_tokens=each.options.max_new_tokens)
    said = capsys.readouterr().out
    assert said.count(SAYS + reason) == said.count("\n") == 1
    assert not steps.are_recorded
    assert decoder.cache_bytes == 0  # nothing is kept for recordings any more


def test_a_device_that_is_lost_while_a_step_is_recorded_is_lost(t5: Any) -> None:
    decoder = decoder_of(t5)
    lost = RuntimeError("CUDA error: an illegal memory access was encountered")
    engine = Engine(decoder, steps=Steps(decoder, Refusing(lost)))
    engine.submit(Request([5, 6], Options(4)))
    with pytest.raises(RuntimeError, match="illegal memory access"):
        engine.step()


def test_a_step_that_fails_recorded_or_not_costs_those_it_was_for(t5: Any, capsys: pytest.CaptureFixture[str]) -> None:
    decoder = decoder_of(t5)
    engine = Engine(decoder, steps=Steps(decoder, recorder()))
    decoder.decode = lambda given, reach: 1 / 0
    failed, later = Request([5, 6], Options(4)), Request([5, 6], Options(4))
    with pytest.raises(ZeroDivisionError):
        run(engine, failed)
    del decoder.decode
    run(engine, later)
    assert later.sequences[0].tokens == generated(t5, [5, 6], max_new_tokens=4)
    assert capsys.readouterr().out.count(SAYS) == 1


@pytest.mark.parametrize(("said", "device"), [(None, "cuda"), ("0", "cuda"), ("1", "cpu")])
def test_on_a_cpu_and_where_it_is_not_asked_for_nothing_is_recorded(
    said: str | None, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PINION_CUDA_GRAPHS", raising=False)
    if said is not None:
        monkeypatch.setenv("PINION_CUDA_GRAPHS", said)
    assert recorder_for(torch.device(device)) is None
