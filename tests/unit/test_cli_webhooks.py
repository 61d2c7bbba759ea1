"""What `pinion webhook` and others make of what a person types."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from cli.failure import Failure
from cli.moments import moment
from cli.push import check_name
from cli.webhooks import _response, remove, replay, send_test, show_message

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "ago"),
    [
        ("90s", timedelta(seconds=90)),
        ("90m", timedelta(minutes=90)),
        ("12h", timedelta(hours=12)),
        ("3d", timedelta(days=3)),
        ("2026-11-27T08:00:00Z", timedelta(hours=4)),
        ("2026-11-27T08:00:00+02:00", timedelta(hours=6)),
    ],
)
def test_a_moment_is_written_out_or_so_long_ago(text: str, ago: timedelta) -> None:
    assert moment(text, NOW) == NOW - ago


def test_a_moment_without_a_zone_is_this_machines() -> None:
    assert moment("2026-11-27T08:00:00", NOW) == datetime(2026, 11, 27, 8).astimezone()


@pytest.mark.parametrize("text", ["yesterday", "", "12", "h", "1w", "999999d"])
def test_what_is_no_moment_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(Failure, match="write it like"):
        moment(text, NOW)


@pytest.mark.parametrize(
    ("message", "since", "is_delivered"), [(None, None, False), ("m", "1h", False), ("m", None, True)]
)
def test_one_message_is_replayed_or_all_since_amoment(
    message: str | None, since: str | None, is_delivered: bool
) -> None:
    with pytest.raises(Failure, match="Name one message"):
        replay(message, since, None, is_delivered=is_delivered)


@pytest.mark.parametrize("command", [show_message, remove, send_test])
@pytest.mark.parametrize("text", ["", "..", "../../models/ada/echo", "a?b", "a/b"])
def test_what_is_no_id_is_asked_of_no_server(command: Callable[[str, str], None], text: str) -> None:
    with pytest.raises(Failure, match="is no id"):
        command(text, "http://127.0.0.1:9")


@pytest.mark.parametrize(
    "text", ["", "echo", "ada/", "/echo", "ada/echo/x", "ada/echo:1", "ada/..", "../ada", "ada/echo?x"]
)
def test_what_is_no_name_of_a_model_is_refused(text: str) -> None:
    check_name("ada-1/echo_2.0")
    with pytest.raises(Failure, match="is no name of a model"):
        check_name(text)


def test_what_a_receiver_answered_cannot_steer_the_terminal() -> None:
    assert _response({"log": [{"response": "\x1b[2Jno\r\n such table" + "x" * 300}]}).startswith(": [2Jno such tablexx")
    assert _response({"log": [{"response": None}]}) == ""
