"""Starts the server of one directory: `python -m serving FOLDER [options]`; `pinion serve` becomes this process.

What is served, and how it ends, stands in `server`.
"""

import socket
import sys

import uvloop

from serving.options import Options, read_options
from serving.server import serve
from shared.seal import seal
from worker.events import SetupFailed


def main() -> None:
    options = read_options(sys.argv[1:])
    seal()
    if not (options.folder / "cog.yaml").is_file():
        sys.exit(f"pinion: {options.folder} has no cog.yaml; name a folder with a Cog model in it.")
    listener = _listen(options)
    address = listener.getsockname()
    host = f"[{address[0]}]" if ":" in address[0] else address[0]
    print(f"Serving {options.folder} at http://{host}:{address[1]}", file=sys.stderr, flush=True)
    try:
        uvloop.run(serve(options, listener))
    except SetupFailed as failure:
        sys.exit(f"pinion: {failure.message}")


def _listen(options: Options) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in options.host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((options.host, options.port))
    except (OSError, OverflowError) as error:
        why = error.strerror if isinstance(error, OSError) else "there is no such port"
        sys.exit(f"pinion: {options.host}:{options.port} cannot be listened on: {why}. Choose another with --port.")
    listener.listen()
    return listener


if __name__ == "__main__":
    main()
