"""From a row to Replicate's JSON: one function per object, used by GET, lists, stream ends and webhook bodies.

Nothing is read or written here. Keys that do not exist yet are left out, as Replicate does; clients depend on it.
"""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

from sqlalchemy import Row

from shared.contract import TERMINAL, Kind, Status, VersionStatus
from shared.file_names import FILE_KEY
from shared.secret_inputs import masked

COG_VERSION = "0.16.12"
"""Told to clients, which read array outputs differently below 0.3.9."""
_FOR_ITS_OWNER = ("webhook", "webhook_events_filter")


def moment(value: datetime) -> str:
    """RFC 3339 in UTC with microseconds and a Z."""
    return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def prediction(row: Row[Any], base: str) -> dict[str, Any]:
    """A prediction or training; `base` is the address clients reach us under, without a slash at the end."""
    shown: dict[str, Any] = {
        "id": row.id,
        "model": row.model,
        "version": row.version_id,
        "input": masked(row.input, row.secret_inputs),
        "logs": row.logs,
        "error": row.error,
        "status": _shown_status(row),
        "source": row.source,
        "data_removed": row.data_removed_at is not None,
        "created_at": moment(row.created_at),
        "urls": _prediction_urls(row, base),
    }
    if row.deployment:
        shown["deployment"] = row.deployment
    if row.destination:
        shown["destination"] = row.destination
    if row.started_at:
        shown["started_at"] = moment(row.started_at)
    if row.status in TERMINAL:
        shown |= {
            "output": output(row.output, base),
            "completed_at": moment(row.completed_at),
            "metrics": _metrics(row),
        }
    elif row.output is not None:
        shown["output"] = output(row.output, base)
    if row.deadline:
        shown["deadline"] = moment(row.deadline)
    if row.webhook:
        shown |= {"webhook": row.webhook, "webhook_events_filter": row.webhook_events}
    return shown


def _shown_status(row: Row[Any]) -> str:
    """Replicate's released clients break on `aborted`, or wait for ever."""
    is_hidden = row.status == Status.ABORTED and not row.shows_aborted
    return Status.CANCELED if is_hidden else row.status


def output(value: Any, base: str) -> Any:
    """An output or a piece of one, with addresses in the place of {"$file": "id/name"}."""
    if isinstance(value, dict):
        if value.keys() == {FILE_KEY}:
            return f"{base}/v1/outputs/{quote(value[FILE_KEY])}"
        return {key: output(each, base) for key, each in value.items()}
    if isinstance(value, list):
        return [each if isinstance(each, str) else output(each, base) for each in value]
    return value


def _prediction_urls(row: Row[Any], base: str) -> dict[str, str]:
    place = "trainings" if row.kind == Kind.TRAINING else "predictions"
    address = f"{base}/v1/{place}/{row.id}"
    urls = {"get": address, "cancel": f"{address}/cancel", "web": f"{base}/p/{row.id}"}
    if row.stream_token:
        # Replicate's JavaScript client makes files of what comes from such an address, and of nothing else.
        streams = "files/streams" if row.streams_files else "streams"
        urls["stream"] = f"{base}/v1/{streams}/{row.id}{row.stream_token}"
    return urls


def _metrics(row: Row[Any]) -> dict[str, Any]:
    total = (row.completed_at - row.created_at).total_seconds()
    # Both clocks are rounded to milliseconds on SQLite; the whole is never shorter than its part.
    return {**row.metrics, "total_time": max(total, row.metrics.get("predict_time", 0.0))}


def version(row: Row[Any]) -> dict[str, Any]:
    """A version of a model."""
    return {
        "id": row.id,
        "created_at": moment(row.created_at),
        "cog_version": COG_VERSION,
        "openapi_schema": row.openapi_schema,
        "status": row.status,
        "logs": row.logs,
        "error": row.error,
    }


def example(row: Row[Any], base: str) -> dict[str, Any]:
    """A prediction as everybody may see it who may see its model: without its owner's webhook and permissions."""
    shown = prediction(row, base)
    shown["urls"].pop("stream", None)
    return {key: value for key, value in shown.items() if key not in _FOR_ITS_OWNER}


def model(
    row: Row[Any], latest: Row[Any] | None, first_example: Row[Any] | None, run_count: int, base: str
) -> dict[str, Any]:
    """A model with its newest ready version and its first example, if there are such."""
    return {
        "url": f"{base}/{row.owner}/{row.name}",
        "owner": row.owner,
        "name": row.name,
        "description": row.description,
        "visibility": row.visibility,
        "rerun": row.rerun,
        "is_official": False,
        "github_url": row.github_url,
        "paper_url": row.paper_url,
        "license_url": row.license_url,
        "weights_url": row.weights_url,
        "run_count": run_count,
        "cover_image_url": row.cover_image_url,
        "default_example": example(first_example, base) if first_example else None,
        "latest_version": version(latest) if latest and latest.status == VersionStatus.READY else None,
        "created_at": moment(row.created_at),
    }


def deployment(row: Row[Any]) -> dict[str, Any]:
    """A deployment with its newest release."""
    return {
        "owner": row.owner,
        "name": row.name,
        "current_release": {
            "number": row.release,
            "model": row.model,
            "version": row.version_id,
            "created_at": moment(row.released_at),
            "created_by": {
                "type": row.creator_type,
                "username": row.creator_username,
                "name": row.creator_name,
                "avatar_url": None,
                "github_url": None,
            },
            "configuration": {
                "hardware": row.hardware,
                "min_instances": row.min_instances,
                "max_instances": row.max_instances,
            },
        },
    }


def collection(row: Row[Any]) -> dict[str, Any]:
    """A collection as lists show it."""
    return {"name": row.name, "slug": row.slug, "description": row.description}


def file(row: Row[Any], owner: str, signature: str, expiry: int, base: str) -> dict[str, Any]:
    """An uploaded file; the signature is that of its download link."""
    address = f"{base}/v1/files/{row.id}"
    query = urlencode({"owner": owner, "expiry": expiry, "signature": signature})
    return {
        "id": row.id,
        "name": row.name,
        "content_type": row.content_type,
        "size": row.size,
        "etag": row.sha256,
        "checksums": {"sha256": row.sha256, "md5": row.md5},
        "metadata": row.details,
        "created_at": moment(row.created_at),
        "expires_at": moment(row.expires_at) if row.expires_at else None,
        "urls": {"get": address, "download": f"{address}/download?{query}"},
    }


def account(row: Row[Any]) -> dict[str, Any]:
    """Whose token it is."""
    return {"type": row.type, "username": row.username, "name": row.name}
