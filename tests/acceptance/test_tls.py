"""Both official clients through a proxy that speaks TLS, as on a server that people reach by https.

Nobody tells Pinion its address here: the proxy says that a client used https, as Caddy and nginx do.
"""

import json
from collections.abc import Iterator
from contextlib import closing
from io import BytesIO
from typing import Any

import httpx
import pytest
import replicate
from replicate.helpers import FileOutput
from replicate.webhook import Webhooks

from tests.acceptance import javascript_client
from tests.acceptance.javascript_client import answer_of
from tests.instance import TERMINAL, Api, Instance
from tests.receiver import Receiver
from tests.tls_proxy import TlsProxy, tls_proxy, trusting

COUNTED = ["1 ", "2 ", "3 "]
PAGE_SIZE = 100


@pytest.fixture(scope="module")
def proxy(instance: Instance, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsProxy]:
    with tls_proxy(tmp_path_factory.mktemp("tls")) as proxy:
        proxy.target = instance.address
        yield proxy


@pytest.fixture
def client(instance: Instance, proxy: TlsProxy, monkeypatch: pytest.MonkeyPatch) -> Iterator[replicate.Client]:
    monkeypatch.setenv("SSL_CERT_FILE", str(proxy.authorities))
    client = replicate.Client(api_token=instance.token, base_url=proxy.url)
    with closing(client._client):
        yield client


@pytest.fixture
def node_environment(proxy: TlsProxy) -> dict[str, str]:
    javascript_client.require()
    return {"REPLICATE_BASE_URL": proxy.url, "NODE_EXTRA_CA_CERTS": str(proxy.authorities)}


@pytest.fixture
def counting(instance: Instance) -> str:
    return instance.model("counts_slowly")


def is_behind(proxy: TlsProxy, *urls: str) -> bool:
    return all(url.startswith(f"{proxy.url}/") for url in urls)


def test_python_makes_files_of_outputs_and_they_read_back_the_same(
    instance: Instance, proxy: TlsProxy, client: replicate.Client
):
    output: Any = client.run(instance.model("copies_a_file"), input={"file": BytesIO(b"\0 of mine \r\n")})
    assert isinstance(output, FileOutput)
    assert is_behind(proxy, output.url)
    assert output.read() == b"\0 of mine \r\n"


def test_javascript_makes_files_of_outputs_and_they_read_back_the_same(
    instance: Instance, proxy: TlsProxy, node_environment: dict[str, str]
):
    text = "grüße\r\n--\r\n"
    answer = answer_of(instance, "file_outputs.mjs", instance.model("copies_a_file"), text, **node_environment)
    assert answer["text"] == text
    assert is_behind(proxy, answer["url"])


def test_python_streams(proxy: TlsProxy, client: replicate.Client, counting: str):
    prediction = client.predictions.create(counting.partition(":")[2], input={"to": 3}, stream=True)
    assert prediction.urls
    assert is_behind(proxy, *prediction.urls.values())
    assert [event.data for event in prediction.stream() if event.event.value == "output"] == COUNTED


def test_javascript_streams(instance: Instance, counting: str, node_environment: dict[str, str]):
    *events, done = answer_of(instance, "stream.mjs", counting, {"to": 3}, **node_environment)
    assert [event["data"] for event in events] == COUNTED
    assert done["event"] == "done"


def test_webhooks_are_trusted_by_both(
    instance: Instance, client: replicate.Client, counting: str, receiver: Receiver, node_environment: dict[str, str]
):
    client.predictions.create(counting.partition(":")[2], input={"to": 1}, webhook=receiver.url)
    delivery = receiver.wait_for(lambda came: came and came[-1].json["status"] in TERMINAL)[-1]
    body = delivery.body.decode()
    secret = client.webhooks.default.secret()
    Webhooks.validate(headers=delivery.headers, body=body, secret=secret, tolerance=300)
    signed = {name: delivery.headers[f"webhook-{name}"] for name in ("id", "timestamp", "signature")}
    answer = answer_of(instance, "verify.mjs", stdin=json.dumps([{**signed, "body": body}]), **node_environment)
    assert answer == {"trusted": [True], "changed": [False]}


def test_the_next_page_is_behind_the_proxy_too(instance: Instance, api: Api, proxy: TlsProxy, client: replicate.Client):
    made = [api.create(instance.model("echo"), text=str(number))["id"] for number in range(PAGE_SIZE + 1)]
    first = client.predictions.list()
    assert first.next
    assert is_behind(proxy, first.next)
    second = client.predictions.list(first.next)
    assert second.results[0].id == made[0]
    assert second.previous
    assert is_behind(proxy, second.previous)
    api.until_status(made[-1], "succeeded", seconds=30)


def test_an_upload_has_its_address_behind_the_proxy(proxy: TlsProxy, client: replicate.Client):
    file = client.files.create(BytesIO(b"content"), filename="a.txt")
    assert is_behind(proxy, *file.urls.values())
    assert client.files.get(file.id) == file
    client.files.delete(file.id)


def test_a_proxy_that_is_not_trusted_is_not_believed(instance: Instance, proxy: TlsProxy, tmp_path_factory: Any):
    with (
        instance.another_api(PINION_TRUSTED_PROXIES="10.0.0.0/8") as plain,
        tls_proxy(tmp_path_factory.mktemp("other")) as other,
    ):
        other.target = plain
        headers = {"Authorization": f"Bearer {instance.token}"}
        file = httpx.post(f"{other.url}/v1/files", files={"content": b"a"}, headers=headers, verify=trusting()).json()
    assert file["urls"]["get"].startswith("http://")
