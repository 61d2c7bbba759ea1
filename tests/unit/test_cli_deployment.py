"""The files people deploy with: settings, image, compose.

No container is started; this machine has no engine to start one.
"""

import re
from typing import Any

import pytest
import yaml
from pydantic import AliasChoices

from cli.home import PROJECT
from shared.settings import Settings

ROLES = {
    "api": ["python", "-m", "api"],
    "worker-predict": ["python", "-m", "worker", "predict"],
    "worker-predict-gpu": ["python", "-m", "worker", "predict"],
    "worker-deliver": ["python", "-m", "worker", "deliver"],
    "migrate": ["python", "-m", "cli", "migrate"],
}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    content = yaml.safe_load((PROJECT / "docker-compose.yml").read_text())
    assert isinstance(content, dict)
    return content


def documented_settings() -> set[str]:
    return set(re.findall(r"^# ([A-Z_]+)=", (PROJECT / ".env.example").read_text(), re.MULTILINE))


def test_every_setting_has_a_line_in_the_example() -> None:
    for name, field in Settings.model_fields.items():
        alias = field.validation_alias
        variable = alias.choices[0] if isinstance(alias, AliasChoices) else f"PINION_{name.upper()}"
        assert variable in documented_settings()


def test_the_example_names_no_setting_that_is_gone() -> None:
    known = {f"PINION_{name.upper()}" for name in Settings.model_fields}
    of_models = {"PINION_BATCH_GENERATE", "PINION_CUDA_GRAPHS"}  # handed on to their processes, which read it
    assert documented_settings() - known - of_models == {"DATABASE_URL", "REDIS_URL", "POSTGRES_PASSWORD"}


def test_the_defaults_of_the_example_are_the_real_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in documented_settings():
        monkeypatch.delenv(name, raising=False)
    undisturbed = Settings().model_dump()
    for name, value in re.findall(r"^# ([A-Z_]+)=(.+)$", (PROJECT / ".env.example").read_text(), re.MULTILINE):
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("PINION_HOME")  # written with ~, which `up` resolves
    assert Settings().model_dump() == undisturbed


@pytest.mark.parametrize("role", ROLES)
def test_every_role_runs_from_the_image_on_postgres_and_valkey(compose: dict[str, Any], role: str) -> None:
    service = compose["services"][role]
    assert service["command"] == ROLES[role]
    assert service["environment"]["DATABASE_URL"].startswith("postgresql://")
    assert service["environment"]["REDIS_URL"] == "redis://valkey:6379"
    assert service["volumes"] == ["home:/var/lib/pinion"]


@pytest.mark.parametrize("role", sorted(set(ROLES) - {"migrate"}))
def test_every_service_waits_for_the_migrations(compose: dict[str, Any], role: str) -> None:
    conditions = compose["services"][role]["depends_on"]
    assert conditions["migrate"] == {"condition": "service_completed_successfully"}
    assert conditions["valkey"] == {"condition": "service_healthy"}


def test_the_migrations_run_once(compose: dict[str, Any]) -> None:
    assert compose["services"]["migrate"]["restart"] == "no"


def test_what_others_wait_for_says_when_it_is_healthy(compose: dict[str, Any]) -> None:
    for service in ("api", "postgres", "valkey"):
        assert compose["services"][service]["healthcheck"]["test"][0] == "CMD"


def test_the_worker_on_a_gpu_is_asked_for_by_its_profile(compose: dict[str, Any]) -> None:
    worker = compose["services"]["worker-predict-gpu"]
    assert worker["profiles"] == ["gpu"]
    (device,) = worker["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "count": "all", "capabilities": ["gpu"]}


def test_volumes_are_named_and_all_are_declared(compose: dict[str, Any]) -> None:
    used = {volume.partition(":")[0] for service in compose["services"].values() for volume in service["volumes"]}
    assert used == set(compose["volumes"])


def test_no_secret_has_a_default() -> None:
    text = (PROJECT / "docker-compose.yml").read_text()
    for secret in ("PINION_API_TOKEN", "POSTGRES_PASSWORD"):
        assert set(re.findall(rf"{secret}(:.)", text)) >= {":?"}
        assert f"{secret}:-" not in text


def test_the_image_does_not_run_as_root() -> None:
    lines = (PROJECT / "Dockerfile").read_text().splitlines()
    assert "USER pinion" in lines
    assert lines.index("USER pinion") < next(number for number, line in enumerate(lines) if line.startswith("CMD"))


def test_secrets_and_environments_stay_out_of_the_image() -> None:
    assert {".env", ".venv", ".git"} <= set((PROJECT / ".dockerignore").read_text().split())
