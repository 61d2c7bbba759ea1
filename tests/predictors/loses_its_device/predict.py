import torch
from cog import BasePredictor, concurrent
from pinion_huggingface.streaming import writer_of
from pinion_textgen.options import Options
from transformers import T5Config, T5ForConditionalGeneration


class Predictor(BasePredictor):
    def setup(self) -> None:
        shape = {"d_model": 8, "d_kv": 4, "d_ff": 8, "num_layers": 1, "num_heads": 2, "decoder_start_token_id": 0}
        self.model = T5ForConditionalGeneration(T5Config(vocab_size=50, **shape)).eval()
        self.writer = writer_of(self.model)

    @concurrent(max=4)
    async def predict(self, length: int, loses: bool = False) -> int:
        written = 0
        async for _ in self.writer.tokens([5, 6], Options(length, min_new_tokens=length)):
            written += 1
            if loses:
                self.model.decoder.embed_tokens.forward = _as_if_it_were_gone
        return written


def _as_if_it_were_gone(ids: torch.Tensor) -> torch.Tensor:
    raise RuntimeError("CUDA error: an illegal memory access was encountered")
