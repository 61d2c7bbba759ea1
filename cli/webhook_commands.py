"""The commands of `pinion webhook` and their options.

Their work stands in `cli.webhooks`, loaded only when it is wanted.
"""

from enum import StrEnum
from typing import Annotated

import typer

from cli.options import ServerUrl

app = typer.Typer(no_args_is_help=True, help="What receivers are owed and were given, and who hears of everything.")

EndpointId = Annotated[str, typer.Argument(help="Its id, as `pinion webhook endpoints` shows it.")]


class State(StrEnum):
    """Where a message stands."""

    PENDING = "pending"
    DELIVERING = "delivering"
    DELIVERED = "delivered"
    DEAD = "dead"


class Event(StrEnum):
    """What a message tells."""

    START = "start"
    OUTPUT = "output"
    LOGS = "logs"
    COMPLETED = "completed"
    TEST = "test"


@app.command("list")
def list_messages(
    state: Annotated[State | None, typer.Option(help="In this state alone.")] = None,
    prediction: Annotated[str | None, typer.Option(help="Of this prediction alone.")] = None,
    endpoint: Annotated[str | None, typer.Option(help="Of this endpoint alone.")] = None,
    event: Annotated[Event | None, typer.Option(help="Of this event alone.")] = None,
    url: ServerUrl = None,
) -> None:
    """Show the newest messages."""
    from cli.webhooks import list_messages

    list_messages(url, {"state": state, "prediction": prediction, "endpoint": endpoint, "event": event})


@app.command("show")
def show_message(message: Annotated[str, typer.Argument(help="Its id.")], url: ServerUrl = None) -> None:
    """Show a message and what came of each attempt, as JSON."""
    from cli.webhooks import show_message

    show_message(message, url)


@app.command()
def replay(
    message: Annotated[str | None, typer.Argument(help="The id of one message.")] = None,
    since: Annotated[
        str | None,
        typer.Option(help="All given up that came up since: 2026-11-27T08:00:00Z, or 90m, 12h, 3d ago."),
    ] = None,
    is_delivered: Annotated[
        bool, typer.Option("--delivered", help="With --since: those that were delivered instead.")
    ] = False,
    url: ServerUrl = None,
) -> None:
    """Send a message again, or all that were given up of those that came up since a moment."""
    from cli.webhooks import replay

    replay(message, since, url, is_delivered=is_delivered)


@app.command()
def discard(
    message: Annotated[str | None, typer.Argument(help="The id of one message.")] = None,
    before: Annotated[
        str | None,
        typer.Option(help="All given up that came up before then: 2026-11-01T08:00:00Z, or 90m, 12h, 30d ago."),
    ] = None,
    url: ServerUrl = None,
) -> None:
    """Delete a message that was delivered or given up, or all given up of those that came up before a moment."""
    from cli.webhooks import discard

    discard(message, before, url)


@app.command()
def endpoints(url: ServerUrl = None) -> None:
    """Show the endpoints, which hear of the end of everything you run."""
    from cli.webhooks import list_endpoints

    list_endpoints(url)


@app.command()
def add(
    address: Annotated[str, typer.Argument(help="Where to send it.")],
    url: ServerUrl = None,
) -> None:
    """Make an endpoint and print its id."""
    from cli.webhooks import add

    add(address, url)


@app.command("test")
def send_test(endpoint: EndpointId, url: ServerUrl = None) -> None:
    """Send an endpoint a message that looks like the end of a prediction, and say what it answered."""
    from cli.webhooks import send_test

    send_test(endpoint, url)


@app.command()
def disable(endpoint: EndpointId, url: ServerUrl = None) -> None:
    """Owe an endpoint nothing more for now."""
    from cli.webhooks import change

    change(endpoint, url, is_disabled=True)


@app.command()
def enable(endpoint: EndpointId, url: ServerUrl = None) -> None:
    """Let an endpoint hear of what is created from now on."""
    from cli.webhooks import change

    change(endpoint, url, is_disabled=False)


@app.command()
def remove(endpoint: EndpointId, url: ServerUrl = None) -> None:
    """Delete an endpoint, and give up what it is still owed."""
    from cli.webhooks import remove

    remove(endpoint, url)


@app.command()
def rotate(
    overlap_hours: Annotated[
        float, typer.Option(min=0, max=168, help="For how long the present secret signs too; 0 ends it at once.")
    ] = 24.0,
    url: ServerUrl = None,
) -> None:
    """Make a new signing secret and print it."""
    from cli.webhooks import rotate

    rotate(overlap_hours, url)
