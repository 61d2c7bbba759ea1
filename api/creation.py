"""Making the prediction that a request asks for, whichever door it came through, and answering as `Prefer` has it.

Which version is run is decided by the route; storing it is the business of `lifecycle`.
"""

from typing import Any

from fastapi import Response
from sqlalchemy import Row

from api import waiting
from api.bodies import answer
from api.create_options import CreateOptions
from api.dependencies import Services
from api.versions_cache import Runnable
from shared import contract, crash, creates, files, lifecycle, rendering
from shared.contract import WebhookEvent
from shared.errors import Overloaded, QueueFull, TooManyAtOnce
from shared.webhooks import check_url

_WAIT_MARGIN_SECONDS = 0.2
"""Clients stop listening half a second after the time they named."""


async def create(
    wired: Services,
    caller: Row[Any],
    base: str,
    found: Runnable,
    wanted: contract.PredictionRequest,
    options: CreateOptions,
    deployment: str | None = None,
) -> Response:
    """Store and queue it; 201 at once or with the result, 202 if the wait is over before that."""
    if file_ids := files.ids_in(wanted.input):
        await files.prolong(wired.database, caller.id, file_ids, wired.settings.upload_seconds)
    input = options.without_token(wanted.input)
    identity = options.identity(caller.id, wanted)
    request = lifecycle.Request(
        account_id=caller.id,
        model=found.model,
        version_id=found.version_id,
        input=found.inputs.check(input),
        secret_inputs=found.inputs.secrets or None,
        streams=found.is_iterator,
        streams_files=found.yields_files,
        lifetime_seconds=options.lifetime_seconds,
        shows_aborted=caller.shows_aborted,
        create_key=identity.create_key,
        fingerprint=identity.fingerprint,
        deployment=deployment,
        **webhook_wishes(wired, wanted),
    )
    return await accepted(wired, base, await stored(wired, caller, request, identity), options)


async def stored(
    wired: Services,
    caller: Row[Any],
    request: lifecycle.Request,
    identity: creates.Identity,
    accept: creates.Accept = creates.store,
) -> Any:
    """The row of what there is room for, or of what was made before; raises TooManyAtOnce, QueueFull or Overloaded."""
    try:
        async with wired.admission.place(request, caller.predictions_max):
            crash.at("before_insert")
            row = await creates.create(wired.database, request, identity, accept)
    except (TooManyAtOnce, QueueFull, Overloaded):
        if earlier := await creates.find(wired.database, identity):
            return earlier
        raise
    crash.at("before_answer")
    return row


async def accepted(wired: Services, base: str, row: Any, options: CreateOptions) -> Response:
    """The answer to a create, as `Prefer` has it: 201 at once or with the result, 202 if the wait is over before."""
    seconds, stored = options.wait_seconds, rendering.prediction(row, base)
    if seconds is None:
        return answer(stored, 201)
    ended = await waiting.until_finished(wired, row.id, seconds - _WAIT_MARGIN_SECONDS)
    headers = {"Preference-Applied": f"wait={seconds:g}"}
    if ended:
        return answer(rendering.prediction(ended, base), 201, headers)
    # As it was stored: clients take every status but `starting` for the final answer.
    return answer(stored, 202, {**headers, "Location": stored["urls"]["get"]})


def webhook_wishes(wired: Services, wanted: contract.PredictionRequest) -> dict[str, Any]:
    """What `lifecycle.Request` is to know of the receiver; raises InvalidWebhook."""
    url = wanted.webhook_completed if wanted.webhook is None else wanted.webhook
    if url is None:
        return {}
    check_url(url, wired.settings.webhook_allow_cidrs, wired.settings.webhook_require_https)
    if wanted.webhook is None:
        return {"webhook": url, "webhook_events": (WebhookEvent.COMPLETED,)}
    events = WebhookEvent if wanted.webhook_events_filter is None else dict.fromkeys(wanted.webhook_events_filter)
    return {"webhook": url, "webhook_events": tuple(events)}
