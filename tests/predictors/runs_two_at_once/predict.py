import asyncio
import logging
import os
import subprocess
import sys

from cog import BasePredictor, concurrent, current_scope

log = logging.getLogger()
log.addHandler(logging.StreamHandler())


class Predictor(BasePredictor):
    @concurrent(max=2)
    async def predict(self, name: str, seconds: float = 0.0, how: str = "print", patience: float = 0.0) -> str:
        """Says that it has begun, then waits."""
        if how == "print":
            print(name, "begins", flush=True)
        elif how == "log":
            log.warning("%s begins", name)
        elif how == "bytes":
            sys.stdout.buffer.write(f"{name} begins\n".encode())
        elif how == "thread":
            await asyncio.to_thread(print, name, "begins")
        elif how == "child":
            subprocess.run(["/bin/echo", name, "begins"], check=True)  # noqa: ASYNC221  as people write it
        elif how == "descriptor":
            os.write(2, f"{name} begins\n".encode())
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            if not patience:
                raise
            print("swallowed", flush=True)
            await asyncio.sleep(patience)
        return f"{name} of {current_scope().context.get('of', 'nobody')}"
