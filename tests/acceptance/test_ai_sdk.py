"""Vercel's AI SDK with its Replicate provider, pointed at Pinion by its base URL alone.

It makes images; the provider has no language models.
"""

import base64
import zlib
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance import javascript_client
from tests.acceptance.javascript_client import answer_of
from tests.instance import Instance, on_one_backend

pytestmark = on_one_backend
PAINTS = Path(__file__).parent / "predictors" / "paints"
SEED, PROMPT = 7, "a dot"


@pytest.fixture(scope="module", autouse=True)
def client() -> None:
    javascript_client.require()


@pytest.fixture
def paints(instance: Instance) -> str:
    return instance.model(PAINTS)


def images(instance: Instance, model: str, **options: Any) -> Any:
    return answer_of(instance, "images.mjs", model, PROMPT, options)


def dot(png: str) -> list[int]:
    """Red, green and blue of the one pixel, from base64."""
    content = base64.b64decode(png)
    start = content.index(b"IDAT") + 4
    return list(zlib.decompressobj().decompress(content[start:])[1:])


@pytest.mark.parametrize("by", ["version", "name"])
def test_images_come_with_their_type_and_whole(instance: Instance, paints: str, by: str):
    model = paints if by == "version" else paints.partition(":")[0]
    made = images(instance, model, n=1, seed=SEED)["images"]
    assert [(kind, dot(png)) for kind, png in made] == [("image/png", [0, SEED, len(PROMPT)])]


def test_what_the_provider_always_adds_and_the_model_does_not_know_does_no_harm(instance: Instance, paints: str):
    options = {"providerOptions": {"replicate": {"num_outputs": 3, "style": "cubist"}}, "size": "512x512"}
    assert [dot(png)[0] for _, png in images(instance, paints, seed=SEED, **options)["images"]] == [0, 1, 2]


def test_a_model_slower_than_the_wait_is_polled(instance: Instance, paints: str):
    options = {"providerOptions": {"replicate": {"seconds": 2.5, "maxWaitTimeInSeconds": 1}}}
    assert len(images(instance, paints, **options)["images"]) == 1


def test_an_error_reaches_the_user_in_our_words(instance: Instance, paints: str):
    wrong = images(instance, paints, providerOptions={"replicate": {"seconds": "long"}})
    assert wrong["status"] == 422
    assert "seconds" in wrong["error"]
    unknown = images(instance, "pinion/nobody")
    assert unknown["status"] == 404
