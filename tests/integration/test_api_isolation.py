"""One account and what belongs to another: every route with an id in it, every scope, and private models.

The lists below name every route. A new one has to be entered, or a test fails.
"""

import re
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from fastapi.routing import iter_route_contexts

from api.app import create_app
from shared import files
from shared.contract import Scope, Visibility
from shared.settings import Settings
from shared.tables import Model
from tests.database_fixtures import Rows
from tests.owned import CONTENT, OWNERS_TOKEN, Property


@dataclass(frozen=True)
class Attempt:
    """How a stranger asks for something of the owner's; `is_open` where the address itself is the permission."""

    status: int = 404
    query: dict[str, Any] = field(default_factory=dict)
    body: dict[str, Any] | None = None
    content: bytes | None = None
    is_open: bool = False


ATTEMPTS = {
    "GET /v1/predictions/{prediction_id}": Attempt(),
    "POST /v1/predictions/{prediction_id}/cancel": Attempt(),
    # With the id of a prediction, but not its secret.
    "GET /v1/streams/{token}": Attempt(is_open=True),
    "GET /v1/files/streams/{token}": Attempt(is_open=True),
    "GET /v1/models/{owner}/{name}": Attempt(),
    "PATCH /v1/models/{owner}/{name}": Attempt(body={"description": "mine"}),
    "DELETE /v1/models/{owner}/{name}": Attempt(),
    "GET /v1/models/{owner}/{name}/readme": Attempt(),
    "GET /v1/models/{owner}/{name}/examples": Attempt(),
    "POST /v1/models/{owner}/{name}/examples": Attempt(body={"prediction": "0" * 26}),
    "DELETE /v1/models/{owner}/{name}/examples/{prediction_id}": Attempt(),
    "POST /v1/models/{owner}/{name}/predictions": Attempt(body={"input": {}}),
    "GET /v1/models/{owner}/{name}/versions": Attempt(),
    "GET /v1/models/{owner}/{name}/versions/{version_id}": Attempt(),
    "DELETE /v1/models/{owner}/{name}/versions/{version_id}": Attempt(),
    # A collection belongs to nobody; which of its models are shown is tested with them.
    "GET /v1/collections/{slug}": Attempt(is_open=True),
    # The name alone says that it is not the caller's, whether there is such a model or not.
    "POST /v1/models/{owner}/{name}/versions": Attempt(403, body={}),
    "GET /v1/deployments/{owner}/{name}": Attempt(),
    "PATCH /v1/deployments/{owner}/{name}": Attempt(body={"min_instances": 1}),
    "POST /v1/deployments/{owner}/{name}/predictions": Attempt(body={"input": {}}),
    "DELETE /v1/deployments/{owner}/{name}": Attempt(),
    "POST /v1/models/{owner}/{name}/versions/{version_id}/trainings": Attempt(body={"destination": "ada/echo"}),
    "GET /v1/trainings/{training_id}": Attempt(),
    "POST /v1/trainings/{training_id}/cancel": Attempt(),
    "GET /v1/webhooks/endpoints/{endpoint_id}": Attempt(),
    "PATCH /v1/webhooks/endpoints/{endpoint_id}": Attempt(body={"disabled": True}),
    "DELETE /v1/webhooks/endpoints/{endpoint_id}": Attempt(),
    "POST /v1/webhooks/endpoints/{endpoint_id}/test": Attempt(),
    "GET /v1/webhooks/messages/{message_id}": Attempt(),
    "DELETE /v1/webhooks/messages/{message_id}": Attempt(),
    "POST /v1/webhooks/messages/{message_id}/replay": Attempt(),
    "GET /v1/files/{file_id}": Attempt(),
    "DELETE /v1/files/{file_id}": Attempt(),
    "GET /v1/files/{file_id}/download": Attempt(is_open=True),
    "HEAD /v1/files/{file_id}/download": Attempt(is_open=True),
    # With the id of an upload, which opens nothing.
    "GET /v1/outputs/{file_id}/{name}": Attempt(is_open=True),
    "HEAD /v1/outputs/{file_id}/{name}": Attempt(is_open=True),
    # The page that shows the document is nobody's.
    "GET /docs/{asset}": Attempt(is_open=True),
    # Each account has contents of its own: half of one that the owner sent is nothing to go on from.
    "PUT /v1/contents/{sha256}": Attempt(409, query={"size": len(CONTENT), "offset": 5}, content=CONTENT[5:]),
}

SCOPES: dict[str, Scope | None] = {
    "POST /v1/predictions": Scope.PREDICTIONS_WRITE,
    "GET /v1/predictions": Scope.PREDICTIONS_READ,
    "GET /v1/predictions/{prediction_id}": Scope.PREDICTIONS_READ,
    "POST /v1/predictions/{prediction_id}/cancel": Scope.PREDICTIONS_WRITE,
    "GET /v1/streams/{token}": None,
    "GET /v1/files/streams/{token}": None,
    "GET /v1/models": Scope.MODELS_READ,
    "POST /v1/models": Scope.MODELS_WRITE,
    "QUERY /v1/models": Scope.MODELS_READ,
    "GET /v1/search": Scope.MODELS_READ,
    "GET /v1/collections": Scope.MODELS_READ,
    "GET /v1/collections/{slug}": Scope.MODELS_READ,
    "GET /v1/models/{owner}/{name}": Scope.MODELS_READ,
    "PATCH /v1/models/{owner}/{name}": Scope.MODELS_WRITE,
    "DELETE /v1/models/{owner}/{name}": Scope.MODELS_WRITE,
    "GET /v1/models/{owner}/{name}/readme": Scope.MODELS_READ,
    "GET /v1/models/{owner}/{name}/examples": Scope.MODELS_READ,
    "POST /v1/models/{owner}/{name}/examples": Scope.MODELS_WRITE,
    "DELETE /v1/models/{owner}/{name}/examples/{prediction_id}": Scope.MODELS_WRITE,
    "POST /v1/models/{owner}/{name}/predictions": Scope.PREDICTIONS_WRITE,
    "GET /v1/models/{owner}/{name}/versions": Scope.MODELS_READ,
    "GET /v1/models/{owner}/{name}/versions/{version_id}": Scope.MODELS_READ,
    "DELETE /v1/models/{owner}/{name}/versions/{version_id}": Scope.MODELS_WRITE,
    "POST /v1/models/{owner}/{name}/versions": Scope.MODELS_WRITE,
    "GET /v1/deployments": Scope.DEPLOYMENTS_READ,
    "POST /v1/deployments": Scope.DEPLOYMENTS_WRITE,
    "GET /v1/deployments/{owner}/{name}": Scope.DEPLOYMENTS_READ,
    "PATCH /v1/deployments/{owner}/{name}": Scope.DEPLOYMENTS_WRITE,
    "DELETE /v1/deployments/{owner}/{name}": Scope.DEPLOYMENTS_WRITE,
    "POST /v1/deployments/{owner}/{name}/predictions": Scope.PREDICTIONS_WRITE,
    "GET /v1/hardware": None,
    "POST /v1/models/{owner}/{name}/versions/{version_id}/trainings": Scope.TRAININGS_WRITE,
    "GET /v1/trainings": Scope.TRAININGS_READ,
    "GET /v1/trainings/{training_id}": Scope.TRAININGS_READ,
    "POST /v1/trainings/{training_id}/cancel": Scope.TRAININGS_WRITE,
    "GET /v1/workers": Scope.MODELS_READ,
    "GET /metrics": Scope.MODELS_READ,
    "PUT /v1/contents/{sha256}": Scope.MODELS_WRITE,
    "POST /v1/files": Scope.PREDICTIONS_WRITE,
    "GET /v1/files": Scope.PREDICTIONS_READ,
    "GET /v1/files/{file_id}": Scope.PREDICTIONS_READ,
    "DELETE /v1/files/{file_id}": Scope.PREDICTIONS_WRITE,
    "GET /v1/files/{file_id}/download": None,
    "HEAD /v1/files/{file_id}/download": None,
    "GET /v1/outputs/{file_id}/{name}": None,
    "HEAD /v1/outputs/{file_id}/{name}": None,
    "GET /v1/account": None,
    "GET /v1/webhooks/default/secret": Scope.WEBHOOKS_READ,
    "POST /v1/webhooks/default/secret/rotate": Scope.WEBHOOKS_WRITE,
    "GET /v1/webhooks/endpoints": Scope.WEBHOOKS_READ,
    "POST /v1/webhooks/endpoints": Scope.WEBHOOKS_WRITE,
    "GET /v1/webhooks/endpoints/{endpoint_id}": Scope.WEBHOOKS_READ,
    "PATCH /v1/webhooks/endpoints/{endpoint_id}": Scope.WEBHOOKS_WRITE,
    "DELETE /v1/webhooks/endpoints/{endpoint_id}": Scope.WEBHOOKS_WRITE,
    "POST /v1/webhooks/endpoints/{endpoint_id}/test": Scope.WEBHOOKS_WRITE,
    "GET /v1/webhooks/messages": Scope.WEBHOOKS_READ,
    "GET /v1/webhooks/messages/{message_id}": Scope.WEBHOOKS_READ,
    "POST /v1/webhooks/messages/{message_id}/replay": Scope.WEBHOOKS_WRITE,
    "DELETE /v1/webhooks/messages/{message_id}": Scope.WEBHOOKS_WRITE,
    "POST /v1/webhooks/replay": Scope.WEBHOOKS_WRITE,
    "POST /v1/webhooks/discard": Scope.WEBHOOKS_WRITE,
    "GET /livez": None,
    "GET /readyz": None,
    "GET /docs": None,
    "GET /docs/{asset}": None,
    "GET /openapi.json": None,
    "HEAD /openapi.json": None,
}
"""What each route asks a token for; None where any token will do, or none is needed."""

FOR_THE_FIRST_ACCOUNT = {"GET /metrics"}
"""What tells of everybody's models."""


def routes() -> set[str]:
    """Every method and path of the API, also those its document does not show."""
    found = iter_route_contexts(create_app(Settings()).routes)
    return {f"{method} {route.path}" for route in found for method in route.methods or ()}


def test_every_route_has_its_entries() -> None:
    assert set(SCOPES) == routes()
    assert set(ATTEMPTS) == {route for route in routes() if "{" in route}


def test_the_document_names_the_scope_of_every_route() -> None:
    named = {
        f"{method.upper()} {path}": [scope for needed in operation.get("security", ()) for scope in needed["token"]]
        for path, methods in create_app(Settings()).openapi()["paths"].items()
        for method, operation in methods.items()
    }
    assert named == {route: [SCOPES[route]] if SCOPES[route] else [] for route in named}


@pytest.fixture
async def stranger(client: httpx.AsyncClient) -> httpx.AsyncClient:
    """Of the account `pinion`, with a token for everything."""
    return client


async def asked(client: httpx.AsyncClient, route: str, ids: dict[str, str]) -> httpx.Response:
    method, _, path = route.partition(" ")
    attempt = ATTEMPTS.get(route, Attempt())
    address = path.format(**ids)
    return await client.request(method, address, params=attempt.query, json=attempt.body, content=attempt.content)


@pytest.mark.parametrize("route", ATTEMPTS)
async def test_what_belongs_to_another_account_cannot_be_told_from_what_does_not_exist(
    stranger: httpx.AsyncClient, owned: Property, route: str
) -> None:
    foreign, unknown = [await asked(stranger, route, ids) for ids in (owned.real, owned.unknown)]
    assert (foreign.status_code, unknown.status_code) == (ATTEMPTS[route].status,) * 2, foreign.text + unknown.text
    assert foreign.text == unknown.text.replace(owned.unknown["name"], owned.real["name"])
    if not ATTEMPTS[route].is_open:
        stranger.headers["authorization"] = f"Bearer {OWNERS_TOKEN}"
        own = await asked(stranger, route, owned.real)
        assert own.status_code not in (403, 404, 409), own.text


@pytest.mark.parametrize("route", SCOPES)
async def test_a_token_opens_what_its_scope_says_and_names_the_scope_that_it_lacks(
    client: httpx.AsyncClient, owned: Property, route: str
) -> None:
    scope = SCOPES[route]
    for name, scopes in {"none": [], "one": [scope], "others": [other for other in Scope if other != scope]}.items():
        await owned.owner.add_token(f"r8_{name}", scopes=scopes)

    async def answer_to(token: str) -> httpx.Response:
        client.headers["authorization"] = f"Bearer {token}"
        return await asked(client, route, owned.real)

    if scope is None:
        assert (await answer_to("r8_none")).status_code not in (401, 403)
        return
    for token in ("r8_none", "r8_others"):
        refused = await answer_to(token)
        detail = f"Your token lacks the scope {scope}. Use one that was made with it."
        assert refused.json() == {"title": "Forbidden", "detail": detail, "status": 403}
    is_refused = (await answer_to("r8_one")).status_code in (401, 403)
    assert is_refused == (route in FOR_THE_FIRST_ACCOUNT)


IN_BODIES: dict[str, dict[str, Any]] = {
    "POST /v1/deployments": {
        "name": "mine",
        "model": "{owner}/{name}",
        "version": "{version_id}",
        "hardware": "cpu",
        "min_instances": 0,
        "max_instances": 1,
    },
    "PATCH /v1/deployments/pinion/mine": {"version": "{version_id}"},
    "POST /v1/models/pinion/echo/examples": {"prediction": "{prediction_id}"},
    "POST /v1/models/pinion/echo/versions/{own_version_id}/trainings": {"destination": "{owner}/{name}"},
}


@pytest.mark.parametrize("request_line", IN_BODIES)
async def test_what_a_body_names_of_another_account_cannot_be_told_from_what_does_not_exist(
    stranger: httpx.AsyncClient, owned: Property, rows: Rows, request_line: str
) -> None:
    await rows.deployed("mine")
    method, _, path = request_line.format(own_version_id=rows.version_id).partition(" ")

    async def named(ids: dict[str, str]) -> httpx.Response:
        body = {key: each.format(**ids) if isinstance(each, str) else each for key, each in given.items()}
        return await stranger.request(method, path, json=body)

    given = IN_BODIES[request_line]
    foreign, unknown = await named(owned.real), await named(owned.unknown)
    assert (foreign.status_code, foreign.content) == (unknown.status_code, unknown.content)
    assert foreign.status_code in (404, 422)


REFERENCES = ("{version_id}", "{owner}/{name}", "{owner}/{name}:{version_id}")


@pytest.mark.parametrize("reference", REFERENCES)
async def test_a_private_model_is_run_by_its_owner_alone_also_after_the_owner_has_run_it(
    stranger: httpx.AsyncClient, owned: Property, reference: str
) -> None:
    async def run(ids: dict[str, str], **headers: str) -> httpx.Response:
        body = {"version": reference.format(**ids), "input": {}}
        return await stranger.post("/v1/predictions", json=body, headers=headers)

    owners = {"authorization": f"Bearer {OWNERS_TOKEN}"}
    assert (await run(owned.real, **owners)).status_code == 201
    foreign, unknown = await run(owned.real), await run(owned.unknown)
    assert (foreign.status_code, foreign.text) == (422, unknown.text)
    await owned.owner.change(Model, Model.id == owned.owner.model_id, visibility=Visibility.PUBLIC)
    shown = await run(owned.real)
    assert (shown.status_code, shown.json()["model"]) == (201, "ada/echo")
    await owned.owner.change(Model, Model.id == owned.owner.model_id, visibility=Visibility.PRIVATE)
    assert (await run(owned.real)).status_code == 422
    # What a stranger ran while it was public stays the stranger's.
    assert (await stranger.get(f"/v1/predictions/{shown.json()['id']}")).status_code == 200


async def test_a_public_model_is_shown_to_all_and_changed_by_its_owner_alone(
    stranger: httpx.AsyncClient, owned: Property
) -> None:
    await owned.owner.change(Model, Model.id == owned.owner.model_id, visibility=Visibility.PUBLIC)
    for path in ("", "/versions", f"/versions/{owned.owner.version_id}"):
        assert (await stranger.get(f"/v1/models/ada/echo{path}")).status_code == 200
    assert (await stranger.post("/v1/models/ada/echo/versions", json={"files": []})).status_code == 403


async def test_lists_hold_nothing_of_another_account(stranger: httpx.AsyncClient, owned: Property) -> None:
    for route in sorted(SCOPES):
        if re.fullmatch(r"GET /v1/(webhooks/)?\w+s", route):
            listed = await stranger.get(route.partition(" ")[2])
            assert listed.status_code == 200
            text = listed.text
            assert not [value for value in owned.real.values() if len(value) >= 26 and value in text]


async def test_a_file_of_another_account_is_not_kept_longer_by_who_names_it(
    stranger: httpx.AsyncClient, owned: Property, rows: Rows
) -> None:
    before = await files.find(rows.database, owned.real["file_id"])
    address = f"http://pinion.test/v1/files/{owned.real['file_id']}"
    made = await stranger.post("/v1/predictions", json={"version": rows.version_id, "input": {"text": address}})
    assert made.status_code == 201
    after = await files.find(rows.database, owned.real["file_id"])
    assert before is not None
    assert after is not None
    assert after.expires_at == before.expires_at
