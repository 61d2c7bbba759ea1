"""Recordings of a tone, as microphones make them.

Nothing is asserted about the product here.
"""

import math
import struct
import wave
from pathlib import Path

RATE = 16_000


def recording(file: Path, rate: int = RATE, channels: int = 1, width: int = 2) -> Path:
    """A second of a tone of 440 Hz."""
    with wave.open(str(file), "wb") as written:
        written.setparams((channels, width, rate, 0, "NONE", ""))
        for moment in range(rate):
            level = int(0.5 * math.sin(2 * math.pi * 440 * moment / rate) * (1 << 31))
            sample = struct.pack("<i", level)[4 - width :] if width > 1 else bytes([(level >> 24) + 128])
            written.writeframes(sample * channels)
    return file
