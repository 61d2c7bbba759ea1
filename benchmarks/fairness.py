"""What one account's flood costs another that wants the same model: `python -m benchmarks.fairness [--rounds 3]`.

Starts `./pinion up` itself, on DATABASE_URL and REDIS_URL if they are set. One account makes a batch, alone and then
behind all that another has put into the queue. Two who share a model have half of it each, so 2 is the ratio of a fair
share.
"""

from datetime import datetime

from benchmarks.service import PORT, TOKEN, Figures, finished
from benchmarks.webhooks import compared
from benchmarks.wire import Client

BATCH, FLOOD = 30, 150
NAP = {"seconds": 0.1}


async def batch_seconds(client: Client, version: str) -> float:
    """From the creation of the first of a batch until the last has ended, by the database's clock."""
    body = {"version": version, "input": NAP}
    ids = [(await client.request("POST", "/v1/predictions", body))["id"] for _ in range(BATCH)]
    rows = [await finished(client, prediction_id) for prediction_id in ids]
    created, ended = ([datetime.fromisoformat(row[name]) for row in rows] for name in ("created_at", "completed_at"))
    return (max(ended) - min(created)).total_seconds()


async def one_round(version: str, token_of_another: str) -> Figures:
    """A batch alone, then behind a flood."""
    body = {"version": version, "input": NAP}
    async with Client("127.0.0.1", PORT, TOKEN) as client, Client("127.0.0.1", PORT, token_of_another) as other:
        alone = await batch_seconds(client, version)
        flood = [(await other.request("POST", "/v1/predictions", body))["id"] for _ in range(FLOOD)]
        last = await other.request("GET", f"/v1/predictions/{flood[-1]}")
        assert last["status"] == "starting", "the flood was over before the batch began"
        beside = await batch_seconds(client, version)
        for prediction_id in flood:
            await finished(other, prediction_id)
    return {"batch alone s": alone, "batch behind a flood s": beside, "ratio": beside / alone}


async def measure(rounds: int, token_of_another: str) -> list[Figures]:
    async with Client("127.0.0.1", PORT, TOKEN) as client:
        version = (await client.request("GET", "/v1/models/pinion/naps"))["latest_version"]["id"]
        await client.request("PATCH", "/v1/models/pinion/naps", {"visibility": "public"})
        await batch_seconds(client, version)  # the model is up then
    return [await one_round(version, token_of_another) for _ in range(rounds)]


if __name__ == "__main__":
    compared(__doc__, "naps", measure, decimals=2)
