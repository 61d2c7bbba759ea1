"""Options that several commands have.

What they mean is the commands' business.
"""

from typing import Annotated

import typer

ServerUrl = Annotated[
    str | None, typer.Option("--url", help="Address of the server.", show_default="this machine's Pinion")
]
