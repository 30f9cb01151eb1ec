"""Progress: lines in a pipe, objects with --json, a display on a terminal."""

from __future__ import annotations

import io
import json
import threading
from typing import Any, cast

import psycopg
import pytest
from rich.console import Console

from hydra_resolver.cli.events import describe
from hydra_resolver.cli.live import Display, Rate, standing
from hydra_resolver.cli.live_progress import LiveProgress
from hydra_resolver.cli.progress import JsonProgress, LineProgress, observer_for
from hydra_resolver.database.procedures import Procedures

from ..support.waiting import PATIENCE

A = "95vh440j33328xzayxlrmib8dhvmgnnh-count-of-words.drv"
B = "5qp2zl0bykx1x5amrp0jxj8axhymwl9v-count-of-words.drv"
REASON = f"Cannot build '/nix/store/{A}'.\nReason: builder failed with exit code 1."


def test_events_are_lines_on_stderr_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    progress = observer_for()
    assert isinstance(progress, LineProgress)
    progress.doing("evaluating demo.nix")
    progress.doing("")
    progress.event("loaded", drv=A, outcome="done")
    progress.event("resolved", drv=A, resolved=B, outcome="confirm", message="{}")
    progress.event("resolved", drv=A, resolved=B, outcome="done", known=True)
    assert capsys.readouterr() == (
        "",
        f"evaluating demo.nix\nloaded   {A}\nresolved {A} -> {B}, which is realised already\n",
    )


def test_events_are_objects_on_stdout_with_json(capsys: pytest.CaptureFixture[str]) -> None:
    progress = observer_for(as_json=True)
    assert isinstance(progress, JsonProgress)
    progress.event("built", drv=A, build=1, stepnr=2, outcome="done", message=None)
    progress.event("swept", claims=2)
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == [
        {"event": "built", "drv": A, "build": 1, "stepnr": 2, "outcome": "done", "message": None},
        {"event": "swept", "claims": 2},
    ]


def test_a_repeated_error_is_shown_once(capsys: pytest.CaptureFixture[str]) -> None:
    progress = LineProgress()
    for _ in range(5):
        progress.event("database_error", verb="tick", message="gone")
        progress.event("database_error", verb="load", message="gone")
    assert capsys.readouterr().err.splitlines() == ["database tick: gone", "database load: gone"]


def test_work_goes_on_when_the_reader_of_the_output_has_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone(io.StringIO):
        def write(self, _: str) -> int:
            raise BrokenPipeError

    monkeypatch.setattr("sys.stdout", Gone())
    monkeypatch.setattr("sys.stderr", Gone())
    LineProgress().event("loaded", drv=A)
    JsonProgress().event("loaded", drv=A)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def running(build: int, seconds: float, worker: str = "here:1") -> dict[str, Any]:
    return {"build": build, "stepnr": 1, "drv": A, "worker": worker, "seconds": seconds}


def status(**others: Any) -> dict[str, Any]:
    return {
        "stages": {},
        "running": [],
        "workers": [],
        "unsupported": [],
        "builds": [],
        "unfinished_builds": 0,
        "failures": 0,
    } | others


def waiting(job: str, reason: str) -> dict[str, Any]:
    return {"build": 1, "job": job, "drv": A, "stage": "waiting", "held_up": {"drv": B, "reason": reason}}


def drawn(display: Display, width: int = 80, height: int = 24) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=width, height=height).print(display.picture(width, height))
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_the_display_shows_stages_steps_and_reasons_for_waiting() -> None:
    clock = Clock()
    display = Display(clock)
    display.count(describe("built", {"drv": A, "outcome": "done"}))
    display.count(describe("build_failed", {"drv": A, "outcome": "done"}))
    display.update(
        status(
            stages={"failed": 1, "waiting": 7, "building": 2, "realised": 30},
            running=[running(3, 0.4), running(4, 61)],
            builds=[waiting("a", "no worker"), waiting("b", "is being built"), waiting("c", "no worker")],
            unfinished_builds=5,
        )
    )
    clock.now += 1
    assert drawn(display) == [
        "00:01, 5 builds unfinished, 1 built, 1 failed, 0 ended/min",
        "  waiting 7  building 2  realised 30  failed 1",
        "    1 min 02 s  95vh440-count-of-words.drv  build 4 step 1",
        "         1.4 s  95vh440-count-of-words.drv  build 3 step 1",
        "  waiting  no worker: a, c",
    ]


def test_the_display_shows_the_current_activity_before_there_are_builds() -> None:
    display = Display(Clock())
    display.doing("evaluating demo.nix")
    display.update(status(unfinished_builds=3))
    assert drawn(display)[0] == "00:00, evaluating demo.nix"
    display.doing("")
    assert drawn(display)[0] == "00:00, 3 builds unfinished"


def test_the_display_mentions_a_database_that_does_not_answer() -> None:
    clock = Clock()
    display = Display(clock)
    display.update(status())
    clock.now += 12
    assert drawn(display)[1] == "  the database has not answered for 12 s"


def test_the_display_fits_any_terminal() -> None:
    display = Display(Clock())
    display.update(
        status(
            stages=dict.fromkeys(
                ["unloaded", "waiting", "resolvable", "resolved", "buildable", "building", "realised", "failed"], 123456
            ),
            running=[running(build, build, f"worker-of-a-long-name:{build}") for build in range(40)],
            builds=[waiting("job" * 50, f"reason {number}") for number in range(9)],
        )
    )
    for width, height in ((80, 24), (40, 10), (20, 3), (200, 60)):
        lines = drawn(display, width, height)
        assert len(lines) < height
        assert max(map(len, lines)) <= width
    assert "            and 30 other steps" in drawn(display, 80, 60)
    assert "  waiting  for 5 other reasons" in drawn(display, 80, 60)


def test_reasons_that_pass_by_themselves_are_not_shown() -> None:
    builds = [waiting("a", "is being built"), waiting("b", "waits for a worker to build it"), waiting("c", "no mips")]
    assert standing([*builds, {"build": 2, "job": "d", "held_up": None}]) == {"no mips": [builds[2]]}


def test_the_rate_is_per_second_when_it_is_fast_and_per_minute_when_it_is_slow() -> None:
    rate = Rate()
    rate.add(0.0, 1000)
    assert rate.words(0.5) == ""
    rate.add(2.0, 1010)
    assert rate.words(2.0) == "5.0 ended/s"
    rate.add(20.0, 1012)
    assert rate.words(30.0) == "24 ended/min"


def test_the_rate_ignores_derivations_that_are_loaded_again() -> None:
    rate = Rate()
    for now, ended in ((0.0, 50), (1.0, 20), (2.0, 40)):
        rate.add(now, ended)
    assert rate.words(2.0) == "10.0 ended/s"


class Database:
    """Replaces the procedures: unreachable at first, then reachable."""

    def __init__(self) -> None:
        self.asked = threading.Semaphore(0)
        self.answers: list[Exception | dict[str, Any]] = [psycopg.OperationalError("gone"), status(unfinished_builds=2)]

    def status(self) -> dict[str, Any]:
        answer = self.answers[0] if len(self.answers) == 1 else self.answers.pop(0)
        self.asked.release()
        if isinstance(answer, Exception):
            raise answer
        return answer


def test_notable_events_stay_on_a_terminal_when_the_display_ends() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=60, height=20, color_system=None)
    progress = LiveProgress(console)
    database = Database()
    with progress.shown(cast(Procedures, database)):
        progress.event("built", drv=A, build=1, stepnr=1, outcome="done")
        progress.event("build_failed", drv=A, build=1, stepnr=2, outcome="done", message=REASON)
        progress.say("attribute x: error [with brackets] \x1b[2J")
        for _ in range(3):
            assert database.asked.acquire(timeout=PATIENCE), "the display asks the database again after an error"
    shown = out.getvalue()
    assert "failed   95vh440-count-of-words.drv  build 1 step 2: builder failed with exit code 1.\n" in shown
    assert "attribute x: error [with brackets] \n" in shown
    assert "built    95vh440" not in shown
    assert "1 built, 1 failed" in shown
    assert "\x1b[2J" not in shown
    assert shown.endswith("\x1b[2K")
