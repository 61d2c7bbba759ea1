"""Starts the API: `python -m api`.

Configuration comes from the environment through Settings.
"""

import socket
from types import FrameType
from typing import cast

import structlog
import uvicorn
from fastapi import FastAPI

from api.app import create_app
from shared import crash, logs
from shared.http_door import Bounds, Door
from shared.seal import seal
from shared.settings import Settings

_log = structlog.get_logger()
_GRACE_SECONDS = 5
_KEEP_ALIVE_SECONDS = 30
"""Longer than clients keep idle connections, so that a request never meets one that is being closed."""


class Server(uvicorn.Server):
    """Tells open streams and waiting requests to let go before uvicorn waits for them."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        app = cast(FastAPI, self.config.app)
        if hasattr(app.state, "services"):
            app.state.services.stopping.set()
        super().handle_exit(sig, frame)


def main() -> None:
    settings = Settings()
    seal()
    logs.configure("api")
    crash.listen(settings.crash_file)
    config = uvicorn.Config(
        create_app(settings),
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http=_door(settings).connection,  # type: ignore[arg-type]  # whatever makes a protocol will do
        ws="none",
        access_log=False,
        log_level="warning",
        forwarded_allow_ips=[str(network) for network in settings.trusted_proxies],
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    Server(config).run(sockets=[_listen(settings)])


def _door(settings: Settings) -> Door:
    bounds = Bounds(settings.max_connections, settings.head_seconds, settings.body_seconds, ("/livez",))
    return Door(bounds, lambda status, request_id: _log.info("refused", status=status, request_id=request_id))


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((settings.host, settings.port))
    return listener


if __name__ == "__main__":
    main()
