"""Models of the Hub that write about pictures and sound, as Transformers' generate() does."""

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as t
from PIL import Image

from tests.hub import Hub, byte_tokenizer, model_card, tiny_llama
from tests.recordings import RATE, recording

pytest_plugins = ("tests.hub_fixtures",)

_SEES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
_TEMPLATE = (
    "{% for m in messages %}<{{ m.role }}>{% for part in m.content %}"
    "{% if part.type == 'image' %}<image>{% elif part.type == 'audio' %}<|AUDIO|>{% else %}{{ part.text }}{% endif %}"
    "{% endfor %}{% endfor %}<assistant>"
)


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    """A red and a blue one; the second lies on its side, as cameras say it."""
    Image.new("RGB", (48, 40), (200, 30, 30)).save(tmp_path / "red.png")
    sideways = Image.new("RGB", (40, 24), (30, 30, 200))
    exif = sideways.getexif()
    exif[0x0112] = 6
    sideways.save(tmp_path / "blue.jpg", exif=exif)
    return [tmp_path / "red.png", tmp_path / "blue.jpg"]


def llava(template: str | None) -> tuple[Any, Any]:
    torch.manual_seed(0)
    tokenizer = byte_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"]})
    text = tiny_llama(positions=256).config
    text.vocab_size = len(tokenizer)
    config = t.LlavaConfig(
        vision_config=t.CLIPVisionConfig(image_size=32, patch_size=16, **_SEES),
        text_config=text,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        vision_feature_select_strategy="default",
    )
    processor = t.LlavaProcessor(
        image_processor=t.CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}),
        tokenizer=tokenizer,
        patch_size=16,
        num_additional_image_tokens=1,
        vision_feature_select_strategy="default",
        chat_template=template,
    )
    return t.LlavaForConditionalGeneration(config).eval(), processor


def test_a_model_is_asked_about_a_picture_and_answers_as_generate_does(
    hub: Hub, load: Any, pictures: list[Path]
) -> None:
    model, processor = llava(_TEMPLATE)
    hub.add("ada/llava", model, processor)
    loaded = load("hf:ada/llava")
    assert set(loaded.schema["Input"]["properties"]) >= {"prompt", "images", "system_prompt", "seed"}
    assert loaded.schema["Output"]["x-cog-array-display"] == "concatenate"

    def answer(*images: Path) -> str:
        asked = {"prompt": "what is it", "system_prompt": "be brief", "max_new_tokens": 12, "temperature": 0.0}
        return "".join(loaded.predict(images=list(images), **asked))

    red, blue = Image.open(pictures[0]), Image.open(pictures[1]).transpose(Image.Transpose.ROTATE_270)
    text = "<system>be brief<user><image><image>what is it<assistant>"
    inputs = processor(text=text, images=[red, blue], return_tensors="pt")
    written = model.generate(**inputs, max_new_tokens=12, do_sample=False)[0][inputs["input_ids"].shape[1] :]
    assert answer(*pictures) == processor.tokenizer.decode(written, skip_special_tokens=True)
    assert loaded.metrics["input_token_count"] == inputs["input_ids"].shape[1]
    assert answer(pictures[0]) != answer(pictures[1]), "the pictures are looked at"
    assert answer(), "it can do without a picture"


def test_without_a_chat_template_the_prompt_is_continued(hub: Hub, load: Any, pictures: list[Path]) -> None:
    model, processor = llava(None)
    hub.add("ada/llava", model, processor, README__md=model_card("image-text-to-text"))
    loaded = load("hf:ada/llava")
    prompt = "<image> the quick"
    inputs = processor(text=prompt, images=[Image.open(pictures[0])], return_tensors="pt")
    written = model.generate(**inputs, max_new_tokens=12, do_sample=False)[0][inputs["input_ids"].shape[1] :]
    pieces = loaded.predict(prompt=prompt, images=pictures[:1], max_new_tokens=12, temperature=0.0)
    assert "".join(pieces) == processor.tokenizer.decode(written, skip_special_tokens=True)
    with pytest.raises(ValueError, match="takes no system_prompt"):
        loaded.predict(prompt=prompt, images=pictures[:1], system_prompt="be brief")


def test_a_model_is_asked_about_a_recording(hub: Hub, load: Any, tmp_path: Path) -> None:
    torch.manual_seed(0)
    tokenizer = byte_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|AUDIO|>", "<|audio_bos|>", "<|audio_eos|>"]})
    text = {**_SEES, "vocab_size": len(tokenizer), "num_key_value_heads": 2, "model_type": "qwen2"}
    hears = {"d_model": 32, "encoder_layers": 1, "encoder_attention_heads": 4, "encoder_ffn_dim": 64}
    config = t.Qwen2AudioConfig(
        text_config=text,
        audio_config={**hears, "num_mel_bins": 80, "max_source_positions": 1500},
        audio_token_index=tokenizer.convert_tokens_to_ids("<|AUDIO|>"),
    )
    model = t.Qwen2AudioForConditionalGeneration(config).eval()
    processor = t.Qwen2AudioProcessor(t.WhisperFeatureExtractor(feature_size=80), tokenizer, chat_template=_TEMPLATE)
    hub.add("ada/hears", model, processor)
    loaded = load("hf:ada/hears")
    assert set(loaded.schema["Input"]["properties"]) >= {"prompt", "recordings", "images"}

    def answer(*recordings: Path) -> str:
        asked = {"prompt": "what is it", "max_new_tokens": 8, "temperature": 0.0}
        return "".join(loaded.predict(recordings=list(recordings), **asked))

    from pinion_huggingface.media import read_samples

    tone = recording(tmp_path / "tone.wav")
    heard = read_samples(tone, RATE)
    inputs = processor(text="<user><|AUDIO|>what is it<assistant>", audio=[heard], return_tensors="pt")
    written = model.generate(**inputs, max_new_tokens=8, do_sample=False)[0][inputs["input_ids"].shape[1] :]
    assert answer(tone) == tokenizer.decode(written, skip_special_tokens=True)
    assert loaded.metrics["input_token_count"] == inputs["input_ids"].shape[1]
    assert answer(), "it can do without a recording"
