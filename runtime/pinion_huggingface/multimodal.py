"""Text about pictures and sound: models that are shown some of them beside a prompt, and write token by token.

One prediction at a time.
"""

from typing import Any

from PIL import Image, ImageOps
from transformers import AutoModelForMultimodalLM

from cog import AsyncConcatenateIterator, BasePredictor, Input, Path
from pinion_huggingface.choosing import LIVELY, LONGEST, PENALTY, SEED, STOPS, TOP_K, TOP_P, options_of
from pinion_huggingface.loading import load_model, load_processor
from pinion_huggingface.media import read_samples
from pinion_huggingface.streaming import written
from pinion_textgen.one_by_one import OneByOne
from pinion_textgen.options import Options

_PROMPT = Input(description="What is asked of the model, or the text to continue.", default="")
_SYSTEM_PROMPT = Input(description="How the model is to behave.", default="")
_IMAGES = Input(description="The pictures that are meant, in their order.", default=[])
_RECORDINGS = Input(description="The recordings that are meant, in their order.", default=[])

Part = dict[str, Any]
"""Of a message, as chat templates have it."""


class _Multimodal(BasePredictor):
    def setup(self) -> None:  # type: ignore[override]
        self.processor = load_processor()
        self.model = load_model(AutoModelForMultimodalLM)
        self.writer = OneByOne(self.model)

    def _written(
        self, system_prompt: str, parts: list[Part], options: Options, stops: list[str]
    ) -> AsyncConcatenateIterator[str]:
        given = self._prepared(system_prompt, parts).to(self.model.device, self.model.dtype)
        tokens = self.writer.tokens_for(given, options)
        return written(tokens, self.processor.tokenizer, given["input_ids"].shape[-1], stops)

    def _prepared(self, system_prompt: str, parts: list[Part]) -> Any:
        if getattr(self.processor, "chat_template", None) is None:
            return self.processor(**_without_template(system_prompt, parts), return_tensors="pt")
        said = [("system", [_text(system_prompt)] if system_prompt else []), ("user", parts)]
        messages = [{"role": role, "content": content} for role, content in said if content]
        return self.processor.apply_chat_template(
            messages, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
        )

    def _heard(self, file: Path) -> Part:
        return {"type": "audio", "audio": read_samples(file, self.processor.feature_extractor.sampling_rate)}


class ImageToText(_Multimodal):
    """Of any number of pictures and a prompt."""

    def predict(
        self,
        prompt: str = _PROMPT,
        images: list[Path] = _IMAGES,
        system_prompt: str = _SYSTEM_PROMPT,
        max_new_tokens: int = LONGEST,
        temperature: float = LIVELY,
        top_p: float = TOP_P,
        top_k: int = TOP_K,
        repetition_penalty: float = PENALTY,
        stop_sequences: list[str] = STOPS,
        seed: int = SEED,
    ) -> AsyncConcatenateIterator[str]:
        options = options_of(max_new_tokens, temperature, top_p, top_k, repetition_penalty, seed)
        parts = [*map(_seen, images), _text(prompt)]
        return self._written(system_prompt, parts, options, stop_sequences)


class MultimodalToText(_Multimodal):
    """Of any number of pictures, recordings and a prompt."""

    def predict(
        self,
        prompt: str = _PROMPT,
        images: list[Path] = _IMAGES,
        recordings: list[Path] = _RECORDINGS,
        system_prompt: str = _SYSTEM_PROMPT,
        max_new_tokens: int = LONGEST,
        temperature: float = LIVELY,
        top_p: float = TOP_P,
        top_k: int = TOP_K,
        repetition_penalty: float = PENALTY,
        stop_sequences: list[str] = STOPS,
        seed: int = SEED,
    ) -> AsyncConcatenateIterator[str]:
        options = options_of(max_new_tokens, temperature, top_p, top_k, repetition_penalty, seed)
        parts = [*map(_seen, images), *map(self._heard, recordings), _text(prompt)]
        return self._written(system_prompt, parts, options, stop_sequences)


def _text(text: str) -> Part:
    return {"type": "text", "text": text}


def _seen(file: Path) -> Part:
    with Image.open(file) as picture:
        return {"type": "image", "image": ImageOps.exif_transpose(picture).convert("RGB")}


def _without_template(system_prompt: str, parts: list[Part]) -> dict[str, Any]:
    """For a processor: the prompt is continued as it is, with the pictures and recordings beside it."""
    if system_prompt:
        raise ValueError("This model has no chat template, so it takes no system_prompt.")
    named = {"text": "text", "images": "image", "audio": "audio"}
    given = {name: [part[kind] for part in parts if part["type"] == kind] for name, kind in named.items()}
    return {name: values for name, values in given.items() if values}
