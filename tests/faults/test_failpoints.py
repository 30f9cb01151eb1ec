"""Failpoints, at which tests stop or kill a process: each is in the code and in a test."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hydra_resolver import failpoints

from ..support.waiting import PATIENCE

ROOT = Path(__file__).parents[2]


def points_in(files: str, pattern: str) -> set[str]:
    return {point for file in ROOT.glob(files) for point in re.findall(pattern, file.read_text())}


def test_every_failpoint_in_the_database_is_used_by_a_spec() -> None:
    code = points_in("sql/functions/*/*.sql", r"resolver\.failpoint\('([^']+)'\)")
    assert code
    assert code == points_in("sql_tests/isolation/specs/*.spec", r"t\.hold\('([^']+)'\)")
    assert all(point.partition(":")[0] in {file.stem for file in ROOT.glob("sql/functions/*/*.sql")} for point in code)


@pytest.mark.parametrize(
    ("wanted", "status", "reached"),
    [
        ("", 0, 3),
        ("here in MainThread", -signal.SIGKILL, 1),
        ("here in MainThread:3", -signal.SIGKILL, 3),
        ("here in MainThread:4", 0, 3),
        ("there in MainThread,here in MainThread:2", -signal.SIGKILL, 2),
        ("here in another thread", 0, 3),
    ],
)
def test_a_process_dies_at_its_failpoint(tmp_path: Path, wanted: str, status: int, reached: int) -> None:
    log = tmp_path / "log"
    come = "from hydra_resolver import failpoints\nfor _ in range(3): failpoints.reach('here')"
    variables = {failpoints.VARIABLE: wanted, failpoints.LOG_VARIABLE: str(log), "PATH": "/bin:/usr/bin"}
    search_path = {"PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run([sys.executable, "-c", come], env=variables | search_path, check=False, timeout=PATIENCE)
    assert done.returncode == status
    assert log.read_text() == "here in MainThread\n" * reached


def test_a_failpoint_does_nothing_unless_it_is_armed() -> None:
    assert not failpoints.armed
    failpoints.reach("here")
