"""Deadlines in a whole Pinion: what runs and what waits behind it both end in time."""

from datetime import datetime
from typing import Any

from tests.instance import TERMINAL, Api, Instance

SECONDS = 5
LATE_SECONDS = 3
"""The reconciler looks once a second, and a model has to stop."""


def made(api: Api, model: str, to: int) -> Any:
    body = {"version": model, "input": {"to": to, "seconds": 0.1}}
    answer = api.post("/predictions", json=body, headers={"Cancel-After": f"{SECONDS}s"})
    assert answer.status_code == 201, answer.text
    return answer.json()


def lived_seconds(prediction: Any) -> float:
    created, ended = (datetime.fromisoformat(prediction[name]) for name in ("created_at", "completed_at"))
    return (ended - created).total_seconds()


def test_what_runs_and_what_waits_behind_it_end_by_their_deadlines(instance: Instance, api: Api):
    model = instance.model("counts_slowly")
    running, waiting = [made(api, model, 1000)["id"] for _ in range(2)]
    ended, never_begun = [api.until_status(each, *TERMINAL) for each in (running, waiting)]
    assert (ended["status"], ended["error"], never_begun["status"]) == ("canceled", None, "canceled")
    assert "deadline" in never_begun["error"]
    assert "started_at" in ended
    assert "started_at" not in never_begun
    for prediction in (ended, never_begun):
        assert SECONDS - 0.1 <= lived_seconds(prediction) <= SECONDS + LATE_SECONDS
    assert api.create(model, wait=True, to=2)["output"] == ["1 ", "2 "]


def test_what_ends_in_time_is_not_touched(instance: Instance, api: Api):
    made_in_time = made(api, instance.model("counts_slowly"), 2)
    assert api.until_status(made_in_time["id"], *TERMINAL)["output"] == ["1 ", "2 "]
