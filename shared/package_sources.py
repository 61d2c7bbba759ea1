"""Where packages come from on this machine: what pip has been set up with, as uv spells it.

Standard library only and a program as well, because the launcher asks before anything is installed. Nothing is
installed here, and what was set for uv itself is the business of whoever calls it.
"""

import ast
import json
import os
import subprocess
import sys
from collections.abc import Mapping

_ASK_SECONDS = 60.0


def uv_settings(python: str) -> dict[str, str]:
    """Variables for uv, as the pip of an interpreter is set up; none where it has no pip."""
    command = [python, "-m", "pip", "config", "list"]
    listed = subprocess.run(command, capture_output=True, text=True, timeout=_ASK_SECONDS)  # noqa: S603 - pip itself
    return translate(read_pip_settings(listed.stdout))


def read_pip_settings(listing: str) -> dict[str, str]:
    """pip's options by name; as in pip, the environment wins over `install`, and that over `global`."""
    ranks = {"global": 0, "install": 1, ":env:": 2}
    entries = []
    for line in listing.splitlines():
        key, equals, value = line.partition("=")
        section, _, option = key.rpartition(".")
        if equals and section in ranks:
            entries.append((ranks[section], option, str(ast.literal_eval(value))))
    return {option: value for _, option, value in sorted(entries)}


def translate(pip: Mapping[str, str]) -> dict[str, str]:
    """pip's settings for where packages come from, as uv spells them."""
    places = [os.path.expanduser(place) for place in pip.get("find-links", "").split()]
    ours = {
        "UV_FIND_LINKS": ",".join(places),
        "UV_DEFAULT_INDEX": pip.get("index-url", ""),
        "SSL_CERT_FILE": pip.get("cert", ""),
    }
    return {name: value for name, value in ours.items() if value}


if __name__ == "__main__":
    print(json.dumps(uv_settings(sys.executable)))
