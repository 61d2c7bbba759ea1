"""Starts a worker: `python -m worker predict` or `python -m worker deliver`.

Configuration comes from the environment through Settings.
"""

import logging
import sys

import uvloop

from shared import crash, logs
from shared.errors import SecretUnreadable, SettingsError
from shared.seal import seal
from shared.settings import Settings
from worker import roles

_ROLES = {"predict": roles.predict, "deliver": roles.deliver}


def main() -> None:
    role = _ROLES.get(" ".join(sys.argv[1:]))
    if role is None:
        sys.exit(f"Say what this worker is to do: python -m worker {' | '.join(_ROLES)}")
    seal()
    logs.configure(f"worker-{sys.argv[1]}")
    logging.getLogger("arq").setLevel(logging.ERROR)
    settings = Settings()
    crash.listen(settings.crash_file)
    try:
        uvloop.run(role(settings))
    except (SettingsError, SecretUnreadable) as error:
        sys.exit(error.message)


if __name__ == "__main__":
    main()
