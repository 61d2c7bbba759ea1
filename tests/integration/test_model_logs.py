"""What must not stand in the logs of a prediction, and how much may."""

import asyncio
import os
from pathlib import Path

import psutil
import pytest

from tests.model_processes import Heard, Start, run, until
from worker.excerpt import KEPT_CHARACTERS, Excerpt

SECRET = 'open"sesame\nplease\\'


@pytest.mark.parametrize("how", ["in the text", "as the cause"])
async def test_a_secret_of_the_input_is_in_no_error_and_no_traceback(start: Start, how: str):
    process = await start("tells_its_secret")
    heard = Heard()
    done = await run(process, heard, password=SECRET, others=["tuesday", "rosebud"], spare="xyzzy", how=how)
    assert done.status == "failed"
    assert done.error is not None
    assert "Traceback" in heard.logs
    assert "**********" in done.error + heard.logs
    for secret in ("sesame", "tuesday", "rosebud", "xyzzy"):
        assert secret not in done.error
        assert secret not in heard.logs


async def test_a_secret_given_in_a_wrong_type_is_not_repeated(start: Start):
    done = await run(await start("tells_its_secret"), password={"key": "sesame"})
    assert done.error == "input.password: must be a string"


def test_logs_within_bounds_are_whole_and_beyond_them_the_middle_is_missing():
    logs = Excerpt(kept_characters=10)
    assert [logs.take("abcd"), logs.take("efghijkl"), logs.take("m")] == ["abcd", "efghij", ""]
    assert logs.rest() == "klm"
    flooded = Excerpt(kept_characters=3)
    shown = "".join(flooded.take(piece) for piece in ("ab", "cd", "efg", "h", "ij"))
    assert (shown, flooded.rest()) == ("abc", "\n[… 4 characters of the logs left out …]\nhij")


async def test_of_a_flood_of_logs_the_beginning_and_the_end_are_kept_and_outputs_are_whole(
    start: Start, tmp_path: Path
):
    (tmp_path / "cog.yaml").write_text("predict: predict.py:predict\n")
    (tmp_path / "predict.py").write_text(
        "from typing import Iterator\n"
        "def predict(lines: int) -> Iterator[int]:\n"
        "    for number in range(lines):\n"
        "        print(f'{number:099}')\n"
        "        if number % 1000 == 0: yield number\n"
    )
    process = await start(tmp_path)
    heard = Heard()
    await run(process, lines=1000)
    before = psutil.Process(os.getpid()).memory_info().rss
    done = await run(process, heard, lines=200_000)
    assert done.status == "succeeded"
    assert heard.items == list(range(0, 200_000, 1000))
    assert heard.logs.startswith(f"{0:099}\n{1:099}\n")
    assert heard.logs.endswith(f"{199_999:099}\n")
    assert f"\n[… {200_000 * 100 - 2 * KEPT_CHARACTERS:,} characters of the logs left out …]\n" in heard.logs
    assert len(heard.logs) < 2 * KEPT_CHARACTERS + 100
    assert psutil.Process(os.getpid()).memory_info().rss - before < 15_000_000


async def test_what_is_printed_between_predictions_is_in_the_log_of_the_process(start: Start, tmp_path: Path):
    (tmp_path / "cog.yaml").write_text("predict: predict.py:predict\n")
    (tmp_path / "predict.py").write_text(
        "import threading\n"
        "def predict() -> str:\n"
        "    threading.Timer(0.05, print, ['an afterthought']).start()\n"
        "    print('in time')\n"
        "    return ''\n"
    )
    process, heard = await start(tmp_path), Heard()
    await run(process, heard)
    await until(lambda: process.stray_logs == "an afterthought\n")
    assert heard.logs == "in time\n"


async def test_a_flood_of_one_of_several_predictions_is_bounded_too(start: Start, tmp_path: Path):
    (tmp_path / "cog.yaml").write_text("predict: predict.py:predict\nconcurrency: {max: 2}\n")
    (tmp_path / "predict.py").write_text(
        "async def predict(text: str, times: int) -> str:\n    print(text * times)\n    return text\n"
    )
    process = await start(tmp_path)
    flooded, other = Heard(), Heard()
    await asyncio.gather(
        process.predict("p1", {"text": "ä", "times": 5_000_000}, flooded.take),
        process.predict("p2", {"text": "b", "times": 1}, other.take),
    )
    assert (
        flooded.logs.replace("ä", "")
        == f"\n[… {5_000_001 - 2 * KEPT_CHARACTERS:,} characters of the logs left out …]\n\n"
    )
    assert other.logs == "b\n"
