"""Models of the Hub that see, hear and speak: files go in and come out, as their predictors say."""

import json
import math
import wave
from pathlib import Path
from typing import Any

import pytest
import transformers as t
from PIL import Image

from tests.hub import Hub, model_card, tiny_bert, word_tokenizer
from tests.recordings import RATE, recording

pytest_plugins = ("tests.hub_fixtures",)

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


def test_things_named_by_whoever_asks_are_found(hub: Hub, load: Any, picture: Path) -> None:
    text = {**_SEES, "vocab_size": 200, "max_position_embeddings": 16}
    vision = {**_SEES, "image_size": 32, "patch_size": 8}
    model = t.OwlViTForObjectDetection(t.OwlViTConfig(text_config=text, vision_config=vision, projection_dim=32))
    processor = t.OwlViTImageProcessorPil(size=_SMALL)
    card = model_card("zero-shot-object-detection")
    hub.add("ada/owl", model, processor, word_tokenizer(), README__md=card)
    loaded = load("hf:ada/owl")
    found = loaded.predict(image=picture, candidate_labels=["fox", "dog"], threshold=0)
    assert {each["label"] for each in found} <= {"fox", "dog"}
    assert found[0]["box"].keys() == {"xmin", "ymin", "xmax", "ymax"}
    assert loaded.predict(image=picture, candidate_labels=["fox"], threshold=1.0) == []


def test_a_recording_is_put_into_classes_named_by_whoever_asks(hub: Hub, load: Any, tmp_path: Path) -> None:
    text = {**_SEES, "vocab_size": 200, "max_position_embeddings": 64}
    audio = {
        "hidden_size": 16,
        "patch_embeds_hidden_size": 8,
        "depths": [1, 1],
        "num_attention_heads": [2, 2],
        "num_hidden_layers": 2,
        "spec_size": 64,
        "num_mel_bins": 16,
        "window_size": 4,
        "patch_size": 4,
        "patch_stride": [4, 4],
    }
    model = t.ClapModel(t.ClapConfig(text_config=text, audio_config=audio, projection_dim=16))
    extractor = t.ClapFeatureExtractor(
        feature_size=16, sampling_rate=RATE, max_length_s=1, truncation="rand_trunc", frequency_max=RATE // 2
    )
    card = model_card("zero-shot-audio-classification")
    hub.add("ada/clap", model, extractor, word_tokenizer(), README__md=card)
    judged = load("hf:ada/clap").predict(audio=recording(tmp_path / "tone.wav"), candidate_labels=["fox", "dog"])
    assert {each["label"] for each in judged} == {"fox", "dog"}
    assert sum(each["score"] for each in judged) == pytest.approx(1)


def test_points_of_two_pictures_are_matched(hub: Hub, load: Any, picture: Path) -> None:
    points = {
        "encoder_hidden_sizes": [8, 8, 8, 16],
        "decoder_hidden_size": 16,
        "keypoint_decoder_dim": 65,
        "descriptor_decoder_dim": 16,
        "keypoint_threshold": 0.0,
        "max_keypoints": 20,
    }
    config = t.SuperGlueConfig(
        keypoint_detector_config=t.SuperPointConfig(**points),
        hidden_size=16,
        keypoint_encoder_sizes=[8, 16],
        gnn_layers_types=["self", "cross"],
        num_attention_heads=2,
    )
    processor = t.SuperGlueImageProcessorPil(size={"height": 64, "width": 64})
    card = model_card("keypoint-matching")
    hub.add("ada/glue", t.SuperGlueForKeypointMatching(config), processor, README__md=card)
    matches = load("hf:ada/glue").predict(first_image=picture, second_image=picture)
    for match in matches:
        assert match.keys() == {"keypoint_image_0", "keypoint_image_1", "score"}


def test_a_page_is_asked(hub: Hub, load: Any, picture: Path) -> None:
    config = t.LayoutLMConfig(vocab_size=200, max_position_embeddings=64, max_2d_position_embeddings=1001, **_SEES)
    card = model_card("document-question-answering")
    hub.add("ada/layout", t.LayoutLMForQuestionAnswering(config), word_tokenizer(), README__md=card)
    words = [["fox", [0, 0, 100, 100]], ["dog", [200, 0, 300, 100]]]
    parameters = {"word_boxes": words, "max_seq_len": 32, "doc_stride": 8}
    answers = load("hf:ada/layout").predict(image=picture, question="which fox", parameters=parameters)
    assert {each["answer"] for each in answers} <= {"fox", "dog", "fox dog"}


def test_a_model_for_which_there_is_no_predictor_is_refused(hub: Hub, load: Any) -> None:
    from cli.failure import Failure

    hub.add(
        "ada/asks", tiny_bert(t.BertForQuestionAnswering), word_tokenizer(), README__md=model_card("question-answering")
    )
    with pytest.raises(
        Failure,
        match=r"question-answering, which has no predictor .* --task; there is text-gen",
    ):
        load("hf:ada/asks")
