"""secret inputs.

Predictions that there are already get theirs, too: they are shown as long as they are kept.
"""

import json
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

revision: str = "0015"
down_revision: str | None = "0014"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_JSON = sa.JSON().with_variant(sa.Text(), "sqlite")
_PREDICTIONS = sa.table(
    "predictions", sa.column("version_id"), sa.column("kind"), sa.column("secret_inputs", sa.JSON())
)
_COMPONENTS = {"prediction": "Input", "training": "TrainingInput"}


def upgrade() -> None:
    with op.batch_alter_table("predictions", schema=None, recreate="never") as batch_op:
        batch_op.add_column(sa.Column("secret_inputs", _JSON, nullable=True))
    connection = op.get_bind()
    versions = sa.table("versions", sa.column("id"), sa.column("openapi_schema", sa.JSON()))
    for version_id, schema in connection.execute(sa.select(versions.c.id, versions.c.openapi_schema)).all():
        for kind, component in _COMPONENTS.items():
            if names := _secrets_of(schema, component):
                is_meant = sa.and_(_PREDICTIONS.c.version_id == version_id, _PREDICTIONS.c.kind == kind)
                connection.execute(sa.update(_PREDICTIONS).where(is_meant).values(secret_inputs=names))


def _secrets_of(schema: dict[str, Any] | None, component: str) -> list[str]:
    components = (schema or {}).get("components", {}).get("schemas", {})
    properties = components.get(component, {}).get("properties", {})
    return [name for name, shape in properties.items() if '"x-cog-secret": true' in json.dumps(shape)]


def downgrade() -> None:
    with op.batch_alter_table("predictions", schema=None, recreate="never") as batch_op:
        batch_op.drop_column("secret_inputs")
