"""`pinion push hf:…` as a person types it: a model from the local cache of the Hub is served without further ado."""

from pathlib import Path

import pytest

from tests.hub import REVISION, Hub
from tests.instance import Api, Instance

NAME = "pinion/from-the-hub"
pytestmark = pytest.mark.parametrize("instance", ["embedded"], indirect=True)


@pytest.fixture
def hub(tmp_path: Path) -> Hub:
    hub = Hub(tmp_path / "hub")
    hub.add_tiny_t5("ada/tiny-t5")
    return hub


def test_a_model_is_pushed_by_its_name_and_streams(instance: Instance, api: Api, hub: Hub):
    pushed = instance.command("push", f"hf:ada/tiny-t5@{REVISION}", NAME, **hub.environment)
    assert pushed.returncode == 0, pushed.stderr
    version = pushed.stdout.splitlines()[0]
    done = api.create(version, wait=True, prompt="spell: 4217")
    assert "".join(done["output"]) == "four thousand two hundred seventeen"
    assert done["metrics"]["output_token_count"] == 8  # the seven of the bundled model's stream, and the end
    assert done["metrics"]["tokens_per_second"] > 0


def test_a_model_that_is_nowhere_is_told_in_one_sentence(instance: Instance, hub: Hub):
    pushed = instance.command("push", "hf:ada/missing", NAME, **hub.environment)
    assert pushed.returncode == 1
    assert "ada/missing is not in the local cache" in pushed.stderr
