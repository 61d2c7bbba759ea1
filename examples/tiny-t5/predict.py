"""The tiny T5 as a Cog model: setup() loads it once, predict() streams an answer piece by piece.

Nothing here knows the tasks: it is written for any T5 whose files lie in weights/.
"""

import secrets
from collections.abc import Iterator
from pathlib import Path

import torch
from cog import BasePredictor, ConcatenateIterator, Input
from tokenizers.decoders import DecodeStream
from transformers import AutoTokenizer, T5ForConditionalGeneration
from transformers.generation import (
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopPLogitsWarper,
)

WEIGHTS = Path(__file__).parent / "weights"


class Predictor(BasePredictor):
    def setup(self) -> None:
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.tokenizer = AutoTokenizer.from_pretrained(WEIGHTS, local_files_only=True)
        model = T5ForConditionalGeneration.from_pretrained(WEIGHTS, dtype=torch.float32, local_files_only=True)
        self.model = model.to(self.device).eval()

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
    ) -> ConcatenateIterator[str]:
        """Answers a prompt, streaming the text as it is written."""
        if not prompt.strip():
            raise ValueError("The prompt is empty: write a task and its input, such as 'spell: 4217'.")
        processors = LogitsProcessorList()
        if repetition_penalty != 1.0:
            processors.append(RepetitionPenaltyLogitsProcessor(repetition_penalty))
        generator = None
        if temperature > 0:
            processors.extend([TemperatureLogitsWarper(temperature), TopPLogitsWarper(top_p)])
            seed = secrets.randbits(32) if seed is None else seed
            generator = torch.Generator(self.device).manual_seed(seed)
            print(f"Using seed: {seed}")
        yield from self.text(self.tokens(prompt, max_new_tokens, processors, generator))

    @torch.inference_mode()
    def tokens(
        self,
        prompt: str,
        max_new_tokens: int,
        processors: LogitsProcessorList,
        generator: torch.Generator | None,
    ) -> Iterator[int]:
        """One token a step. A plain loop instead of generate(): a cancel raised here ends the work at once."""
        prompt_tokens = self.tokenizer(prompt, return_tensors="pt").input_ids.to(self.device)
        encoded = self.model.encoder(input_ids=prompt_tokens)
        written = torch.tensor([[self.model.config.decoder_start_token_id]], device=self.device)
        cache = None
        for _ in range(max_new_tokens):
            step = self.model(
                encoder_outputs=encoded, decoder_input_ids=written[:, -1:], past_key_values=cache, use_cache=True
            )
            cache = step.past_key_values
            scores = processors(written, step.logits[:, -1].float())
            if generator is None:
                token = scores.argmax(dim=-1, keepdim=True)
            else:
                token = torch.multinomial(scores.softmax(dim=-1), 1, generator=generator)
            if token.item() == self.model.config.eos_token_id:
                return
            written = torch.cat([written, token], dim=1)
            yield int(token.item())

    def text(self, tokens: Iterator[int]) -> Iterator[str]:
        """Pieces that together are exactly decode(all tokens): a token alone does not know the space before it."""
        stream = DecodeStream(skip_special_tokens=True)
        seen: list[int] = []
        sent = ""
        for token in tokens:
            seen.append(token)
            if piece := stream.step(self.tokenizer.backend_tokenizer, token):
                sent += piece
                yield piece
        # The limit of tokens may cut a character in two; what the stream still holds back comes last.
        if rest := self.tokenizer.decode(seen, skip_special_tokens=True)[len(sent) :]:
            yield rest
