"""Everything a Transformers pipeline answers in one go: labels, entities, missing words, vectors, and the rest.

Texts that come at the same time go through the model together, pictures and sound one at a time. What a pipeline
returns is what the prediction returns.
"""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path as LocalPath
from typing import Any

import torch
from transformers import AutoModel

from cog import BasePredictor, Input, Path, concurrent
from pinion_huggingface.gathering import Gathering
from pinion_huggingface.loading import WEIGHTS, load_model, load_pipeline, load_tokenizer
from pinion_huggingface.media import read_samples, read_sound, with_pictures_as_files, write_sound

_TOGETHER = 32
"""Predictions of a model at once."""
_PARAMETERS = Input(description="Further parameters of the pipeline's call.", default={})


class _Pipeline(BasePredictor):
    task = ""
    """Its name in Transformers."""

    def setup(self) -> None:  # type: ignore[override]
        self.pipeline = load_pipeline(self.task)


class ImagePipeline(_Pipeline):
    """Any pipeline that takes one image."""

    def predict(self, image: Path = Input(description="The image."), parameters: dict[str, Any] = _PARAMETERS) -> Any:
        return with_pictures_as_files(self.pipeline(str(image), **parameters))


class AudioPipeline(_Pipeline):
    """Any pipeline that takes one recording."""

    def predict(
        self, audio: Path = Input(description="The recording."), parameters: dict[str, Any] = _PARAMETERS
    ) -> Any:
        sound = read_sound(audio, self.pipeline.feature_extractor.sampling_rate)
        return self.pipeline(sound, **parameters)


class TextToAudio(_Pipeline):
    task = "text-to-audio"

    def predict(
        self, text: str = Input(description="The text to speak."), parameters: dict[str, Any] = _PARAMETERS
    ) -> Path:
        sound = self.pipeline(text, **parameters)
        return write_sound(sound["audio"], sound["sampling_rate"])


class ZeroShotImageClassification(_Pipeline):
    task = "zero-shot-image-classification"

    def predict(
        self,
        image: Path = Input(description="The image to put into a class."),
        candidate_labels: list[str] = Input(description="The classes to choose from.", min_length=1),
    ) -> list[dict[str, Any]]:
        judged: list[dict[str, Any]] = self.pipeline(str(image), candidate_labels=candidate_labels)
        return judged


class ZeroShotObjectDetection(_Pipeline):
    task = "zero-shot-object-detection"

    def predict(
        self,
        image: Path = Input(description="The image to find things in."),
        candidate_labels: list[str] = Input(description="The things to look for.", min_length=1),
        threshold: float = Input(description="Leave out what is less sure than this.", default=0.1, ge=0, le=1),
    ) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.pipeline(str(image), candidate_labels=candidate_labels, threshold=threshold)
        return found


class ZeroShotAudioClassification(_Pipeline):
    task = "zero-shot-audio-classification"

    def predict(
        self,
        audio: Path = Input(description="The recording to put into a class."),
        candidate_labels: list[str] = Input(description="The classes to choose from.", min_length=1),
    ) -> list[dict[str, Any]]:
        samples = read_samples(audio, self.pipeline.feature_extractor.sampling_rate)
        judged: list[dict[str, Any]] = self.pipeline(samples, candidate_labels=candidate_labels)
        return judged


class KeypointMatching(_Pipeline):
    task = "keypoint-matching"

    def predict(
        self,
        first_image: Path = Input(description="An image."),
        second_image: Path = Input(description="Another one that shows the same."),
        threshold: float = Input(description="Leave out what is less sure than this.", default=0.0, ge=0, le=1),
    ) -> list[dict[str, Any]]:
        matches: list[dict[str, Any]] = self.pipeline([str(first_image), str(second_image)], threshold=threshold)
        return matches


class DocumentQuestionAnswering(_Pipeline):
    """Words and where they stand may be given; else they are read by Tesseract, which this machine must have then."""

    task = "document-question-answering"

    def predict(
        self,
        image: Path = Input(description="The page to read."),
        question: str = Input(description="What is asked of it."),
        parameters: dict[str, Any] = _PARAMETERS,
    ) -> list[dict[str, Any]]:
        answers: list[dict[str, Any]] = self.pipeline(str(image), question, **parameters)
        return answers


class _TextPipeline(_Pipeline):
    """Takes one text; predictions that want the same of a text are answered together."""

    def setup(self) -> None:  # type: ignore[override]
        super().setup()
        self.gathering = Gathering(self._answers)

    async def _answered(self, text: str, **parameters: Any) -> Any:
        return await self.gathering.answer(text, len(text), json.dumps(parameters))

    def _answers(self, texts: list[str], parameters: str) -> Sequence[Any]:
        wanted = json.loads(parameters)
        if len(texts) == 1:  # some pipelines answer a list of one like the one
            return [self.pipeline(texts[0], **wanted)]
        answers: list[Any] = self.pipeline(texts, batch_size=len(texts), **wanted)
        return answers


class TextClassification(_TextPipeline):
    task = "text-classification"

    @concurrent(max=_TOGETHER)
    async def predict(
        self,
        text: str = Input(description="The text to put into a class."),
        top_k: int = Input(description="How many classes to return, the likeliest first.", default=1, ge=1),
    ) -> list[dict[str, Any]]:
        classes: list[dict[str, Any]] = await self._answered(text, top_k=top_k, truncation=True)
        return classes


class ZeroShotClassification(_TextPipeline):
    task = "zero-shot-classification"

    @concurrent(max=_TOGETHER)
    async def predict(
        self,
        text: str = Input(description="The text to put into a class."),
        candidate_labels: list[str] = Input(description="The classes to choose from.", min_length=1),
        multi_label: bool = Input(description="Judge each class by itself.", default=False),
    ) -> dict[str, Any]:
        judged: dict[str, Any] = await self._answered(text, candidate_labels=candidate_labels, multi_label=multi_label)
        return judged


class TokenClassification(_TextPipeline):
    task = "token-classification"

    @concurrent(max=_TOGETHER)
    async def predict(self, text: str = Input(description="The text to find entities in.")) -> list[dict[str, Any]]:
        entities: list[dict[str, Any]] = await self._answered(text, aggregation_strategy="simple")
        return entities


class FillMask(_TextPipeline):
    task = "fill-mask"

    @concurrent(max=_TOGETHER)
    async def predict(
        self,
        text: str = Input(description="A text with one mask token, as the model's tokenizer writes it."),
        top_k: int = Input(description="How many words to suggest, the likeliest first.", default=5, ge=1),
    ) -> list[dict[str, Any]]:
        mask = self.pipeline.tokenizer.mask_token
        if text.count(mask) != 1:
            raise ValueError(f"The text must hold {mask} exactly once.")
        words: list[dict[str, Any]] = await self._answered(text, top_k=top_k)
        return words


class Embeddings(BasePredictor):
    """One vector a text, pooled as the model's authors did (sentence-transformers), else by the mean."""

    def setup(self) -> None:  # type: ignore[override]
        self.tokenizer = load_tokenizer()
        self.model = load_model(AutoModel)
        self.takes_first = _pools_by_first_token(WEIGHTS / "1_Pooling" / "config.json")
        self.gathering = Gathering(self._vectors)

    @concurrent(max=_TOGETHER)
    async def predict(
        self,
        texts: list[str] = Input(description="The texts to embed.", min_length=1),
        normalize: bool = Input(description="Scale each vector to length 1.", default=True),
    ) -> list[list[float]]:
        read = [self.tokenizer(text, truncation=True) for text in texts]
        vectors = torch.stack(
            await asyncio.gather(*(self.gathering.answer(each, len(each["input_ids"])) for each in read))
        )
        return (torch.nn.functional.normalize(vectors) if normalize else vectors).tolist()

    @torch.inference_mode()
    def _vectors(self, read: list[Any], _: None) -> Sequence[Any]:
        inputs = self.tokenizer.pad(read, return_tensors="pt").to(self.model.device)
        hidden = self.model(**inputs).last_hidden_state.float()
        mask = inputs["attention_mask"].unsqueeze(-1).float()
        vectors = hidden[:, 0] if self.takes_first else (hidden * mask).sum(1) / mask.sum(1)
        return list(vectors.cpu())


def _pools_by_first_token(config: LocalPath) -> bool:
    return config.is_file() and bool(json.loads(config.read_text()).get("pooling_mode_cls_token"))
