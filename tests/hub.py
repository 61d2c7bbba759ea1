"""A local cache of the Hub with tiny models, made from configurations and trained on a sentence or two.

Nothing is asserted about the product here.
"""

import json
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    BertForTokenClassification,
    BertModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

PROJECT = Path(__file__).resolve().parent.parent
TEXT = ["the quick brown fox jumps over the lazy dog", "Ada wrote the first program in London", "naïve café 日本"]
REVISION = "0123456789abcdef0123456789abcdef01234567"
TEMPLATE = "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}{% endfor %}<assistant>"


class Hub:
    """The cache in a folder; `add` puts a model there as a download would."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {"HF_HUB_CACHE": str(folder), "HF_HUB_OFFLINE": "1"}

    def add(self, name: str, *parts: Any, **files: str) -> Path:
        """Save parts (models and tokenizers) and further files under a name like ada/tiny; returns the snapshot."""
        place = self.folder / f"models--{name.replace('/', '--')}"
        snapshot = place / "snapshots" / REVISION
        snapshot.mkdir(parents=True)
        (place / "refs").mkdir()
        (place / "refs" / "main").write_text(REVISION)
        for part in parts:
            part.save_pretrained(snapshot)
        for file, text in files.items():
            (snapshot / file.replace("__", ".")).write_text(text)
        return snapshot

    def add_tiny_t5(self, name: str) -> Path:
        """The bundled model, as if it lay on the Hub."""
        snapshot = self.add(name)
        for file in (PROJECT / "examples" / "tiny-t5" / "weights").iterdir():
            (snapshot / file.name).symlink_to(file)
        return snapshot


def byte_tokenizer(template: str | None = None) -> PreTrainedTokenizerFast:
    """Byte-level BPE, as decoder-only models have it."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = ["<pad>", "<s>", "</s>"]
    tokenizer.train_from_iterator(
        TEXT, trainers.BpeTrainer(vocab_size=320, special_tokens=special, initial_alphabet=alphabet)
    )
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<s>", eos_token="</s>")
    fast.chat_template = template
    return fast


def word_tokenizer() -> PreTrainedTokenizerFast:
    """WordPiece, as BERT has it."""
    special = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.train_from_iterator(TEXT, trainers.WordPieceTrainer(vocab_size=200, special_tokens=[*special.values()]))
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, **{f"{name}_token": token for name, token in special.items()}
    )


def tiny_llama(positions: int = 128) -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=320,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=positions,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    return LlamaForCausalLM(config).eval()


def tiny_bert(kind: Any = BertModel, **changes: Any) -> Any:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=200,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=64,
        **changes,
    )
    return kind(config).eval()


def tiny_berts() -> dict[str, Any]:
    """One of each kind, by the task of the Hub it is for."""
    entities = {"id2label": {0: "O", 1: "B-PER"}, "label2id": {"O": 0, "B-PER": 1}}
    moods = {"id2label": {0: "sad", 1: "glad"}, "label2id": {"sad": 0, "glad": 1}}
    return {
        "text-classification": tiny_bert(BertForSequenceClassification, **moods),
        "token-classification": tiny_bert(BertForTokenClassification, **entities),
        "fill-mask": tiny_bert(BertForMaskedLM),
        "feature-extraction": tiny_bert(),
    }


def tiny_judge() -> Any:
    """Says whether one sentence follows from another, for texts to be put into any classes."""
    labels = {"id2label": {0: "contradiction", 1: "neutral", 2: "entailment"}}
    back = {"label2id": {name: number for number, name in labels["id2label"].items()}}
    return tiny_bert(BertForSequenceClassification, **labels, **back)


def model_card(task: str) -> str:
    return f"---\npipeline_tag: {task}\nlicense: apache-2.0\n---\n\n# A model\n"


def pooling(*, by_first_token: bool) -> str:
    return json.dumps({"word_embedding_dimension": 32, "pooling_mode_cls_token": by_first_token})
