"""The stream of a prediction, read from the wire: complete, exact, resumable, and never in need of a token."""

import time
from itertools import islice
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance.events import Event, all_events, events_of, opened, outputs
from tests.instance import Api, Instance

STREAMS_TOKENS = Path(__file__).parent / "predictors" / "streams_tokens"
TOKENS = ["one", " two", "\n", "", "three\nfour", "\n\n", "🦔", " \u2028 ", "data: five", ": six", "e\u0301", "  "]
AT_ONCE_SECONDS = 10.0


@pytest.fixture
def model(instance: Instance) -> str:
    return instance.model(STREAMS_TOKENS)


@pytest.fixture
def ended(api: Api, model: str) -> Any:
    """A prediction that brought forth all tokens and has ended."""
    return api.create(model, wait=True, tokens=TOKENS)


def rest_after(events: list[Event], index: int) -> list[Event]:
    return events[index + 1 :]


def test_the_streamed_text_is_the_final_output_byte_for_byte(api: Api, model: str):
    prediction = api.create(model, tokens=TOKENS, seconds=0.02)
    streamed = outputs(all_events(prediction["urls"]["stream"]))
    final = api.until_status(prediction["id"], "succeeded")["output"]
    assert streamed == final == TOKENS
    assert "".join(streamed).encode() == "".join(final).encode()


def test_carriage_returns_which_no_event_can_carry_become_newlines(api: Api, model: str):
    prediction = api.create(model, wait=True, tokens=["a\r\nb", "\r", "c"])
    assert outputs(all_events(prediction["urls"]["stream"])) == ["a\nb", "\n", "c"]
    assert prediction["output"] == ["a\r\nb", "\r", "c"]


def test_every_event_has_an_id_of_its_own_and_the_last_one_is_done(ended: Any):
    events = all_events(ended["urls"]["stream"])
    assert len({event.id for event in events}) == len(events) == len(TOKENS) + 1
    assert events[-1].name == "done"
    assert events[-1].data == "{}"


def test_after_any_event_a_client_gets_exactly_what_it_has_not_seen(ended: Any):
    url = ended["urls"]["stream"]
    events = all_events(url)
    for index, event in enumerate(events[:-1]):
        assert all_events(url, last_event_id=event.id) == rest_after(events, index)


def test_a_client_that_lost_its_connection_goes_on_where_it_was(api: Api, model: str):
    tokens = [f"{number} " for number in range(20)]
    url = api.create(model, tokens=tokens, seconds=0.05)["urls"]["stream"]
    with opened(url) as response:
        before = list(islice(events_of(response.iter_bytes()), 5))
    after = all_events(url, last_event_id=before[-1].id)
    assert outputs(before + after) == tokens


def test_an_unknown_event_id_brings_everything(ended: Any):
    url = ended["urls"]["stream"]
    assert all_events(url, last_event_id="never given") == all_events(url)


def test_who_comes_after_the_end_gets_everything(ended: Any):
    assert outputs(all_events(ended["urls"]["stream"])) == TOKENS


def test_who_comes_after_redis_forgot_the_stream_gets_everything_from_the_row(instance: Instance, ended: Any):
    before = all_events(ended["urls"]["stream"])
    with instance.redis() as redis:
        assert redis.delete(f"pinion:live:{ended['id']}") == 1
    assert all_events(ended["urls"]["stream"]) == before


def test_several_clients_hear_the_same(api: Api, model: str):
    url = api.create(model, tokens=TOKENS, seconds=0.05)["urls"]["stream"]
    with opened(url) as first, opened(url) as second:
        assert list(events_of(first.iter_bytes())) == list(events_of(second.iter_bytes()))


def test_a_stream_of_nobody_is_not_found(instance: Instance, ended: Any):
    url: str = ended["urls"]["stream"]
    wrong = url[:-1] + ("a" if url[-1] != "a" else "b")
    for address in (wrong, url[:-1], url + "a", f"{instance.address}/v1/streams/unknown"):
        answer = httpx.get(address)
        assert answer.status_code == 404
        assert answer.json()["title"] == "Not found"


def test_first_bytes_come_at_once_although_the_model_is_busy_elsewhere(api: Api, model: str):
    busy = api.create(model, tokens=["first"], seconds=30)
    waiting = api.create(model, tokens=["second"])
    asked = time.monotonic()
    with opened(waiting["urls"]["stream"]) as response:
        first = next(response.iter_raw())
        assert time.monotonic() - asked < AT_ONCE_SECONDS
    assert first.startswith(b":")
    assert api.prediction(waiting["id"])["status"] == "starting"
    for prediction in (busy, waiting):
        api.post(f"/predictions/{prediction['id']}/cancel")


def test_tokens_come_as_they_are_made(api: Api, model: str):
    prediction = api.create(model, tokens=["first", "second"], seconds=30)
    with opened(prediction["urls"]["stream"]) as response:
        assert next(events_of(response.iter_bytes())).data == "first"
    assert api.post(f"/predictions/{prediction['id']}/cancel").json()["status"] == "canceled"


def test_a_failure_is_told_with_its_reason(api: Api, model: str):
    prediction = api.create(model, tokens=["so far"], fails=True)
    *before, error, done = all_events(prediction["urls"]["stream"])
    assert outputs(before) == ["so far"]
    assert (error.name, done.name) == ("error", "done")
    assert "out of tokens" in error.data
    assert done.data == '{"reason": "error"}'


def test_a_cancellation_is_told(api: Api, model: str):
    prediction = api.create(model, tokens=["first", "second"], seconds=30)
    with opened(prediction["urls"]["stream"]) as response:
        events = events_of(response.iter_bytes())
        assert next(events).data == "first"
        api.post(f"/predictions/{prediction['id']}/cancel")
        assert [(event.name, event.data) for event in events] == [("done", '{"reason": "canceled"}')]


def test_a_model_that_answers_in_one_piece_has_no_stream(instance: Instance, api: Api):
    assert "stream" not in api.create(instance.model("echo"), text="hello")["urls"]
