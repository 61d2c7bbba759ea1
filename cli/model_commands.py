"""The commands of `pinion model` and their options.

Their work stands in `cli.models`, loaded only when it is wanted.
"""

from typing import Annotated

import typer

from cli.options import ServerUrl

app = typer.Typer(no_args_is_help=True, help="What holds for a model, whichever of its versions runs.")


@app.callback()
def commands() -> None:
    """One command alone would otherwise have no name."""


@app.command()
def rerun(
    model: Annotated[str, typer.Argument(help="owner/name.")],
    policy: Annotated[
        str | None, typer.Argument(help="never, before_output or always.", show_default="only show it")
    ] = None,
    url: ServerUrl = None,
) -> None:
    """Say, or show, when a prediction is run again whose worker was lost, or stopped before it had ended."""
    from cli.models import rerun

    rerun(model, policy, url)
