"""As people write it: generate() in a thread, and an iterator of its text beside it."""

from threading import Thread

from cog import BasePredictor, ConcatenateIterator, Path, current_scope
from transformers import AutoTokenizer, T5ForConditionalGeneration, TextIteratorStreamer


class Predictor(BasePredictor):
    def setup(self, weights: Path) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(weights)
        self.model = T5ForConditionalGeneration.from_pretrained(weights, dtype="float32")

    def predict(
        self, prompt: str, how: str = "thread", max_new_tokens: int = 64, min_new_tokens: int = 0, no_repeat: int = 0
    ) -> ConcatenateIterator[str]:
        inputs = self.tokenizer(prompt, return_tensors="pt")
        wanted = {"max_new_tokens": max_new_tokens, "min_new_tokens": min_new_tokens, "no_repeat_ngram_size": no_repeat}
        print(f"asked: {prompt}")
        if how == "thread":
            streamer = TextIteratorStreamer(self.tokenizer, skip_prompt=True, skip_special_tokens=True)
            thread = Thread(target=self.generate, args=(inputs,), kwargs={**wanted, "streamer": streamer})
            thread.start()
            yield from (piece for piece in streamer if piece)
            thread.join()
        else:
            yield self.tokenizer.decode(self.generate(inputs, **wanted)[0], skip_special_tokens=True)

    def generate(self, inputs, **wanted):
        answer = self.model.generate(**inputs, **wanted)
        current_scope().record_metric("tokens", answer.shape[1])
        return answer
