"""./dev test: parts that run side by side have separate output, and leave nothing behind when they are stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from .. import run_all
from ..conftest import LONG
from ..parts import PYTEST, ROOT, Part, runs_all
from ..run_all import Runner, Running, run_together
from ..support import memory
from ..support.memory import directory_in_memory
from ..support.temporary import temporary_directory
from ..support.waiting import PATIENCE, wait_until


@dataclass(frozen=True)
class Scripted(Runner):
    """Runs a line of shell for each part."""

    def command(self, part: Part) -> list[str]:
        return ["sh", "-c", part.heading]


def part(name: str, script: str) -> Part:
    """Make a part whose heading is its script."""
    return Part(name, script, lambda: True)


def test_the_output_of_a_part_is_printed_as_a_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_all, "CORES", 3)
    touch, wait = "echo {0} 1; > {1}/{0}", "until test -e {1}/{0}; do sleep 0.01; done; echo {2} 2"
    names = ("one", "two")
    parts = [
        part(name, f"{touch.format(name, tmp_path)}; {wait.format(other, tmp_path, name)}")
        for name, other in zip(names, reversed(names), strict=True)
    ]
    results = run_together([*parts, part(PYTEST, "echo nothing >&2; exit 3")], Scripted([], os.environ))
    assert [(result.part.name, result.passed) for result in results] == [("one", True), ("two", True), (PYTEST, False)]
    shown = capsys.readouterr().out
    for name in names:
        assert f"{name} 1\n{name} 2\n" in shown
    assert "\n== echo nothing >&2; exit 3\nnothing\n" in shown


def test_the_progress_of_long_parts_is_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def progress(running: Running) -> str:
        (tmp_path / running.part.name).touch()
        return f"{running.part.name} half"

    monkeypatch.setattr(run_all, "SILENCE", 0.0)
    monkeypatch.setattr(Running, "progress", progress)
    parts = [part(name, f"until test -e {tmp_path}/{name}; do sleep 0.01; done") for name in ("one", PYTEST)]
    run_together(parts, Scripted([], os.environ))
    assert " s: pytest half, one half\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("printed", "progress"),
    [
        ("created: 4/4 workers\n....s... [  8%]\n........ [ 17%]\n...", "17%"),
        ("/somewhere/one.sql .. ok\n/somewhere/two.sql .. ok\n/somewhere/three.sql .", "two.sql .. ok"),
        ("", ""),
    ],
)
def test_the_progress_of_a_part_is_its_last_percentage_or_line(printed: str, progress: str) -> None:
    running = Running(part("one", ""), ["printf", "%s", printed], os.environ)
    running.process.wait()
    assert running.progress() == f"one {progress}"
    assert running.tell().passed


@pytest.mark.parametrize("parts", [["isolation"], ["isolation", "lint"]], ids=len)
def test_a_terminated_run_stops_its_servers(parts: list[str]) -> None:
    command = [sys.executable, "-m", "tests.run_all", *(word for name in parts for word in ("--only", name))]
    with temporary_directory() as directory:
        environment = {**os.environ, "TMPDIR": str(directory)}
        with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as run:
            wait_until(lambda: any(directory.rglob("postmaster.pid")))
            run.terminate()
            said, _ = run.communicate(timeout=PATIENCE)
        assert run.returncode == 128 + signal.SIGTERM
        assert "== isolation specs" in said
        assert list(directory.iterdir()) == []


def test_only_a_run_of_all_tests_uses_several_processes() -> None:
    assert runs_all([])
    assert runs_all(["--nix=/somewhere"])
    assert not runs_all(["tests/docs/test_docs.py"])
    assert not runs_all(["-x"])


def test_the_test_files_that_begin_first_exist() -> None:
    assert {*LONG} <= {path.name for path in (ROOT / "tests").rglob("test_*.py")}


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(memory, "MEMORY", tmp_path)
    monkeypatch.setattr(memory, "NEEDED", 0)
    return tmp_path


def test_a_directory_in_memory_is_removed_in_the_end(room: Path) -> None:
    with directory_in_memory() as directory:
        assert directory is not None
        (directory / "file").touch()
    assert list(room.iterdir()) == []


def test_the_directory_of_a_killed_run_is_removed_from_memory_and_no_other(room: Path) -> None:
    killed = room / f"{memory.NAME}1"
    killed.mkdir()
    (killed / "file").touch()
    (room / "other").mkdir()
    with directory_in_memory() as first, directory_in_memory() as second:
        assert {*room.iterdir()} == {first, second, room / "other"}
    assert [path.name for path in room.iterdir()] == ["other"]


def test_no_directory_is_made_in_memory_without_room(room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "NEEDED", 1 << 60)
    with directory_in_memory() as directory:
        assert directory is None
    assert list(room.iterdir()) == []
