"""`hf:org/model`: a model of the Hugging Face Hub as a folder that can be pushed like any other.

Only data is taken: safetensors, tokenizer and configuration of one revision. Nothing is loaded or run here.
"""

import json
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from cli.failure import Failure
from shared import hub
from shared.errors import FileUnavailable

PREFIX = "hf:"
_WANTED = ("*.json", "*.safetensors", "*.model", "*.txt", "*.jinja", "README.md")
_UNWANTED = ("*/*.safetensors", "onnx/*", "openvino/*", "runs/*")
# Which of pinion_huggingface's predictors answers a task of the Hub.
_PREDICTORS = {
    "text-generation": "text_generation.TextGeneration",
    "text2text-generation": "text_generation.SequenceToSequence",
    "summarization": "text_generation.SequenceToSequence",
    "translation": "text_generation.SequenceToSequence",
    "text-classification": "pipelines.TextClassification",
    "zero-shot-classification": "pipelines.ZeroShotClassification",
    "token-classification": "pipelines.TokenClassification",
    "fill-mask": "pipelines.FillMask",
    "feature-extraction": "pipelines.Embeddings",
    "sentence-similarity": "pipelines.Embeddings",
    "text-to-speech": "pipelines.TextToAudio",
    "text-to-audio": "pipelines.TextToAudio",
    "zero-shot-image-classification": "pipelines.ZeroShotImageClassification",
    "zero-shot-audio-classification": "pipelines.ZeroShotAudioClassification",
    "zero-shot-object-detection": "pipelines.ZeroShotObjectDetection",
    "document-question-answering": "pipelines.DocumentQuestionAnswering",
    "keypoint-matching": "pipelines.KeypointMatching",
    "image-text-to-text": "multimodal.ImageToText",
    "image-to-text": "multimodal.ImageToText",
    "visual-question-answering": "multimodal.ImageToText",
    "audio-text-to-text": "multimodal.MultimodalToText",
    "any-to-any": "multimodal.MultimodalToText",
    "image-classification": "pipelines.ImagePipeline",
    "image-segmentation": "pipelines.ImagePipeline",
    "object-detection": "pipelines.ImagePipeline",
    "depth-estimation": "pipelines.ImagePipeline",
    "image-feature-extraction": "pipelines.ImagePipeline",
    "audio-classification": "pipelines.AudioPipeline",
    "automatic-speech-recognition": "pipelines.AudioPipeline",
}
_ARCHITECTURES = (
    (r".*ForCausalLM|.*LMHeadModel", "text-generation"),
    (
        r"(T5|MT5|UMT5|Bart|MBart|Pegasus|Marian|M2M100|LED|LongT5|Blenderbot\w*|FSMT)\w*|.*ForSeq2SeqLM",
        "text2text-generation",
    ),
    (r".*ForSequenceClassification", "text-classification"),
    (r".*ForTokenClassification", "token-classification"),
    (r".*ForMaskedLM", "fill-mask"),
    (r".*ForImageClassification", "image-classification"),
    (r".*ForAudioClassification|.*ForSpeechClassification", "audio-classification"),
    (r".*ForCTC|Whisper.*|.*ForSpeechSeq2Seq", "automatic-speech-recognition"),
    (r".*Model", "feature-extraction"),
)

_SENSES = {"audio_config": "audio-text-to-text", "vision_config": "image-text-to-text"}
_WRITER = "ForConditionalGeneration"
"""How the architectures end that write about what they see and hear, which parts of their configuration tell."""


@contextmanager
def folder_of(source: str, task: str | None = None) -> Iterator[Path]:
    """The folder of `hf:org/model` or `hf:org/model@revision`, gone afterwards; raises Failure with a sentence."""
    name, _, revision = source.removeprefix(PREFIX).partition("@")
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        raise Failure(f"{source} names no model of the Hub: write hf:org/model or hf:org/model@revision.")
    snapshot = _snapshot(name, revision or None)
    config = _read_json(snapshot / "config.json")
    _refuse_unsafe(name, snapshot, config)
    task = task or _task_of(name, snapshot, config)
    if task not in _PREDICTORS:
        raise Failure(
            f"{name} is for {task}, which has no predictor of Pinion's: write a Cog predictor for it and push that. "
            f"If it can do something else, say so with --task; there is {', '.join(_PREDICTORS)}."
        )
    with tempfile.TemporaryDirectory(prefix="pinion-hf-") as place:
        _write(Path(place), snapshot, _predictor(task, snapshot), task)
        yield Path(place)


def _snapshot(name: str, revision: str | None) -> Path:
    try:
        return hub.snapshot(name, revision, _WANTED, _UNWANTED)
    except FileUnavailable as error:
        raise Failure(error.message) from error


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    content = json.loads(path.read_text(encoding="utf-8"))
    return content if isinstance(content, dict) else {}


def _refuse_unsafe(name: str, snapshot: Path, config: dict[str, Any]) -> None:
    if not config:
        raise Failure(f"{name} has no config.json, so Transformers cannot load it: write a Cog predictor for it.")
    if not any(snapshot.glob("*.safetensors")):
        raise Failure(f"{name} has no weights as safetensors; other formats can run code when they are loaded.")
    if config.get("auto_map"):
        raise Failure(f"{name} brings code of its own, which is not run: write a Cog predictor if you trust it.")


def _task_of(name: str, snapshot: Path, config: dict[str, Any]) -> str:
    """What its authors say in the model card, else what its architecture is for."""
    if (snapshot / "modules.json").is_file():
        return "sentence-similarity"
    if said := _front_matter(snapshot / "README.md").get("pipeline_tag"):
        return str(said)
    for architecture in config.get("architectures") or ():
        if senses := [sense for sense in _SENSES if sense in config and architecture.endswith(_WRITER)]:
            return _SENSES[senses[0]]
        for pattern, task in _ARCHITECTURES:
            if re.fullmatch(pattern, architecture):
                return task
    raise Failure(f"{name} does not say what it is for: name it with --task, one of {', '.join(_PREDICTORS)}.")


def _front_matter(card: Path) -> dict[str, Any]:
    text = card.read_text(encoding="utf-8", errors="replace") if card.is_file() else ""
    found = re.match(r"---\n(.*?)\n---", text, re.DOTALL)
    try:
        content = yaml.safe_load(found[1]) if found else {}
    except yaml.YAMLError:
        return {}
    return content if isinstance(content, dict) else {}


def _predictor(task: str, snapshot: Path) -> str:
    has_template = "chat_template" in _read_json(snapshot / "tokenizer_config.json")
    if task == "text-generation" and (has_template or (snapshot / "chat_template.jinja").is_file()):
        return "text_generation.Chat"
    return _PREDICTORS[task]


def _write(folder: Path, snapshot: Path, predictor: str, task: str) -> None:
    """Links to the files of the cache, which are packed as what they lead to."""
    module, _, name = predictor.partition(".")
    is_general = name.endswith("Pipeline")
    body = f"class Predictor({name}):\n    task = {task!r}\n" if is_general else f"Predictor = {name}\n"
    (folder / "predict.py").write_text(f"from pinion_huggingface.{module} import {name}\n\n{body}")
    (folder / "cog.yaml").write_text('predict: "predict.py:Predictor"\n')
    # The revision is part of the version's content, and so of its id.
    (folder / "source.json").write_text(json.dumps({"revision": snapshot.name}) + "\n")
    for path in sorted(snapshot.rglob("*")):
        if path.is_file():
            target = folder / "weights" / path.relative_to(snapshot)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(path.resolve())
