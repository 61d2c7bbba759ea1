"""Models of the Hub that see, hear and speak: files go in and come out, as their predictors say."""

import json
import math
import struct
import wave
from pathlib import Path
from typing import Any

import pytest
import transformers as t
from PIL import Image

from tests.hub import Hub, model_card, tiny_bert, word_tokenizer

pytest_plugins = ("tests.hub_fixtures",)

RATE = 16_000
_SEES = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 64}
_HEARS = {
    **_SEES,
    "conv_dim": [16, 16],
    "conv_stride": [5, 2],
    "conv_kernel": [10, 3],
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 2,
    "num_feat_extract_layers": 2,
}
_LAYERS = {
    "hidden_sizes": [8, 8, 8, 8],
    "depths": [1, 1, 1, 1],
    "num_attention_heads": [1, 1, 1, 1],
    "decoder_hidden_size": 8,
}
_SMALL = {"height": 32, "width": 32}


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    Image.new("RGB", (48, 40), (200, 30, 30)).save(tmp_path / "in.png")
    return tmp_path / "in.png"


def recording(file: Path, rate: int = RATE, channels: int = 1, width: int = 2) -> Path:
    """A second of a tone of 440 Hz."""
    with wave.open(str(file), "wb") as written:
        written.setparams((channels, width, rate, 0, "NONE", ""))
        for moment in range(rate):
            level = int(0.5 * math.sin(2 * math.pi * 440 * moment / rate) * (1 << 31))
            sample = struct.pack("<i", level)[4 - width :] if width > 1 else bytes([(level >> 24) + 128])
            written.writeframes(sample * channels)
    return file


def test_what_a_model_sees_is_told_or_drawn(hub: Hub, load: Any, picture: Path) -> None:
    sees = t.ViTForImageClassification(t.ViTConfig(num_labels=3, image_size=32, patch_size=8, **_SEES))
    hub.add("ada/sees", sees, t.ViTImageProcessorPil(size=_SMALL), README__md=model_card("image-classification"))
    labels = load("hf:ada/sees").predict(image=picture)
    assert {each["label"] for each in labels} == {"LABEL_0", "LABEL_1", "LABEL_2"}

    parts = t.SegformerForSemanticSegmentation(t.SegformerConfig(num_labels=3, **_LAYERS))
    hub.add("ada/parts", parts, t.SegformerImageProcessorPil(size=_SMALL), README__md=model_card("image-segmentation"))
    for part in load("hf:ada/parts").predict(image=picture):
        with Image.open(part["mask"]) as mask:
            assert mask.size == (48, 40)
        part["mask"].unlink()

    deep = t.GLPNForDepthEstimation(t.GLPNConfig(**_LAYERS))
    hub.add("ada/deep", deep, t.GLPNImageProcessorPil(), README__md=model_card("depth-estimation"))
    depth = load("hf:ada/deep").predict(image=picture)
    assert depth.keys() == {"depth"}
    with Image.open(depth["depth"]) as drawn:
        assert drawn.format == "PNG"
    depth["depth"].unlink()


def test_a_picture_is_put_into_classes_named_by_whoever_asks(hub: Hub, load: Any, picture: Path) -> None:
    text = {**_SEES, "vocab_size": 200, "max_position_embeddings": 64, "bos_token_id": 1, "eos_token_id": 2}
    vision = {**_SEES, "image_size": 32, "patch_size": 8}
    model = t.CLIPModel(t.CLIPConfig(text_config=text, vision_config=vision, projection_dim=16))
    processor = t.CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=_SMALL)
    card = model_card("zero-shot-image-classification")
    hub.add("ada/clip", model, processor, word_tokenizer(), README__md=card)
    judged = load("hf:ada/clip").predict(image=picture, candidate_labels=["fox", "dog"])
    assert {each["label"] for each in judged} == {"fox", "dog"}


@pytest.mark.parametrize(("rate", "channels", "width"), [(RATE, 1, 2), (44_100, 2, 2), (8_000, 1, 1), (48_000, 1, 3)])
def test_a_recording_is_read_at_any_rate_as_the_same_sound(
    tmp_path: Path, rate: int, channels: int, width: int
) -> None:
    from pinion_huggingface.media import read_sound

    file = recording(tmp_path / "tone.wav", rate, channels, width)
    heard = read_sound(file, RATE)
    tone = [0.5 * math.sin(2 * math.pi * 440 * moment / RATE) for moment in range(RATE)]
    assert heard["sampling_rate"] == RATE
    assert heard["raw"] == pytest.approx(tone, abs=0.02)


def test_what_a_model_hears_is_told(hub: Hub, load: Any, tmp_path: Path) -> None:
    letters = tmp_path / "vocab.json"
    letters.write_text(
        json.dumps({name: place for place, name in enumerate(["<pad>", "<s>", "</s>", "<unk>", "|", "a"])})
    )
    hears = t.Wav2Vec2ForCTC(t.Wav2Vec2Config(vocab_size=6, **_HEARS))
    card = model_card("automatic-speech-recognition")
    hub.add("ada/hears", hears, t.Wav2Vec2FeatureExtractor(), t.Wav2Vec2CTCTokenizer(letters), README__md=card)
    loaded = load("hf:ada/hears")
    assert isinstance(loaded.predict(audio=recording(tmp_path / "tone.wav"))["text"], str)
    (tmp_path / "none.mp3").write_bytes(b"ID3")
    with pytest.raises(ValueError, match="ffmpeg"):
        loaded.predict(audio=tmp_path / "none.mp3")


def test_a_model_that_speaks_gives_a_recording(hub: Hub, load: Any, tmp_path: Path) -> None:
    letters = tmp_path / "vocab.json"
    letters.write_text(json.dumps({name: place for place, name in enumerate("_abcdefghijklmnopqrstuvwxyz ")}))
    config = t.VitsConfig(
        vocab_size=28,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        ffn_dim=16,
        flow_size=16,
        spectrogram_bins=9,
        upsample_initial_channel=32,
        upsample_rates=[4, 4],
        upsample_kernel_sizes=[8, 8],
        resblock_kernel_sizes=[3],
        resblock_dilation_sizes=[[1, 3, 5]],
    )
    speaks = t.VitsTokenizer(letters, phonemize=False)
    hub.add("ada/speaks", t.VitsModel(config), speaks, README__md=model_card("text-to-speech"))
    loaded = load("hf:ada/speaks")
    assert loaded.schema["Output"] == {"title": "Output", "type": "string", "format": "uri"}
    spoken = loaded.predict(text="the quick fox")
    with wave.open(str(spoken), "rb") as read:
        assert (read.getframerate(), read.getnchannels(), read.getsampwidth()) == (RATE, 1, 2)
        assert read.getnframes() > 0
    spoken.unlink()


def test_a_model_for_which_there_is_no_predictor_is_refused(hub: Hub, load: Any) -> None:
    from cli.failure import Failure

    hub.add(
        "ada/asks", tiny_bert(t.BertForQuestionAnswering), word_tokenizer(), README__md=model_card("question-answering")
    )
    with pytest.raises(Failure, match="is for question-answering, which has no predictor yet"):
        load("hf:ada/asks")
