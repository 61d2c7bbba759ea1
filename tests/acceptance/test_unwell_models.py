"""What a model's own healthcheck() says reaches whoever looks, and stops nobody."""

from typing import Any

from tests.instance import Api, Instance, until


def test_a_model_that_is_not_well_is_seen_by_everybody_and_runs(instance: Instance, api: Api) -> None:
    version = instance.model("is_well_if_told")
    model, _, version_id = version.partition(":")
    address = f"/v1/models/{model}/versions/{version_id}"

    def held() -> Any:
        return next(iter(api.get(address).json()["workers"]), {"state": None})  # told with the next heartbeat

    assert api.create(version, wait=True, answer="the GPU has fallen off")["status"] == "succeeded"
    unwell = until(lambda: (told := held())["state"] == "unhealthy" and told)
    assert unwell["error"] == "Healthcheck failed: the GPU has fallen off"
    assert "says that it is not well: Healthcheck failed: the GPU has fallen off" in instance.command("ps").stdout
    assert api.create(version, wait=True, answer="yes")["status"] == "succeeded"
    well = until(lambda: (told := held())["state"] == "warm" and told)
    assert (well["error"], well["pid"]) == (None, unwell["pid"])
