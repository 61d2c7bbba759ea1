"""Webhook ids, signatures and URL rules; the verifiers of other people are the judges."""

import base64
import time
from contextlib import suppress
from ipaddress import ip_network
from typing import Any

import pytest
import replicate.webhook
import standardwebhooks
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import InvalidRequest, InvalidWebhook, Problem
from shared.webhooks import check_url, headers, message_id, new_secret, redacted, sign

SECRET = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX"
BODY = '{"id":"aaaaaaaaaaaaaaaaaaaaaaaaaa","status":"succeeded","output":["héllo"]}'.encode()


def signed(*secrets: str, body: bytes = BODY) -> dict[str, str]:
    return headers(secrets, message_id("p1", "completed", 0), int(time.time()), body, user_agent="Pinion/1")


def test_the_known_vector_is_signed_as_everyone_signs_it() -> None:
    assert sign(SECRET, "msg_0001", 1700000000, BODY) == "v1,vH2M31gmnWv2S6Am3YUJnAmRe4ZfDH5mfRWEPjCulbI="


@given(st.binary(max_size=200))
def test_the_standard_webhooks_library_accepts_any_body_we_sign(payload: bytes) -> None:
    secret = new_secret()
    body = b'{"a":"' + base64.b64encode(payload) + b'"}'
    standardwebhooks.Webhook(secret).verify(body, signed(secret, body=body))


def test_replicates_own_client_accepts_our_headers() -> None:
    secret = new_secret()
    sent = signed(secret)
    replicate.webhook.Webhooks.validate(
        headers=sent, body=BODY.decode(), secret=replicate.webhook.WebhookSigningSecret(key=secret)
    )


def test_during_a_rotation_the_old_and_the_new_secret_both_verify() -> None:
    old, new = new_secret(), new_secret()
    sent = signed(new, old)
    assert sent["webhook-signature"].split(" ")[0] == sign(
        new, sent["webhook-id"], int(sent["webhook-timestamp"]), BODY
    )
    for secret in (old, new):
        standardwebhooks.Webhook(secret).verify(BODY, sent)


@pytest.mark.parametrize(
    "change",
    [
        {"webhook-id": "msg_other"},
        {"webhook-timestamp": str(int(time.time()) - 360)},
        {"webhook-timestamp": str(int(time.time()) + 360)},
    ],
)
def test_a_changed_header_no_longer_verifies(change: dict[str, str]) -> None:
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(SECRET).verify(BODY, signed(SECRET) | change)


def test_a_changed_byte_no_longer_verifies() -> None:
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(SECRET).verify(BODY + b" ", signed(SECRET))


def test_headers_name_the_content_and_the_sender_in_lower_case() -> None:
    sent = signed(SECRET)
    assert sent["content-type"] == "application/json"
    assert sent["user-agent"] == "Pinion/1"
    assert all(name == name.lower() for name in sent)


def test_a_secret_is_thirty_two_random_bytes_that_every_client_can_split() -> None:
    secret = new_secret()
    label, _, key = secret.partition("_")
    assert label == "whsec"
    assert "_" not in key
    assert len(base64.b64decode(key, validate=True)) == 32
    assert new_secret() != secret


def test_a_message_id_is_always_the_same_for_the_same_message() -> None:
    assert message_id("p1", "output", 3) == message_id("p1", "output", 3)
    assert len({message_id("p1", "output", 3), message_id("p1", "output", 4), message_id("p1", "logs", 3)}) == 3
    assert message_id("p", "1completed", 0) != message_id("p1", "completed", 0)


@given(st.text(), st.text(), st.integers(0))
def test_a_message_id_has_one_shape_without_a_dot(prediction: str, event: str, sequence: int) -> None:
    identifier = message_id(prediction, event, sequence)
    assert identifier.startswith("msg_")
    assert len(identifier) == 30
    assert set(identifier[4:]) <= set("abcdefghijklmnopqrstuvwxyz234567")


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com",
        "http://example.com/hook?prediction=7&x",
        "HTTPS://EXAMPLE.COM./",
        "https://user:password@example.com:8443/",
        "https://bücher.example/",
        "http://receiver:9000/",
        "http://my_service.internal/",
        "https://1.1.1.1/",
        "https://[2606:4700::1111]/",
        "https://example.com:65535/" + "a" * 2000,
    ],
)
def test_a_url_that_could_be_a_receiver_is_accepted(url: str) -> None:
    check_url(url, [])


def refusal(url: str, *allowed: str, **options: Any) -> str:
    with pytest.raises(InvalidWebhook) as caught:
        check_url(url, [ip_network(text) for text in allowed], **options)
    (problem,) = caught.value.problems
    assert problem[:2] == ("format", "webhook")
    return problem.description


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "http or https"),
        ("example.com/hook", "http or https"),
        ("//example.com/", "http or https"),
        ("file:///etc/passwd", "http or https"),
        ("gopher://example.com/", "http or https"),
        ("data:text/plain,x", "http or https"),
        ("javascript:alert(1)", "http or https"),
        ("https://example.com/" + "a" * 2048, "at most 2048 characters"),
        ("https:///path", "have a host"),
        ("https:", "have a host"),
        ("https://user@/", "have a host"),
        ("https://example.com/#part", "fragment"),
        ("https://example.com#", "fragment"),
        ("https://exa mple.com/", "blanks"),
        ("https://example.com/\r\nx-header: 1", "blanks"),
        ("https://example.com/\0", "blanks"),
        ("https://example.com/\u00a0", "blanks"),
        ("https://example.com/\u202e", "blanks"),
        ("http://a\\@b/", "backslashes"),
        ("http://example.com:0/", "port"),
        ("http://example.com:65536/", "port"),
        ("http://example.com:-1/", "port"),
        ("http://example.com:http/", "valid URL"),
        ("http://[::1", "valid URL"),
        ("http://①②⑦.0.0.1/", "valid URL"),
        ("http://%31%32%37.0.0.1/", "valid host"),
        ("http://a%00b/", "valid host"),
        ("http://a..b/", "valid host"),
        ("http://-a.com/", "valid host"),
        ("http://a,b/", "valid host"),
        ("http://" + "a" * 64 + ".com/", "valid host"),
        ("http://" + "a." * 130 + "com/", "valid host"),
        ("http://256.256.256.256/", "valid URL"),
        ("http://0177.0.0.1/", "valid URL"),
        ("http://08.1/", "valid host"),
        ("http://4294967296/", "valid host"),
        ("http://1.2.3.4.5/", "valid host"),
    ],
)
def test_a_url_that_could_not_is_refused_with_the_reason(url: str, reason: str) -> None:
    assert reason in refusal(url)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.0.0.1.",
        "127。0。0。1",
        "user@127.0.0.1",
        "localhost",
        "LOCALHOST.",
        "api.localhost",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "0x7f000001",
        "2130706433",
        "127.1",
        "0",
        "0177.1",
        "10.0.0.1",
        "192.168.0.1",
        "169.254.169.254",
        "100.100.100.200",
        "[64:ff9b::a9fe:a9fe]",
        "[2002:7f00:1::]",
        "[fd00:ec2::254]",
        "[fe80::1%25eth0]",
        "224.0.0.1",
    ],
)
def test_a_private_address_is_refused_in_every_notation(host: str) -> None:
    assert refusal(f"http://{host}:8080/hook") == "webhook must not point to a private or reserved address"


@pytest.mark.parametrize("port", [22, 25, 6379, 5432, 2375])
def test_a_port_of_another_kind_of_server_is_refused_wherever_it_is(port: int) -> None:
    sentence = f"webhook must not have port {port}, which is that of another kind of server"
    assert refusal(f"https://example.com:{port}/hook") == sentence
    assert refusal(f"http://127.0.0.1:{port}/", "127.0.0.0/8") == sentence


@pytest.mark.parametrize("port", [80, 443, 8080, 9000, 65_535])
def test_other_ports_are_fine(port: int) -> None:
    check_url(f"https://example.com:{port}/hook", [])


def test_an_allowed_network_opens_its_addresses_and_no_others() -> None:
    loopback = [ip_network("127.0.0.0/8")]
    check_url("http://127.0.0.1:9000/", loopback)
    check_url("http://localhost:9000/", loopback)
    check_url("http://0x7f.1/", loopback)
    assert "private" in refusal("http://10.0.0.1/", "127.0.0.0/8")
    assert "private" in refusal("http://169.254.169.254/", "169.254.0.0/16")


def test_a_production_server_may_insist_on_https() -> None:
    check_url("https://example.com/", [], require_https=True)
    assert refusal("http://example.com/", require_https=True) == "webhook must be an https URL"


def test_a_refused_webhook_is_an_invalid_request_about_the_field_webhook() -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_url("ftp://example.com", [])
    assert caught.value.problems == [Problem("format", "webhook", "webhook must be an http or https URL")]
    assert isinstance(caught.value, ValueError)


@given(st.text() | st.text().map(lambda text: f"http://{text}") | st.from_regex(r"https?://[\w.:@\[\]%/-]{1,40}"))
def test_any_text_is_either_accepted_or_refused_as_a_webhook(url: str) -> None:
    with suppress(InvalidWebhook):
        check_url(url, [])


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://example.com/hook", "https://example.com/hook"),
        ("https://user:secret@example.com:8443/hook", "https://***@example.com:8443/hook"),
        ("https://example.com/?token=secret&id=7&empty=", "https://example.com/?token=***&id=***&***"),
        ("https://example.com/?secret", "https://example.com/?***"),
        ("https://a@b@example.com/", "https://***@example.com/"),
        ("https://example.com/#secret", "https://example.com/"),
        ("http://[::1", "***"),
    ],
)
def test_a_redacted_url_shows_where_to_but_not_the_keys(url: str, shown: str) -> None:
    assert redacted(url) == shown
    assert "secret" not in redacted(url)
