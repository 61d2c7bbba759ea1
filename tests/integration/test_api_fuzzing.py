"""schemathesis sends whatever our OpenAPI document allows, and what it does not, to a real API process.

Whatever comes, the answer has a documented status and shape, and is no failure of ours. How much is sent is bounded,
and is the same in every run.
"""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from api.app import create_app
from shared import collections
from shared.settings import Settings
from tests.database_fixtures import BACKENDS, Rows
from tests.instance import api_process
from tests.owned import OWNERS_TOKEN, Property

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "ignored_auth",
    "missing_required_header",
    "negative_data_rejection",
    "unsupported_method",
    "allow_header_conformance",
)
EXAMPLES = 3
"""Of what is made up for each operation, beside examples and the limits of each value."""
LIMIT_SECONDS = 300
WITHOUT_WAITING = '"header.Prefer" = "respond-async"'
"""There is no worker here, and nothing else that ends a prediction."""


async def tried(settings: Settings, parameters: list[str], folder: Path) -> "subprocess.CompletedProcess[str]":
    """schemathesis, run to its end; `parameters` are lines of its configuration."""
    configuration = folder / "schemathesis.toml"
    configuration.write_text("\n".join(["[parameters]", WITHOUT_WAITING, *parameters]))
    program = [Path(sys.executable).with_name("schemathesis"), "--config-file", configuration, "run"]
    options = ["--generation-deterministic", f"--max-examples={EXAMPLES}", "--phases=examples,coverage,fuzzing"]
    told = [
        "--no-color",
        "--warnings=off",
        f"--checks={','.join(CHECKS)}",
        f"--header=Authorization: Bearer {OWNERS_TOKEN}",
    ]
    given = {
        "PINION_HOME": str(settings.home),
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.redis_url,
        "PINION_ENCRYPTION_KEY": settings.encryption_key.get_secret_value(),
    }

    def run() -> "subprocess.CompletedProcess[str]":
        with api_process({**os.environ, **given}) as address:
            command = [*program, *options, *told, f"{address}/openapi.json"]
            return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=LIMIT_SECONDS)

    return await asyncio.to_thread(run)


@pytest.mark.parametrize(
    ("servers", "ids"),
    [(BACKENDS[0], "made up"), *((backend, "of what is there") for backend in BACKENDS)],
    indirect=["servers"],
)
async def test_every_answer_is_a_documented_one(
    settings: Settings, owned: Property, rows: Rows, tmp_path: Path, ids: str
) -> None:
    await collections.put(owned.owner.database, "numbers", {"name": "Numbers", "description": ""}, ["ada/echo"])
    ended = await owned.owner.ended(streams=True)
    real = (
        {**owned.real, "slug": "numbers", "token": ended.id + ended.stream_token} if ids == "of what is there" else {}
    )
    done = await tried(settings, [f'"path.{name}" = "{value}"' for name, value in real.items()], tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    operations = sum(len(methods) for methods in create_app(settings).openapi()["paths"].values())
    assert f"Tested: {operations}" in done.stdout
