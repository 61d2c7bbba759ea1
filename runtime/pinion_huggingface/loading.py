"""Loads what lies in the version's weights/: from local safetensors alone, and without running code of the model's.

What is done with it is up to the predictors.
"""

from pathlib import Path
from typing import Any

import torch
from transformers import AutoProcessor, AutoTokenizer, pipeline

WEIGHTS = Path("weights")
_SAFE = {"local_files_only": True, "trust_remote_code": False}


def load_tokenizer() -> Any:
    return AutoTokenizer.from_pretrained(WEIGHTS, **_SAFE)


def load_processor() -> Any:
    """Of a model that takes more than text."""
    return AutoProcessor.from_pretrained(WEIGHTS, **_SAFE)


def load_model(auto_class: Any) -> Any:
    """On the GPUs there are, spread over several if one is too small; else on the CPU."""
    return auto_class.from_pretrained(WEIGHTS, use_safetensors=True, **_SAFE, **_placement()).eval()


def load_pipeline(task: str) -> Any:
    safe = {"use_safetensors": True}
    return pipeline(task, model=str(WEIGHTS), model_kwargs=safe, trust_remote_code=False, **_placement())


def _placement() -> dict[str, Any]:
    if torch.cuda.is_available():
        return {"dtype": "auto", "device_map": "auto"}
    return {"dtype": torch.float32}  # half precision is slow on a CPU, where it works at all
