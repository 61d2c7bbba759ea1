"""I19: that secrets of a trial stand nowhere where somebody else may read.

What is searched is whatever somebody was told; the database keeps secrets in its own way, which is tested elsewhere.
"""

from collections.abc import Iterable, Mapping, Sequence

import httpx

from tests.faults.history import Order
from tests.faults.servers import PASSWORD
from tests.faults.service import Service, command_of
from tests.faults.stack import SECRET_INPUT, TOKEN, Stack

SECRETS = (TOKEN, PASSWORD, SECRET_INPUT, "whsec_")
"""The last one is how all secrets begin by which webhooks are signed."""
_ANSWER_SECONDS = 40.0


def told_by_services(stack: Stack) -> dict[str, str]:
    """What their logs say, and what everybody on the machine sees of their processes."""
    logs = {f"the log of {name}": service.log.read_text(errors="replace") for name, service in stack.services.items()}
    commands = [command_of(process) for process in stack.processes()]
    return {**logs, "the list of processes": "\n".join(commands)}


async def told_by_apis(apis: Sequence[Service], orders: Sequence[Order]) -> dict[str, str]:
    """Their metrics, and the log of messages about those of the orders that are among the newest."""
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {TOKEN}"}, timeout=_ANSWER_SECONDS) as http:

        async def told(address: str) -> httpx.Response:
            return (await http.get(address)).raise_for_status()

        metrics = {f"the metrics of {api.name}": (await told(f"{api.address}/metrics")).text for api in apis}
        messages = f"{apis[0].address}/v1/webhooks/messages"
        ids, newest = {order.id for order in orders}, (await told(messages)).json()["results"]
        logs = [(await told(f"{messages}/{each['id']}")).text for each in newest if each["prediction"] in ids]
    return {**metrics, "the delivery log": "\n".join(logs)}


def told_to(*orders: Order) -> dict[str, str]:
    """All that orders have brought back."""
    return {f"what was told of {each.id}": str([each.tries, each.cancels, each.heard, each.final]) for each in orders}


def leaks(told: Mapping[str, str], secrets: Iterable[str]) -> Iterable[str]:
    """Where a secret stands, and which; not its end."""
    for secret in secrets:
        yield from (f"{place} has {secret[:12]}…" for place, text in told.items() if secret in text)
