"""What a list is filtered by is found in its order by an index, and what is asked all the time by one of what is open.

Asked of SQLite, which needs an index's condition word for word, and without knowing how many rows there are prefers
what was declared last. So it is asked with the tables as migrations leave them.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import ClauseElement, Connection, create_engine, select, text

from api import figures
from api.prediction_filters import prediction_filters
from shared.contract import Kind, Status
from shared.tables import Prediction
from tests.database_fixtures import alembic
from worker import claims, sweep


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    home = tmp_path_factory.mktemp("empty")
    url = f"sqlite:///{home / 'empty.db'}"
    alembic("upgrade", url, home, "head")
    engine = create_engine(url)
    with engine.connect() as connection:
        yield connection
    engine.dispose()


@pytest.mark.parametrize(
    ("query", "index"),
    [
        ({}, "account_id_created_at_id"),
        ({"status": Status.STARTING}, "unfinished"),
        ({"status": Status.PROCESSING}, "unfinished"),
        ({"status": Status.FAILED}, "failed"),
        ({"status": Status.CANCELED}, "stopped"),
        ({"status": Status.ABORTED}, "stopped"),
        ({"status": Status.SUCCEEDED}, "account_id_created_at_id"),
        ({"source": "web"}, "web"),
        ({"model": "pinion/echo"}, "account_id_model_created_at_id"),
        ({"version": "0" * 64}, "account_id_model_created_at_id"),
        ({"deployment": "pinion/live"}, "deployment"),
    ],
)
async def test_what_is_filtered_is_found_by_an_index(empty: Connection, query: dict[str, Any], index: str):
    is_own = (Prediction.account_id == "a", Prediction.kind == Kind.PREDICTION)
    listed = select(Prediction.__table__).where(*is_own, *await prediction_filters(**query)).limit(101)
    listed = listed.order_by(Prediction.created_at.desc(), Prediction.id.desc())
    statement = listed.compile(empty, compile_kwargs={"literal_binds": True})
    plan = [step for *_, step in empty.execute(text(f"EXPLAIN QUERY PLAN {statement}".replace(":", r"\:")))]
    assert f"USING INDEX ix_predictions_{index} (" in plan[0]
    assert not [step for step in plan if "TEMP B-TREE" in step]


@pytest.mark.parametrize(
    "asked",
    [claims.forgotten("sender", ["lane"], 20.0), claims.released(["sender"]), sweep._DUE_LANES, figures._webhooks()],
    ids=["forgotten", "released", "due", "backlog"],
)
def test_webhooks_that_are_done_with_are_not_read_to_find_open_ones(empty: Connection, asked: ClauseElement):
    sent = asked.compile(empty, compile_kwargs={"render_postcompile": True})
    values = tuple(sent.params[name] for name in sent.positiontup or ())
    plan = [step for *_, step in empty.exec_driver_sql(f"EXPLAIN QUERY PLAN {sent}", values)]
    read = [step for step in plan if "webhook_messages" in step]
    assert read
    assert all("USING INDEX ix_webhook_messages_due" in step for step in read), plan
