"""The baseline: plain arq 0.28 with default settings, one no-op job and one that posts a webhook.

What most people write first; run as a worker of its own with `python -m benchmarks.plain_arq`.
"""

import os
import time
from typing import Any

import httpx
from arq import run_worker
from arq.connections import RedisSettings


async def no_op(ctx: dict[str, Any], text: str) -> tuple[float, str]:
    """Returns when it began, so that pick-up can be measured."""
    return time.time(), text


async def post(ctx: dict[str, Any], url: str, key: str) -> None:
    """What a webhook costs: one POST from the job."""
    await ctx["client"].post(url, json={"id": key})


async def open_client(ctx: dict[str, Any]) -> None:
    ctx["client"] = httpx.AsyncClient()


class Settings:
    """arq's own defaults."""

    functions = [no_op, post]  # noqa: RUF012 - arq reads the class
    on_startup = open_client
    redis_settings = RedisSettings.from_dsn(os.environ.get("PLAIN_ARQ_REDIS_URL", "redis://127.0.0.1:6379/14"))


if __name__ == "__main__":
    run_worker(Settings)  # type: ignore[arg-type]
