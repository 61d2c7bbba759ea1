import struct
import tempfile
import time
import zlib
from pathlib import Path

from cog import BasePredictor, Input
from cog import Path as CogPath


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _png(color: bytes) -> bytes:
    """One dot of a color."""
    header = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    chunks = (b"IHDR", header), (b"IDAT", zlib.compress(b"\0" + color)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


class Predictor(BasePredictor):
    def predict(
        self,
        prompt: str,
        num_outputs: int = Input(default=1, ge=1, le=4),
        seed: int = Input(default=None),
        seconds: float = Input(default=0.0, ge=0),
    ) -> list[CogPath]:
        time.sleep(seconds)
        folder = Path(tempfile.mkdtemp())
        for number in range(num_outputs):
            (folder / f"{number}.png").write_bytes(_png(bytes([number, (seed or 0) % 256, len(prompt) % 256])))
        return [CogPath(file) for file in sorted(folder.iterdir())]
