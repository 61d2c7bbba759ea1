"""`pinion ps`: which models run where, as the server tells it.

A table for people, or the server's JSON as it came.
"""

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from cli.client import answer, connect
from shared.sizes import size_in_words

_PIPED_WIDTH = 200
"""Where nobody looks nothing need be cut to a terminal's width."""
_VERSION_DIGITS = 12
_STYLES = {"busy": "green", "starting": "yellow", "unhealthy": "bold red", "cold": "dim"}
_SPANS = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def ps(url: str | None, *, is_json: bool, has_logs: bool) -> None:
    """Print what runs where."""
    with connect(url) as client:
        found = answer(client.get("/workers"))
    if is_json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
        return
    console = Console(width=None if sys.stdout.isatty() else _PIPED_WIDTH, highlight=False)
    for part in render(found["results"], datetime.now(UTC), has_logs=has_logs):
        console.print(part)


def render(workers: list[dict[str, Any]], now: datetime, *, has_logs: bool = False) -> Iterator[RenderableType]:
    """A heading and a table a worker, then what went wrong there and, if wanted, what was printed."""
    if not workers:
        yield Text("No worker is alive, so predictions wait: start one with ./pinion up, or look into its log.")
    for worker in workers:
        memories = [memory["name"] for memory in worker["memory"]]
        yield Text.assemble((worker["host"], "bold"), *(f" · {_use(memory)}" for memory in worker["memory"]))
        if not worker["models"]:
            yield Text("  No model is loaded here; the next prediction loads its own.")
            continue
        yield _table(worker["models"], memories, now)
        for model in worker["models"]:
            yield from _remarks(model, now, has_logs)


def _table(models: list[dict[str, Any]], memories: list[str], now: datetime) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    upper = [name.upper() for name in memories]
    for name in ("MODEL", "VERSION", "STATE", "PID", "INSTANCES", *upper, "RUNNING", "LAST USED"):
        is_number = name not in ("MODEL", "VERSION", "STATE", "LAST USED")
        table.add_column(name, justify="right" if is_number else "left", no_wrap=name != "MODEL")
    for model in models:
        is_up = model["pid"] is not None
        table.add_row(
            Text(model["model"]),
            model["version"][:_VERSION_DIGITS],
            Text(model["state"], _STYLES.get(model["state"], "")),
            str(model["pid"]) if is_up else "",
            _instances(model),
            *(size_in_words(model["memory"][name]) if name in model["memory"] else "" for name in memories),
            f"{model['running']} of {model['concurrency']}" if is_up else "",
            f"{_span(now, model['last_used_at'])} ago",
        )
    return table


def _instances(model: dict[str, Any]) -> str:
    """How many processes it has, and in which bounds its deployments want that."""
    if model["max_instances"] is None:
        return str(model["instances"] or "")
    return f"{model['instances']} of {model['min_instances']} to {model['max_instances']}"


def _remarks(model: dict[str, Any], now: datetime, has_logs: bool) -> Iterator[Text]:
    if model["error"] and model["state"] == "unhealthy" and model["pid"] is not None:
        yield Text(f"  {model['model']} says that it is not well: {model['error']}", "red")
    elif model["error"]:
        again = f"; tried again in {_span(model['retry_at'], now)}" if model["retry_at"] else ""
        times = "once" if model["failures"] == 1 else f"{model['failures']} times in a row"
        yield Text(f"  {model['model']} failed {times}{again}: {model['error']}", "red")
    if has_logs and model["logs"]:
        yield Text(f"  ── {model['model']}, printed outside predictions", "dim")
        yield Text("".join(f"  {line}\n" for line in model["logs"].splitlines()), end="")


def _use(memory: dict[str, Any]) -> str:
    return f"{memory['name']} {size_in_words(memory['taken_bytes'])} of {size_in_words(memory['budget_bytes'])}"


def _span(later: datetime | str, earlier: datetime | str) -> str:
    """The time between two moments in its largest unit; clocks that disagree make none of it negative."""
    begin, end = (at if isinstance(at, datetime) else datetime.fromisoformat(at) for at in (earlier, later))
    seconds = max(0, round((end - begin).total_seconds()))
    length, unit = next(((length, unit) for length, unit in _SPANS if seconds >= length), (1, "s"))
    return f"{seconds // length} {unit}"
