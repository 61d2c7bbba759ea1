"""Writes one answer after the other through generate(), for models that the engine cannot batch.

generate() blocks, so it runs in a thread beside the event loop.
"""

import asyncio
import threading
from collections.abc import AsyncGenerator, Mapping
from typing import Any

import torch
from transformers import StoppingCriteria, StoppingCriteriaList
from transformers.generation.streamers import BaseStreamer

from pinion_textgen.options import Options


class OneByOne:
    def __init__(self, model: Any) -> None:
        self._model = model
        self._turn = asyncio.Lock()  # handed on in the order of arrival

    def tokens(self, prompt: list[int], options: Options) -> AsyncGenerator[int]:
        """What is written for a prompt of token ids, token by token, the one that ends it included."""
        ids = torch.tensor([prompt], device=self._model.device)
        return self.tokens_for({"input_ids": ids, "attention_mask": torch.ones_like(ids)}, options)

    async def tokens_for(self, given: Mapping[str, Any], options: Options) -> AsyncGenerator[int]:
        """The same for whatever generate() is to be given: pictures, say, beside the prompt.

        Closing the iterator ends the work within one token. Whatever generate() raises is raised.
        """
        async with self._turn:
            run = _Run(self._model, given, options)
            try:
                while (token := await run.arrived.get()) is not None:
                    yield token
            finally:
                run.stop()
            if run.error:
                raise run.error


class _Run(BaseStreamer, StoppingCriteria):  # type: ignore[misc]
    """One call of generate(), which tells it each token and asks it whether to go on."""

    def __init__(self, model: Any, given: Mapping[str, Any], options: Options) -> None:
        self.arrived: asyncio.Queue[int | None] = asyncio.Queue()
        self.error: BaseException | None = None
        self._loop = asyncio.get_running_loop()
        self._has_shown_prompt = self._is_stopped = False
        self._thread = threading.Thread(target=self._work, args=(model, given, options), name="generate", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._is_stopped = True
        self._thread.join()

    def put(self, value: torch.Tensor) -> None:
        """What generate() shows first is what it was given: the prompt, or the token that every decoder starts with."""
        if self._has_shown_prompt:
            for token in value.tolist():
                self._loop.call_soon_threadsafe(self.arrived.put_nowait, token)
        self._has_shown_prompt = True

    def end(self) -> None:
        """The end is told once the thread has nothing more to do."""

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **_: Any) -> torch.Tensor:
        return torch.full((input_ids.shape[0],), self._is_stopped, device=input_ids.device)

    @torch.inference_mode()
    def _work(self, model: Any, given: Mapping[str, Any], options: Options) -> None:
        try:
            if options.seed is not None:
                torch.manual_seed(options.seed)
            criteria = StoppingCriteriaList([self])
            model.generate(**given, **_keywords(options), streamer=self, stopping_criteria=criteria)
        except BaseException as error:
            self.error = error
        self._loop.call_soon_threadsafe(self.arrived.put_nowait, None)


def _keywords(options: Options) -> dict[str, Any]:
    """Of generate(). Beams are left out: what was shown cannot be taken back."""
    keywords = {"max_new_tokens": options.max_new_tokens, "repetition_penalty": options.repetition_penalty}
    if options.min_new_tokens:
        keywords["min_new_tokens"] = options.min_new_tokens
    if not options.do_sample:
        return {**keywords, "num_beams": 1, "do_sample": False}
    drawn = {"temperature": options.temperature, "top_p": options.top_p, "top_k": options.top_k}
    return {**keywords, **drawn, "num_beams": 1, "do_sample": True}
