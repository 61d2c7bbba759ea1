"""What became of each prediction, step by step: a witness beside the rows, by which they can be checked.

Nobody writes here. The database does, by triggers of the migrations, in the statement that changes a prediction.
"""

from datetime import datetime

from sqlalchemy import BigInteger, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from shared.tables.base import Table


class StatusChange(Table):
    """One step; also one that should not have been, when what had ended is changed. It goes with the prediction's data.

    No foreign key: it would look the prediction up once more each time it is changed.
    """

    __tablename__ = "status_changes"

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    """Of one prediction they are in the order of the steps."""
    prediction_id: Mapped[str] = mapped_column(String(26), index=True)
    attempt: Mapped[int]
    worker_id: Mapped[str | None] = mapped_column(String(26))
    former: Mapped[str | None] = mapped_column(String(16))
    """The status before; none at the beginning."""
    status: Mapped[str] = mapped_column(String(16))
    changed_at: Mapped[datetime]
    """By the database's clock."""
