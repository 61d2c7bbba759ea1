"""Pieces of text together are what all tokens decode to, whatever tokenizer made them and wherever they end."""

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from tests.hub import byte_tokenizer
from tests.text_models import run  # first: it finds the runtime  # noqa: F401

from pinion_textgen.stops import Stops  # isort: skip
from pinion_textgen.text import Text  # isort: skip

WEIGHTS = Path(__file__).resolve().parents[2] / "examples" / "tiny-t5" / "weights"
WORDS = [
    "the",
    "naïve",
    "café",
    "straße",
    "мир",
    "日本語",
    "🙂",
    "👩‍👩‍👧",
    "नमस्ते",
    "e\u0301",
    "\n",
    "\t",
    " ",
    "…",
    " ,",
    "龘",
    "𓀀",
]


def fallback_tokenizer() -> PreTrainedTokenizerFast:
    """BPE with bytes for what it does not know, as Llama's first had it."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    strip = decoders.Strip(" ", 1, 0)
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), strip])
    special = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=special, limit_alphabet=30)
    tokenizer.train_from_iterator(["the naïve café of the lazy dog"] * 9, trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="</s>", unk_token="<unk>")
    assert fast.decode(fast("龘")["input_ids"]) == "龘"
    return fast


def bundled_tokenizer() -> Any:
    return AutoTokenizer.from_pretrained(WEIGHTS, local_files_only=True)


def pieces(tokenizer: Any, tokens: list[int]) -> list[str]:
    text = Text(tokenizer)
    return [*(text.add(token) for token in tokens), text.rest()]


@pytest.mark.parametrize("make", [byte_tokenizer, fallback_tokenizer, bundled_tokenizer])
def test_pieces_are_the_text_wherever_it_ends(make: Callable[[], Any]) -> None:
    tokenizer, random = make(), Random(4)
    texts = [" ".join(random.choices(WORDS, k=random.randint(1, 20))) for _ in range(60)]
    encoded = [tokenizer(text)["input_ids"] for text in texts]
    cut = [tokens[: random.randint(1, len(tokens))] for tokens in encoded]
    drawn = [[random.randrange(len(tokenizer)) for _ in range(60)] for _ in range(60)]
    for tokens in (*encoded, *cut, *drawn):
        assert "".join(pieces(tokenizer, tokens)) == tokenizer.backend_tokenizer.decode(tokens)


def test_a_character_is_shown_when_its_last_byte_is_there() -> None:
    tokenizer = byte_tokenizer()
    tokens = tokenizer("🙂x")["input_ids"]
    assert len(tokens) == 5
    assert pieces(tokenizer, tokens) == ["", "", "", "🙂", "x", ""]


def test_a_text_comes_a_token_at_a_time() -> None:
    tokenizer = bundled_tokenizer()
    shown = pieces(tokenizer, tokenizer("spell: 42")["input_ids"])
    assert len([piece for piece in shown if piece]) > 3


@pytest.mark.parametrize(
    ("given", "stops", "kept"),
    [
        (["one ", "two ", "three"], ["two"], "one "),
        (["on", "e t", "wo th", "ree"], ["two"], "one "),
        (["ab", "ab", "c"], ["abc"], "ab"),
        (["one"], ["e!"], "one"),
        (["a", "b"], [], "ab"),
        (["a", "b"], [""], "ab"),
        (["xx", "STOP", "END"], ["END", "STOP"], "xx"),
    ],
)
def test_an_answer_ends_before_the_first_stop_text(given: list[str], stops: list[str], kept: str) -> None:
    until = Stops(stops)
    assert "".join([*(until.passed(piece) for piece in given), until.rest()]) == kept
    assert until.is_found == (kept != "".join(given))
