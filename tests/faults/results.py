"""The table of docs/faults.md: which fault was tried, how long its repair may take, and how long it took here.

What is tried stands in the tests.
"""

import os
import platform
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

import pytest

from tests.instance import PROJECT

_PAGE = PROJECT / "docs" / "faults.md"
_TABLE = re.compile(r"(<!-- results -->\n).*(<!-- end of results -->)", re.DOTALL)
_LINE = re.compile(r"\| (\d+)(?:, \d+)? \|")
_NAME = re.compile(r"test_row_(\d\d)(?:_and_(\d\d))?_(\w+)(?:\[(.+)\])?")


@dataclass(frozen=True)
class Result:
    """Of one test."""

    name: str
    outcome: str
    bound: float
    measured: float

    @property
    def fault(self) -> str:
        """Its row and what is done in it, as the line begins."""
        found = _NAME.fullmatch(self.name)
        assert found, f"{self.name} does not say which row it is"
        first, second, title, case = found.groups()
        rows = f"{int(first)}, {int(second)}" if second else str(int(first))
        return f"| {rows} | {title.replace('_', ' ')}{f' ({case})' if case else ''} |"

    @property
    def line(self) -> str:
        figures = f"{self.bound:.0f} s | {self.measured:.1f} s" if self.outcome == "passed" else "| "
        return f"{self.fault} {figures} | {self.outcome} |"


def result(item: pytest.Item, report: pytest.TestReport) -> Result:
    """What a test says of its trial."""
    trial = getattr(item, "funcargs", {}).get("trial")
    return Result(item.name, report.outcome, getattr(trial, "bound", 0.0), getattr(trial, "measured", 0.0))


def _row(line: str) -> tuple[int, str]:
    found = _LINE.match(line)
    return (int(found[1]) if found else 0), line


def write(results: Iterable[Result]) -> None:
    """Into the table, in which what was not tried this time stays as it was."""
    page = _PAGE.read_text()
    table = _TABLE.search(page)
    assert table, f"{_PAGE} has no place for results"
    lines = {line.rsplit("|", 4)[0] + "|": line for line in table[0].splitlines() if _LINE.match(line)}
    lines |= {each.fault: each.line for each in results}
    passed = sum("passed |" in line for line in lines.values())
    machine = f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    head = f"{date.today()}, {machine}, Python {platform.python_version()}: {passed} of {len(lines)} passed."
    ordered = sorted(lines.values(), key=_row)
    text = "\n".join([head, "", "| row | fault | bound | measured | |", "|---|---|---:|---:|---|", *ordered])
    _PAGE.write_text(_TABLE.sub(lambda found: f"{found[1]}{text}\n{found[2]}", page))
