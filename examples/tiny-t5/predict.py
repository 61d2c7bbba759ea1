"""The tiny T5 as a Cog model: predictions that run at the same time share a batch, and each streams its own answer.

Nothing here knows the tasks: it is written for any T5 whose files lie in weights/.
"""

import secrets
from dataclasses import replace
from pathlib import Path

import torch
from cog import AsyncConcatenateIterator, BasePredictor, Input, concurrent
from pinion_huggingface.streaming import writer_of, written
from pinion_textgen.options import Options
from transformers import AutoTokenizer, T5ForConditionalGeneration

WEIGHTS = Path(__file__).parent / "weights"


class Predictor(BasePredictor):
    def setup(self) -> None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
        self.tokenizer = AutoTokenizer.from_pretrained(WEIGHTS, local_files_only=True)
        model = T5ForConditionalGeneration.from_pretrained(WEIGHTS, dtype=torch.float32, local_files_only=True)
        self.writer = writer_of(model.to(device).eval())

    @concurrent(max=32)
    def predict(
        self,
        prompt: str = Input(
            description="A task and its input: 'spell: 4217', 'date: 3rd of March 2024' or 'count: from 97 to 105'."
        ),
        max_new_tokens: int = Input(description="Longest answer, in tokens.", default=192, ge=1, le=1024),
        temperature: float = Input(
            description="0 always takes the likeliest token; higher values take more chances.",
            default=0.0,
            ge=0.0,
            le=5.0,
        ),
        top_p: float = Input(
            description="When sampling, choose among the likeliest tokens that together have this probability.",
            default=1.0,
            ge=0.01,
            le=1.0,
        ),
        repetition_penalty: float = Input(
            description="Above 1 discourages tokens that were already written; 1 leaves them alone.",
            default=1.0,
            ge=0.01,
            le=5.0,
        ),
        seed: int = Input(description="Makes sampling repeatable; left out, a seed is chosen.", default=None),
    ) -> AsyncConcatenateIterator[str]:
        """Answers a prompt, streaming the text as it is written."""
        if not prompt.strip():
            raise ValueError("The prompt is empty: write a task and its input, such as 'spell: 4217'.")
        options = Options(max_new_tokens, repetition_penalty=repetition_penalty)
        if temperature > 0:
            seed = secrets.randbits(32) if seed is None else seed
            print(f"Using seed: {seed}")
            options = replace(options, do_sample=True, temperature=temperature, top_p=top_p, top_k=0, seed=seed)
        tokens = self.tokenizer(prompt)["input_ids"]
        return written(self.writer.tokens(tokens, options), self.tokenizer, len(tokens), stops=())
