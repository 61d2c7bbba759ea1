"""Row 53: a new version of a model while the old one runs."""

import asyncio
import shutil
from pathlib import Path

import pytest

from tests.faults.trial import Trial
from tests.instance import PREDICTORS

pytestmark = pytest.mark.slow


async def test_row_53_a_new_version_of_a_model_while_the_old_one_runs(trial: Trial, tmp_path: Path) -> None:
    folder = tmp_path / "acts"
    await asyncio.to_thread(shutil.copytree, PREDICTORS / "acts_as_told", folder)
    with (folder / "predict.py").open("a") as program:
        program.write("\n# another version\n")
    old = await trial.started(4, tokens=10, seconds=0.2)
    trial.begins()
    pushing = asyncio.create_task(asyncio.to_thread(trial.stack.push, folder))
    while not pushing.done():
        old.append(trial.client.order(tokens=5))
        await asyncio.sleep(0.3)
    usual, trial.client.version = trial.client.version, await pushing
    assert trial.client.version != usual
    new = await trial.started(4)
    await trial.judged(bound=40.0)
    for orders, version in ((old, usual), (new, trial.client.version)):
        assert {order.final["version"] for order in orders if order.final} == {version}
        assert {order.final["status"] for order in orders if order.final} == {"succeeded"}
