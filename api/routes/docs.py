"""The pages that show our OpenAPI document to people, with all they need from this server.

Swagger UI comes with the package fastapi-offline; nothing is loaded from anywhere else.
"""

from importlib.resources import files
from pathlib import Path

from fastapi import APIRouter, Response
from fastapi.responses import FileResponse

from shared.errors import NotFound

router = APIRouter(include_in_schema=False)

_PAGES = Path(__file__).parent.parent / "pages"
_SWAGGER_UI = Path(str(files("fastapi_offline"))) / "static"
_ASSETS = {
    "docs.js": _PAGES / "docs.js",
    "swagger-ui.css": _SWAGGER_UI / "swagger-ui.css",
    "swagger-ui-bundle.js": _SWAGGER_UI / "swagger-ui-bundle.js",
}
_HEADERS = {
    "Cache-Control": "max-age=3600",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
}
"""A script that got into a description would find nothing it may do."""


@router.get("/docs")
async def show_docs() -> Response:
    """Every operation, to be read and to be tried."""
    return FileResponse(_PAGES / "docs.html", headers=_HEADERS)


@router.get("/docs/{asset}")
async def show_asset(asset: str) -> Response:
    """What the page loads."""
    if asset not in _ASSETS:
        raise NotFound
    return FileResponse(_ASSETS[asset], headers=_HEADERS)
