"""The table of docs/faults.md: which fault was tried, how long its repair may take, and how long it took here.

What is tried stands in the tests.
"""

import os
import platform
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest

from tests.instance import PROJECT

_PAGE = PROJECT / "docs" / "faults.md"
_TABLE = re.compile(r"(<!-- results -->\n).*(<!-- end of results -->)", re.DOTALL)
_NAME = re.compile(r"test_row_(\d\d)(?:_and_(\d\d))?_(\w+)(?:\[(.+)\])?")


@dataclass(frozen=True)
class Result:
    """Of one test."""

    name: str
    outcome: str
    bound: float
    measured: float

    @property
    def line(self) -> str:
        found = _NAME.fullmatch(self.name)
        assert found, f"{self.name} does not say which row it is"
        first, second, title, case = found.groups()
        rows = f"{int(first)}, {int(second)}" if second else str(int(first))
        case = f" ({case})" if case else ""
        figures = f"{self.bound:.0f} s | {self.measured:.1f} s" if self.outcome == "passed" else "| "
        return f"| {rows} | {title.replace('_', ' ')}{case} | {figures} | {self.outcome} |"


def result(item: pytest.Item, report: pytest.TestReport) -> Result:
    """What a test says of its trial."""
    trial = getattr(item, "funcargs", {}).get("trial")
    return Result(item.name, report.outcome, getattr(trial, "bound", 0.0), getattr(trial, "measured", 0.0))


def write(results: Iterable[Result]) -> None:
    """Replace the table."""
    lines = [each.line for each in sorted(results, key=lambda each: each.name)]
    passed = sum("passed |" in line for line in lines)
    machine = f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    head = f"{date.today()}, {machine}, Python {platform.python_version()}: {passed} of {len(lines)} passed.\n\n"
    table = "\n".join(["| row | fault | bound | measured | |", "|---|---|---:|---:|---|", *lines])
    page = Path(_PAGE).read_text()
    assert _TABLE.search(page), f"{_PAGE} has no place for results"
    _PAGE.write_text(_TABLE.sub(lambda found: f"{found[1]}{head}{table}\n{found[2]}", page))
