"""`pinion webhook`: messages, replays, endpoints and the secret, over the API like any client.

What was asked for goes to stdout; sentences for people to stderr.
"""

import json
import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import httpx

from cli.client import answer, connect
from cli.failure import Failure
from cli.moments import moment
from cli.printing import say, show

_TEST_SECONDS = 30.0
_LOOK_SECONDS = 0.2
_RESPONSE_CHARACTERS = 200
_ID = re.compile(r"\w+", re.ASCII)


def list_messages(url: str | None, wanted: Mapping[str, str | None]) -> None:
    with connect(url) as client:
        query = {name: value for name, value in wanted.items() if value}
        found = answer(client.get("/webhooks/messages", params=query))["results"]
    heads = ("ID", "EVENT", "STATE", "PREDICTION", "ATTEMPTS", "ANSWER", "CREATED", "URL")
    lines = [
        (
            each["id"],
            each["event"],
            each["state"],
            each["prediction"] or "-",
            str(each["attempts"]),
            each["answer"] or "-",
            each["created_at"][:19],
            each["url"],
        )
        for each in found
    ]
    show(heads, lines)


def show_message(message: str, url: str | None) -> None:
    with connect(url) as client:
        print(json.dumps(answer(client.get(_path("messages", message))), indent=2, ensure_ascii=False))


def replay(message: str | None, since: str | None, url: str | None, *, is_delivered: bool) -> None:
    if (message is None) == (since is None) or (message and is_delivered):
        raise Failure("Name one message, or with --since the moment from which on all are sent again.")
    with connect(url) as client:
        if message:
            answer(client.post(f"{_path('messages', message)}/replay"))
            say(f"{message} is sent again. See what comes: pinion webhook show {message}")
            return
        state = "delivered" if is_delivered else "dead"
        body = {"since": moment(since or "", datetime.now(UTC)).isoformat(), "state": state}
        count = answer(client.post("/webhooks/replay", json=body))["replayed"]
        say(f"{count} {'message is' if count == 1 else 'messages are'} sent again.")


def discard(message: str | None, before: str | None, url: str | None) -> None:
    if (message is None) == (before is None):
        raise Failure("Name one message, or with --before the moment until which all that were given up are deleted.")
    with connect(url) as client:
        if message:
            gone = client.delete(_path("messages", message))
            if not gone.is_success:
                answer(gone)
            say(f"Deleted {message}.")
            return
        body = {"before": moment(before or "", datetime.now(UTC)).isoformat()}
        count = answer(client.post("/webhooks/discard", json=body))["deleted"]
        say(f"Deleted {count} {'message' if count == 1 else 'messages'}.")


def list_endpoints(url: str | None) -> None:
    with connect(url) as client:
        found = answer(client.get("/webhooks/endpoints"))["results"]
    lines = [(each["id"], each["created_at"][:10], each["disabled_reason"] or "in use", each["url"]) for each in found]
    show(("ID", "CREATED", "STATE", "URL"), lines)


def add(address: str, url: str | None) -> None:
    with connect(url) as client:
        made = answer(client.post("/webhooks/endpoints", json={"url": address}))
    say(f"It hears of the end of all you create from now on. Try it: pinion webhook test {made['id']}")
    print(made["id"])


def change(endpoint: str, url: str | None, *, is_disabled: bool) -> None:
    with connect(url) as client:
        answer(client.patch(_path("endpoints", endpoint), json={"disabled": is_disabled}))
    say(f"{endpoint} is {'disabled' if is_disabled else 'in use'}.")


def remove(endpoint: str, url: str | None) -> None:
    with connect(url) as client:
        gone = client.delete(_path("endpoints", endpoint))
        if not gone.is_success:
            answer(gone)
    say(f"Deleted {endpoint}.")


def send_test(endpoint: str, url: str | None) -> None:
    """Failure unless the endpoint took the message."""
    with connect(url) as client:
        fired = answer(client.post(f"{_path('endpoints', endpoint)}/test"))
        message = _tried(client, fired["id"])
    if message["state"] != "delivered":
        raise Failure(f"{message['url']} did not take it: {message['answer']}{_response(message)}")
    say(f"{message['url']} took it: {message['answer']} after {message['log'][-1]['milliseconds']} ms.")


def rotate(overlap_hours: float, url: str | None) -> None:
    body = {"overlap_seconds": round(overlap_hours * 3600)}
    with connect(url) as client:
        made = answer(client.post("/webhooks/default/secret/rotate", json=body))
    say(f"Give receivers this secret; the one before it signs too for {overlap_hours:g} h.")
    print(made["key"])


def _path(kind: str, its_id: str) -> str:
    """Of one of them: what is no id, as `../endpoints`, might lead to something else."""
    if not _ID.fullmatch(its_id):
        raise Failure(f"{its_id!r} is no id: see pinion webhook {'list' if kind == 'messages' else kind}")
    return f"/webhooks/{kind}/{its_id}"


def _tried(client: httpx.Client, message_id: str) -> dict[str, Any]:
    """A message that had its one attempt."""
    deadline = time.monotonic() + _TEST_SECONDS
    while True:
        message = answer(client.get(_path("messages", message_id)))
        if message["state"] in ("delivered", "dead"):
            return message
        if time.monotonic() > deadline:
            raise Failure(f"No webhook worker has sent it yet. Look later: pinion webhook show {message_id}")
        time.sleep(_LOOK_SECONDS)


def _response(message: dict[str, Any]) -> str:
    """The beginning of what was answered; a stranger's text must not steer the terminal."""
    response = message["log"][-1]["response"] or ""
    readable = "".join(each for each in response[:_RESPONSE_CHARACTERS] if each.isprintable())
    return f": {readable}" if readable else ""
