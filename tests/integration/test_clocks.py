"""A host whose clock is not the database's: every service says so when it starts, and `pinion doctor`.

That webhooks are signed by the database's is seen in `test_deliver`; row 47 of the faults runs whole services so.
"""

from datetime import datetime, timedelta, tzinfo
from typing import Any

import pytest
from structlog.testing import capture_logs

from cli.doctor import examine
from shared import clocks, first_look
from shared.database import Database
from shared.settings import Settings
from tests.api_in_process import serving
from tests.database_fixtures import Backend
from worker import roles

WARNING = "the clocks of this host and of the database differ: set both by NTP"


def host_ahead(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    class Wrong(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Any:
            return datetime.now(tz) + timedelta(seconds=seconds)

    monkeypatch.setattr(clocks, "datetime", Wrong)


async def test_clocks_that_agree_are_found_so(database: Database) -> None:
    found = await clocks.read(database)
    assert abs(found.seconds_ahead) < 5
    assert not found.differ
    with capture_logs() as logged:
        await first_look.look(database)
    assert logged == []


@pytest.mark.parametrize(("seconds", "differ"), [(3600, True), (-3600, True), (40, True), (20, False), (-20, False)])
async def test_half_a_minute_is_too_much_either_way(
    database: Database, monkeypatch: pytest.MonkeyPatch, seconds: float, differ: bool
) -> None:
    host_ahead(monkeypatch, seconds)
    found = await clocks.read(database)
    assert abs(found.seconds_ahead - seconds) < 5
    assert found.differ == differ


@pytest.mark.parametrize("seconds", [3600, -3600])
async def test_every_service_starts_and_says_both_times_and_what_to_do(
    settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch, seconds: int
) -> None:
    host_ahead(monkeypatch, seconds)
    with capture_logs() as logged:
        async with serving(settings), roles._opened(settings):
            pass
    told = [each for each in logged if each["event"] == WARNING]
    assert len(told) == 2, "the API, and what both kinds of workers begin with"
    for each in told:
        host, known = (datetime.fromisoformat(each[name]) for name in ("host", "database"))
        assert abs((host - known).total_seconds() - seconds) < 5
        assert each["log_level"] == "warning"
        assert abs(each["seconds_ahead"] - seconds) < 5


@pytest.mark.parametrize(
    ("seconds", "mark", "words"), [(0, "OK", ""), (600, "WARN", "ahead of"), (-600, "WARN", "behind")]
)
def test_the_doctor_says_so_too(
    servers: Backend, monkeypatch: pytest.MonkeyPatch, seconds: float, mark: str, words: str
) -> None:
    monkeypatch.setenv("DATABASE_URL", servers.database_url)
    monkeypatch.setenv("REDIS_URL", servers.redis_url)
    monkeypatch.setenv("PINION_HOME", str(servers.home))
    host_ahead(monkeypatch, seconds)
    found = [finding for finding in examine() if finding.about == "Clock"]
    if servers.name == "embedded":
        assert found == [], "SQLite has none of its own"
        return
    [finding] = found
    assert (finding.mark, words in finding.found, "NTP" in finding.fix) == (mark, True, mark == "WARN")
