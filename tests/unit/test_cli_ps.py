"""What `pinion ps` makes of what the server tells."""

from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

from rich.console import Console

from cli.ps import render

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
VERSION = "3a0cdedf9a3c" + "0" * 52


def printed(*workers: dict[str, Any], has_logs: bool = False) -> str:
    console = Console(file=StringIO(), width=160, highlight=False)
    for part in render(list(workers), NOW, has_logs=has_logs):
        console.print(part)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def model(**changes: Any) -> dict[str, Any]:
    usual = {
        "worker": "w1",
        "host": "near",
        "model": "pinion/[echo]",
        "version": VERSION,
        "state": "warm",
        "pid": 4217,
        "memory": {"host": 123 * 2**20, "gpu0": 5 * 2**30},
        "running": 0,
        "concurrency": 4,
        "instances": 1,
        "min_instances": None,
        "max_instances": None,
        "last_used_at": (NOW - timedelta(seconds=90)).isoformat(),
        "failures": 0,
        "error": None,
        "retry_at": None,
        "logs": "loading\nready\n",
    }
    return {**usual, **changes}


def worker(*models: dict[str, Any], **changes: Any) -> dict[str, Any]:
    memory = [
        {"name": "host", "budget_bytes": 12 * 2**30, "taken_bytes": 123 * 2**20},
        {"name": "gpu0", "budget_bytes": 72 * 2**30, "taken_bytes": 5 * 2**30},
    ]
    return {"id": "w1", "host": "near", "memory": memory, "models": list(models), **changes}


def test_a_model_that_is_up_is_one_line_with_all_one_wants_to_know() -> None:
    heading, columns, line = printed(worker(model())).splitlines()
    assert heading.split(" · ") == ["near", "host 123 MiB of 12 GiB", "gpu0 5.0 GiB of 72 GiB"]
    assert columns.split() == [
        "MODEL",
        "VERSION",
        "STATE",
        "PID",
        "INSTANCES",
        "HOST",
        "GPU0",
        "RUNNING",
        "LAST",
        "USED",
    ]
    assert line.split("  ") != [line]
    assert " ".join(line.split()) == "pinion/[echo] 3a0cdedf9a3c warm 4217 1 123 MiB 5.0 GiB 0 of 4 1 min ago"


def test_what_deployments_want_is_shown_beside_what_there_is() -> None:
    assert "warm   4217  2 of 1 to 3" in printed(worker(model(instances=2, min_instances=1, max_instances=3)))
    assert "cold        0 of 0 to 3" in printed(
        worker(model(state="cold", pid=None, memory={}, instances=0, min_instances=0, max_instances=3))
    )


def test_an_unhealthy_model_says_why_and_when_it_is_tried_again() -> None:
    retry_at = (NOW + timedelta(seconds=12)).isoformat()
    gone = {"pid": None, "memory": {}, "failures": 3, "error": "The model process exited with code 7."}
    said = printed(worker(model(state="unhealthy", retry_at=retry_at, **gone)))
    assert "pinion/[echo]  3a0cdedf9a3c  unhealthy" in said
    assert "failed 3 times in a row; tried again in 12 s: The model process exited with code 7." in said


def test_a_model_that_is_up_but_not_well_says_what_ails_it() -> None:
    said = printed(worker(model(state="unhealthy", failures=1, error="Healthcheck failed: the GPU has fallen off")))
    assert "pinion/[echo] says that it is not well: Healthcheck failed: the GPU has fallen off" in said
    assert "failed once" not in said


def test_logs_are_shown_when_they_are_wanted_and_there_are_some() -> None:
    assert "loading" not in printed(worker(model()))
    said = printed(worker(model(), model(logs=None), model(logs="")), has_logs=True)
    assert said.count("printed outside predictions\n  loading\n  ready\n") == 1


def test_nothing_that_runs_is_said_in_words() -> None:
    assert "No model is loaded here; the next prediction loads its own." in printed(worker())
    assert "No worker is alive" in printed()


def test_clocks_that_disagree_do_no_harm() -> None:
    assert "0 s ago" in printed(worker(model(last_used_at=(NOW + timedelta(hours=1)).isoformat())))
