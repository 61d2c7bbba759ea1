"""I19: that secrets of a trial stand nowhere where somebody else may read.

What is searched is whatever somebody was told; the database keeps secrets in its own way, which is tested elsewhere.
"""

from collections.abc import Iterable, Mapping

from tests.faults.history import Order
from tests.faults.servers import PASSWORD
from tests.faults.service import command_of
from tests.faults.stack import SECRET_INPUT, TOKEN, Stack

SECRETS = (TOKEN, PASSWORD, SECRET_INPUT, "whsec_")
"""The last one is how all secrets begin by which webhooks are signed."""


def told_by_services(stack: Stack) -> dict[str, str]:
    """What their logs say, and what everybody on the machine sees of their processes."""
    logs = {f"the log of {name}": service.log.read_text(errors="replace") for name, service in stack.services.items()}
    commands = [command_of(process) for process in stack.processes()]
    return {**logs, "the list of processes": "\n".join(commands)}


def told_to(*orders: Order) -> dict[str, str]:
    """All that orders have brought back."""
    return {f"what was told of {each.id}": str([each.tries, each.cancels, each.heard, each.final]) for each in orders}


def leaks(told: Mapping[str, str], secrets: Iterable[str]) -> Iterable[str]:
    """Where a secret stands, and which; not its end."""
    for secret in secrets:
        yield from (f"{place} has {secret[:12]}…" for place, text in told.items() if secret in text)
