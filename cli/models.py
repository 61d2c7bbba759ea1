"""`pinion model`: what holds for a model, over the API like any client.

How models are pushed stands in `push`.
"""

from cli.client import answer, connect
from cli.printing import say
from cli.push import check_name


def rerun(model: str, policy: str | None, url: str | None) -> None:
    """The policy alone goes to stdout, for a program to read."""
    check_name(model)
    with connect(url) as client:
        if policy:
            found = answer(client.patch(f"/models/{model}", json={"rerun": policy}))
        else:
            found = answer(client.get(f"/models/{model}"))
    say(f"Predictions of {model} whose worker is gone are run again:")
    print(found["rerun"])
