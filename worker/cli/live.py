"""The display at the bottom of a terminal while a worker works. It has no database: callers pass it the data."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.console import Group
from rich.text import Text

from .events import Line
from .status import STAGES
from .words import counted, duration, printable, short_name

ENDED = ("realised", "failed")
_STYLES = {"building": "cyan", "realised": "green", "failed": "red"}
_MOVING = (
    "is being built", "is being loaded", "is being resolved", "realised", "waits for a worker to load it",
    "waits for a worker to resolve it", "waits for a worker to build it",
)  # fmt: skip
"""Reasons that pass by themselves as long as a worker runs."""

SILENT_SECONDS = 3.0
"""After this time without an answer, the display says that the database is silent."""
STEPS_SHOWN = 10
WAITS_SHOWN = 4


class Rate:
    """The number of derivations that end in a time, from their counts at several moments."""

    WINDOW = 60.0
    RECENT = 10.0

    def __init__(self) -> None:
        self._last: int | None = None
        self._began: float | None = None
        self._ends: deque[tuple[float, int]] = deque()

    def add(self, now: float, ended: int) -> None:
        """Add the count of derivations that have ended by now. A smaller count means that some are open again."""
        if self._last is None:
            self._began = now
        elif ended > self._last:
            self._ends.append((now, ended - self._last))
        self._last = ended
        while self._ends and now - self._ends[0][0] > self.WINDOW:
            self._ends.popleft()

    def words(self, now: float) -> str:
        """Return the rate, per second if it is fast, else per minute; empty if there is none yet."""
        if self._began is None or now - self._began < 1.0:
            return ""
        recent = min(self.RECENT, now - self._began)
        per_second = sum(count for time_, count in self._ends if now - time_ <= recent) / recent
        if per_second >= 1.0:
            return f"{per_second:.1f} ended/s"
        window = min(self.WINDOW, max(self.RECENT, now - self._began))
        return f"{sum(count for _, count in self._ends) * 60 / window:.0f} ended/min"


class Display:
    """Collects events and the status of the database, from any thread; draws itself on request."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = clock()
        self._lock = threading.Lock()
        self._doing = ""
        self._counts: Counter[str] = Counter()
        self._rate = Rate()
        self._status: Mapping[str, Any] | None = None
        self._seen = self._began

    def doing(self, words: str) -> None:
        """Show the next activity; an empty text means that work goes on as the database says."""
        with self._lock:
            self._doing = printable(words)

    def count(self, line: Line) -> None:
        """Count an event."""
        with self._lock:
            self._counts[line.word] += 1

    def update(self, status: Mapping[str, Any]) -> None:
        """Show the result of the database's `status()`."""
        with self._lock:
            self._status, self._seen = status, self._clock()
            self._rate.add(self._seen, sum(status["stages"].get(stage, 0) for stage in ENDED))

    def picture(self, width: int, height: int = 24) -> Group:
        """Draw the display, within this width and height."""
        with self._lock:
            now = self._clock()
            lines = [self._headline(now)]
            if now - self._seen > SILENT_SECONDS:
                lines.append(Text(f"  the database has not answered for {duration(now - self._seen)}", style="yellow"))
            if self._status is not None:
                lines += _stages(self._status["stages"], width)
                lines += [*self._running(now, room=height - 8), *_waits(self._status)]
        for line in lines:
            line.truncate(width, overflow="ellipsis")
        return Group(*lines[: max(1, height - 1)])

    def _headline(self, now: float) -> Text:
        parts = [f"{int(now - self._began) // 60:02}:{int(now - self._began) % 60:02}"]
        if self._doing:
            parts.append(self._doing)
        elif self._status is not None and self._status["unfinished_builds"]:
            parts.append(f"{counted(self._status['unfinished_builds'], 'build')} unfinished")
        parts += [f"{self._counts[word]} {word}" for word in ("resolved", "built", "failed") if self._counts[word]]
        parts += filter(None, [self._rate.words(now)])
        return Text(", ".join(parts), style="bold")

    def _running(self, now: float, room: int) -> list[Text]:
        status = self._status
        if status is None:
            return []
        steps = sorted(status["running"], key=lambda step: -step["seconds"])
        several_workers = len({step["worker"] for step in steps}) > 1
        shown = steps[: max(1, min(STEPS_SHOWN, room))]
        lines = [_step(step, now - self._seen, several_workers) for step in shown]
        if len(steps) > len(shown):
            lines.append(Text(f"            and {counted(len(steps) - len(shown), 'other step')}", style="dim"))
        return lines


def _step(step: Mapping[str, Any], since: float, name_worker: bool) -> Text:
    line = Text(f"  {duration(step['seconds'] + since):>12}  ", style="cyan")
    line.append(short_name(step["drv"]), style="default")
    line.append(f"  build {step['build']} step {step['stepnr']}", style="dim")
    if name_worker:
        line.append(f" on {printable(step['worker'])}", style="dim")
    return line


def _stages(stages: Mapping[str, int], width: int) -> list[Text]:
    lines = [Text(" ")]
    for stage in STAGES:
        if not stages.get(stage):
            continue
        part = Text.assemble((f" {stage} ", "dim"), (f"{stages[stage]} ", _STYLES.get(stage, "bold")))
        if lines[-1].cell_len > 1 and lines[-1].cell_len + part.cell_len > width:
            lines.append(Text(" "))
        lines[-1].append_text(part)
    return lines


def _waits(status: Mapping[str, Any]) -> list[Text]:
    reasons = standing(status["builds"])
    lines = []
    for reason, builds in list(reasons.items())[:WAITS_SHOWN]:
        jobs = ", ".join(printable(build["job"]) for build in builds)
        lines.append(Text.assemble(("  waiting  ", "yellow"), (f"{reason}: ", "yellow"), jobs))
    if len(reasons) > WAITS_SHOWN:
        lines.append(Text(f"  waiting  for {counted(len(reasons) - WAITS_SHOWN, 'other reason')}", style="yellow"))
    return lines


def standing(builds: Sequence[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    """Return the builds that wait for more than a worker, by reason, the most frequent reason first."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for build in builds:
        reason = (build.get("held_up") or {}).get("reason")
        if reason and reason not in _MOVING:
            found.setdefault(reason, []).append(build)
    return dict(sorted(found.items(), key=lambda item: -len(item[1])))
