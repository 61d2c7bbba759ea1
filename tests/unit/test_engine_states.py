"""Whatever is submitted, canceled and stepped in whichever order: the engine keeps its promises."""

from functools import cache
from random import Random
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests.text_models import generated, made, prompts  # first: it finds the runtime

from pinion_textgen.admission import Limits  # isort: skip
from pinion_textgen.decoders import decoder_of  # isort: skip
from pinion_textgen.engine import Engine  # isort: skip
from pinion_textgen.options import Options  # isort: skip
from pinion_textgen.request import End, Request  # isort: skip

PROMPTS = prompts(Random(9), 12)
LONGEST, ROWS = 16, 4


@cache
def model(family: str) -> Any:
    return made(family)


@cache
def answer(family: str, index: int) -> list[int]:
    return generated(model(family), PROMPTS[index], max_new_tokens=LONGEST)


class Engines(RuleBasedStateMachine):
    family: str

    def __init__(self) -> None:
        super().__init__()
        decoder = decoder_of(model(self.family))
        longest = decoder.needs(Request(max(PROMPTS, key=len), Options(LONGEST)))
        limits = Limits(ROWS, decoder.bytes_of(ROWS, longest), prompt_tokens_per_step=25)
        self.engine = Engine(decoder, limits)
        self.told: list[tuple[int, Request]] = []
        self.steps = 0
        self.began: dict[Request, int] = {}
        """In which step the first token of a request was heard."""

    def heard(self, request: Request) -> None:
        self.began.setdefault(request, self.steps)

    @rule(index=st.integers(0, len(PROMPTS) - 1), longest=st.integers(1, LONGEST))
    def submit(self, index: int, longest: int) -> None:
        request = Request(PROMPTS[index], Options(longest), lambda sequence, _: self.heard(sequence.request))
        self.told.append((index, request))
        self.engine.submit(request)

    @rule(index=st.integers(0, LONGEST - 1), longest=st.integers(1, LONGEST), count=st.integers(2, ROWS))
    def submit_several(self, index: int, longest: int, count: int) -> None:
        options = Options(longest, do_sample=True, top_k=1, sequences=count)  # so that what is drawn is known
        request = Request(PROMPTS[index % len(PROMPTS)], options, lambda sequence, _: self.heard(sequence.request))
        self.told.append((index % len(PROMPTS), request))
        self.engine.submit(request)

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        if self.told:
            _, request = data.draw(st.sampled_from(self.told))
            self.engine.cancel(request)

    @rule(count=st.integers(1, 6))
    def step(self, count: int) -> None:
        for _ in range(count):
            self.steps += 1
            canceled = [request for _, request in self.told if request.is_canceled]
            self.engine.step()
            assert all(request.is_over for request in canceled)

    @invariant()
    def rows_are_those_that_write(self) -> None:
        assert self.engine.rows <= ROWS
        writing = [sequence for _, each in self.told for sequence in each.sequences if sequence.tokens]
        assert self.engine.rows == len([sequence for sequence in writing if not sequence.end])

    def teardown(self) -> None:
        while self.engine.is_busy:
            self.step(1)
        for index, request in self.told:
            assert request.error is None
            for sequence in request.sequences:
                expected = answer(self.family, index)[: request.options.max_new_tokens]
                if sequence.end == End.CANCELED:
                    assert sequence.tokens == expected[: len(sequence.tokens)]
                else:
                    assert sequence.tokens == expected
        began = [self.began[request] for _, request in self.told if not request.is_canceled]
        assert began == sorted(began)


class EnginesOfT5(Engines):
    family = "umt5"


class EnginesOfLlama(Engines):
    family = "llama"


TestEnginesOfT5, TestEnginesOfLlama = EnginesOfT5.TestCase, EnginesOfLlama.TestCase
TestEnginesOfT5.settings = TestEnginesOfLlama.settings = settings(
    max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
