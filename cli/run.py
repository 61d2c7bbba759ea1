"""`pinion run`: one prediction from the terminal, its output shown while it comes.

How `key=value` becomes an input stands in `inputs`.
"""

import json
import sys
import time
from collections.abc import Sequence
from typing import Any

import httpx

from cli.client import answer, connect
from cli.event_stream import lines_of, parse
from cli.failure import Failure
from cli.inputs import Schema, read_inputs
from cli.printing import say
from cli.push import check_name

ENDED = ("succeeded", "failed", "canceled", "aborted")
_FIRST_LOOK_SECONDS, _LONGEST_LOOK_SECONDS = 0.1, 2.0
_MOST_RECONNECTS = 5


def run(target: str, pairs: Sequence[str], document: str | None, url: str | None) -> None:
    """Create the prediction, show it, and end as it ends; Ctrl-C cancels it."""
    model, _, version_id = target.partition(":")
    check_name(model)
    with connect(url) as client:
        version = find_version(client, model, version_id)
        schema = version.get("openapi_schema") or {}
        body = {"version": version["id"], "input": read_inputs(pairs, document, schema)}
        prediction = answer(client.post("/predictions", json=body))
        try:
            prediction = _show(client, prediction, schema)
        except KeyboardInterrupt:
            client.post(f"/predictions/{prediction['id']}/cancel")
            print("\nCanceled.", file=sys.stderr)
            raise
    if prediction["status"] != "succeeded":
        raise Failure(f"{model} {prediction['status']}: {prediction.get('error') or 'it says no more'}")


def find_version(client: httpx.Client, model: str, version_id: str) -> dict[str, Any]:
    """The version that is named, or the newest one."""
    if version_id:
        return answer(client.get(f"/models/{model}/versions/{version_id}"))
    latest = answer(client.get(f"/models/{model}")).get("latest_version")
    if not isinstance(latest, dict):
        raise Failure(f"{model} has no version that is ready: push one with pinion push DIR {model}")
    return latest


def _show(client: httpx.Client, prediction: dict[str, Any], schema: Schema) -> dict[str, Any]:
    """Print the output as it comes, or at the end if it comes at once; the ended prediction."""
    separator = "" if _is_text_in_pieces(schema) else "\n"
    stream = prediction.get("urls", {}).get("stream")
    is_told = bool(stream) and _print_stream(client, stream, separator)
    ended = _wait(client, prediction)
    if ended["status"] == "succeeded" and not is_told:
        if stream:
            say("The prediction was started again, or its stream broke off. This is its output:")
        print(render(ended.get("output"), separator), flush=True)
    return ended


def _is_text_in_pieces(schema: Schema) -> bool:
    output = schema.get("components", {}).get("schemas", {}).get("Output", {})
    return bool(output.get("x-cog-array-display") == "concatenate")


def render(output: Any, separator: str) -> str:
    """Text as it is, pieces of text together, anything else as JSON."""
    if isinstance(output, str):
        return output
    if isinstance(output, list) and output and all(isinstance(item, str) for item in output):
        return separator.join(output)
    return json.dumps(output, ensure_ascii=False, indent=2)


def _wait(client: httpx.Client, prediction: dict[str, Any]) -> dict[str, Any]:
    pause = _FIRST_LOOK_SECONDS
    while True:
        prediction = answer(client.get(f"/predictions/{prediction['id']}"))
        if prediction["status"] in ENDED:
            return prediction
        time.sleep(pause)
        pause = min(1.5 * pause, _LONGEST_LOOK_SECONDS)


def _print_stream(client: httpx.Client, url: str, separator: str) -> bool:
    """Follow a stream to its end; after a lost connection go on behind the last event seen. Whether all was told."""
    printer = _Printer(separator)
    for pause in range(_MOST_RECONNECTS + 1):
        time.sleep(pause)
        try:
            if _follow(client, url, printer):
                break
        except httpx.TransportError:
            if pause == _MOST_RECONNECTS:
                raise
    printer.close()
    return printer.is_whole


def _follow(client: httpx.Client, url: str, printer: "_Printer") -> bool:
    """True when the stream said that it is done."""
    headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": printer.last_id} if printer.last_id else {})
    # Under the address we already use: the server may be known by another name outside.
    with client.stream("GET", "/" + url.partition("/v1/")[2], headers=headers) as response:
        if not response.is_success:
            response.read()
            answer(response)
        for event in parse(lines_of(response.iter_text())):
            printer.last_id = event.id or printer.last_id
            if event.name == "output":
                printer.write(event.data)
            elif event.name == "done":
                printer.is_whole = "reason" not in event.data
                return True
    return False


class _Printer:
    """Writes pieces as they come, and ends what it wrote with one newline."""

    def __init__(self, separator: str) -> None:
        self.last_id = ""
        self.is_whole = False
        self._separator = separator
        self._last = ""

    def write(self, piece: str) -> None:
        sys.stdout.write((self._separator if self._last else "") + piece)
        sys.stdout.flush()
        self._last = piece or self._last

    def close(self) -> None:
        if self._last and not self._last.endswith("\n"):
            print(flush=True)
