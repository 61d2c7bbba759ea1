"""Pictures and sound: files to whoever asks, arrays to Transformers.

No model is run here.
"""

import shutil
import tempfile
import wave
from pathlib import Path as LocalPath
from typing import Any

import numpy
import torch
from transformers.pipelines.audio_utils import ffmpeg_read

from cog import Path

_FULL_SCALE = 1 << 31  # of a sample of four bytes
_BYTES_WRITTEN = 2


def read_sound(file: LocalPath, sampling_rate: int) -> Any:
    """What a pipeline takes."""
    return {"raw": read_samples(file, sampling_rate), "sampling_rate": sampling_rate}


def read_samples(file: LocalPath, sampling_rate: int) -> Any:
    """From -1 to 1. WAV is read here, since only other formats are worth installing ffmpeg for."""
    try:
        return _read_wave(file, sampling_rate)
    except (wave.Error, EOFError):
        if shutil.which("ffmpeg"):
            return ffmpeg_read(file.read_bytes(), sampling_rate)
        raise ValueError(
            "The recording is no WAV of whole numbers, and there is no ffmpeg on this machine to read others: "
            "send such a WAV, or install ffmpeg."
        ) from None


def _read_wave(file: LocalPath, sampling_rate: int) -> Any:
    with wave.open(str(file), "rb") as recording:
        content, width = recording.readframes(recording.getnframes()), recording.getsampwidth()
        channels, rate = recording.getnchannels(), recording.getframerate()
    if not content:
        raise ValueError("The recording is empty.")
    if width == 1:  # the only one that is unsigned
        samples = (numpy.frombuffer(content, numpy.uint8).astype(numpy.float32) - 128) / 128
    else:
        # as the upper bytes of four, which keeps the sign
        padded = numpy.zeros((len(content) // width, 4), numpy.uint8)
        padded[:, 4 - width :] = numpy.frombuffer(content, numpy.uint8).reshape(-1, width)
        samples = padded.view("<i4")[:, 0].astype(numpy.float32) / _FULL_SCALE
    mono = samples.reshape(-1, channels).mean(axis=1)
    count = max(1, round(len(mono) * sampling_rate / rate))
    if count == len(mono):
        return mono
    return (numpy.fft.irfft(numpy.fft.rfft(mono), count) * (count / len(mono))).astype(numpy.float32)


def write_sound(samples: Any, sampling_rate: int) -> Path:
    """A WAV file of samples from -1 to 1, with channels first where there are several."""
    channels = numpy.atleast_2d(numpy.squeeze(numpy.asarray(samples, dtype=numpy.float32)))
    scaled = (numpy.clip(channels.T, -1, 1) * ((1 << 15) - 1)).astype("<i2")
    file = _new_file(".wav")
    with wave.open(str(file), "wb") as recording:
        recording.setnchannels(len(channels))
        recording.setsampwidth(_BYTES_WRITTEN)
        recording.setframerate(sampling_rate)
        recording.writeframes(scaled.tobytes())
    return file


def with_pictures_as_files(result: Any) -> Any:
    """Of what a pipeline returns; tensors are left out, being what a picture beside them shows."""
    if isinstance(result, dict):
        kept = {name: value for name, value in result.items() if not isinstance(value, torch.Tensor)}
        return {name: with_pictures_as_files(value) for name, value in kept.items()}
    if isinstance(result, list):
        return [with_pictures_as_files(each) for each in result]
    if not hasattr(result, "save"):
        return result
    file = _new_file(".png")
    result.save(file)
    return file


def _new_file(suffix: str) -> Path:
    with tempfile.NamedTemporaryFile(suffix=suffix, delete=False) as file:
        return Path(file.name)
