"""The baseline of `benchmarks.api`: bare FastAPI, one route that writes a row and one that reads it.

On the same engine, database and web server as ours, so that the difference is what our API does: `python -m
benchmarks.bare PORT`.
"""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from fastapi import FastAPI
from sqlalchemy import JSON, Column, MetaData, String, Table, insert, select

from shared.database import open_engine
from shared.ids import new_id
from shared.settings import Settings

engine = open_engine(Settings())
metadata = MetaData()
rows = Table("bare_rows", metadata, Column("id", String(26), primary_key=True), Column("input", JSON))


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    async with engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    yield
    await engine.dispose()


app = FastAPI(lifespan=lifespan)


@app.post("/rows", status_code=201)
async def create(body: dict[str, Any]) -> dict[str, Any]:
    values = {"id": new_id(), "input": body}
    async with engine.begin() as connection:
        await connection.execute(insert(rows).values(**values))
    return values


@app.get("/rows/{row_id}")
async def read(row_id: str) -> dict[str, Any]:
    async with engine.connect() as connection:
        row = (await connection.execute(select(rows).where(rows.c.id == row_id))).one()
    return {"id": row.id, "input": row.input}


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), loop="uvloop", http="httptools", access_log=False, log_level="warning")
