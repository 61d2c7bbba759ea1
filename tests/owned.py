"""One of everything that an account may have, by the names that ids have in paths, and ids of nothing.

What a stranger, or a client that tries everything, may do with them is for the tests to say.
"""

from dataclasses import dataclass
from hashlib import sha256

from shared import files
from shared.contents import Contents
from shared.contract import Kind, Visibility
from shared.database import Database, clock
from shared.file_store import Incoming
from shared.files import Description
from shared.ids import new_id
from shared.settings import Settings
from shared.tables import Model, Prediction
from tests.database_fixtures import Rows

OWNERS_TOKEN = "r8_" + "o" * 37
CONTENT = b"0123456789"
"""Half of it has been sent."""


@dataclass
class Property:
    """What the owner has, by the names that ids have in paths; and ids of nothing."""

    owner: Rows
    real: dict[str, str]
    unknown: dict[str, str]

    @classmethod
    async def made(cls, database: Database, settings: Settings) -> "Property":
        """That of an account `ada`, all of it private."""
        owner = await Rows.made(database, "ada")
        await owner.add_token(OWNERS_TOKEN)
        await owner.change(Model, Model.id == owner.model_id, visibility=Visibility.PRIVATE, readme="# Echo")
        prediction = await owner.waiting(streams=True)
        await owner.deployed("echo")
        await owner.change(Prediction, Prediction.id == prediction.id, example_since=clock())
        training = await owner.waiting(kind=Kind.TRAINING, destination="ada/echo")
        real = {
            "prediction_id": prediction.id,
            "training_id": training.id,
            "token": prediction.id + "x" * 26,
            "owner": "ada",
            "name": "echo",
            "version_id": owner.version_id,
            "file_id": await _upload(database, settings, owner.account_id),
            "sha256": _half(settings, owner.account_id),
            "slug": "none",
            "asset": "none",
        }
        unknown = {
            "prediction_id": new_id(),
            "training_id": new_id(),
            "token": new_id() + new_id(),
            "owner": "nobody",
            "name": "nothing",
            "version_id": "0" * 64,
            "file_id": new_id(),
            "sha256": "0" * 64,
            "slug": "none",
            "asset": "none",
        }
        return cls(owner, real, unknown)


async def _upload(database: Database, settings: Settings, account_id: str) -> str:
    with Incoming(settings.home) as incoming:
        incoming.write(b"secret")
        incoming.complete()
        upload = await files.register(database, incoming, Description(account_id, "a.txt", "text/plain", 3600))
        incoming.publish(upload.id)
    return str(upload.id)


def _half(settings: Settings, account_id: str) -> str:
    digest = sha256(CONTENT).hexdigest()
    arrival = Contents(settings.home, account_id).open(digest, 0)
    arrival.write(CONTENT[:5])
    arrival.close()
    return digest
