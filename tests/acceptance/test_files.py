"""Files in and out with Replicate's own Python client, byte for byte, behind a proxy with a certificate."""

import os
from collections.abc import Iterator
from contextlib import closing
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest
import replicate
from replicate.helpers import FileOutput

from tests.instance import Api, Instance
from tests.tls_proxy import tls_proxy, trusting

CONTENT = os.urandom(3_000_000)


@pytest.fixture(scope="module")
def secure_address(instance: Instance, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of an API that knows itself by an https address."""
    with tls_proxy(tmp_path_factory.mktemp("tls")) as proxy, instance.another_api(PINION_PUBLIC_URL=proxy.url) as plain:
        proxy.target = plain
        yield proxy.url


@pytest.fixture
def client(instance: Instance, secure_address: str) -> Iterator[replicate.Client]:
    transport = httpx.HTTPTransport(verify=trusting())
    client = replicate.Client(api_token=instance.token, base_url=secure_address, transport=transport)
    with closing(client._client):
        yield client


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "a picture.png"
    path.write_bytes(CONTENT)
    return path


@pytest.mark.parametrize("strategy", ["url", "base64"])
def test_a_file_goes_in_and_comes_back_the_same(
    instance: Instance, client: replicate.Client, picture: Path, strategy: Any
):
    with picture.open("rb") as file:
        output = client.run(instance.model("copies_a_file"), input={"file": file}, file_encoding_strategy=strategy)
    assert isinstance(output, FileOutput)
    assert output.url.endswith({"url": "/a%20picture.png", "base64": "/file.png"}[strategy])
    assert output.read() == CONTENT
    assert b"".join(output) == CONTENT


def test_an_output_is_of_its_type_and_needs_no_token(instance: Instance, client: replicate.Client, picture: Path):
    output: Any = client.run(instance.model("copies_a_file"), input={"file": picture})
    with httpx.Client(verify=trusting()) as stranger:
        answer = stranger.get(output.url)
    assert (answer.status_code, answer.content) == (200, CONTENT)
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["content-length"] == str(len(CONTENT))


def test_a_list_of_files_comes_back_as_one(instance: Instance, client: replicate.Client):
    output: Any = client.run(instance.model("writes_files"), input={"texts": ["one", "two"]})
    assert [file.read() for file in output] == [b"one", b"two"]


def test_files_that_are_yielded_come_in_their_order(instance: Instance, client: replicate.Client):
    output: Any = client.run(instance.model("yields_files"), input={"texts": ["one", "two"]})
    one, after_one, two, after_two = output
    assert (one.read(), after_one, two.read(), after_two) == (b"one", "after 0", b"two", "after 1")


def test_files_that_are_yielded_can_be_read_while_the_model_goes_on(instance: Instance, client: replicate.Client):
    slow = {"texts": ["one", "two"], "seconds": 1}
    output: Any = client.run(instance.model("yields_files"), input=slow, wait=False)
    assert [each if isinstance(each, str) else each.read() for each in output] == [b"one", "after 0", b"two", "after 1"]


def test_an_output_can_be_the_next_input(instance: Instance, client: replicate.Client):
    [made] = client.run(instance.model("writes_files"), input={"texts": ["one"]})
    copied: Any = client.run(instance.model("copies_a_file"), input={"file": made.url})
    assert copied.read() == b"one"


def test_an_upload_is_found_listed_and_deleted(client: replicate.Client):
    file = client.files.create(BytesIO(b"content"), filename="a.txt", metadata={"a": [1]})
    assert (file.name, file.content_type, file.size, file.metadata) == ("a.txt", "text/plain", 7, {"a": [1]})
    assert client.files.get(file.id) == file
    assert file.id in [each.id for each in client.files.list()]
    assert client.files.delete(file.id)
    assert file.id not in [each.id for each in client.files.list()]


def test_without_a_certificate_an_output_is_its_address(instance: Instance, api: Api):
    ended = api.create(instance.model("writes_files"), wait=True, texts=["one"])
    [url] = ended["output"]
    assert url.startswith(f"{instance.address}/v1/outputs/")
    assert httpx.get(url).text == "one"
