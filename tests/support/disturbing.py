"""Kills workers, and compares what they leave with what an undisturbed worker leaves."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra_resolver.embedded.postgres import EmbeddedPostgres

from .restarting import ASKING, TRUSTING, Place, RestartedFarm
from .waiting import PATIENCE, wait_until

PLACES = 2
"""The number of farms that are tried at the same time."""
KILLED = -signal.SIGKILL


@dataclass
class Undisturbed:
    """The result of a worker without disturbance, and how often it reached each point."""

    result: dict[str, Any]
    reached: Counter[str]


class Places:
    """Places for farms, each with the result of an undisturbed worker."""

    def __init__(self, directory: Path, cluster: EmbeddedPostgres, installed: str) -> None:
        self._free: list[tuple[Place, dict[Sequence[str], Undisturbed]]] = []
        self._lock = threading.Lock()
        self.reached: dict[Sequence[str], Counter[str]] = {TRUSTING: Counter(), ASKING: Counter()}
        with ThreadPoolExecutor(PLACES) as pool:
            directories = [directory / str(number) for number in range(PLACES)]
            list(pool.map(lambda place: self._prepare(place, cluster, installed), directories))

    def _prepare(self, directory: Path, cluster: EmbeddedPostgres, installed: str) -> None:
        place = Place(directory, cluster, installed)
        undisturbed = {options: _undisturbed(place, options, directory / "log") for options in self.reached}
        with self._lock:
            self._free.append((place, undisturbed))
            for options, counter in self.reached.items():
                counter |= undisturbed[options].reached

    def options_for(self, point: str) -> Sequence[str]:
        """Return the options with which a worker reaches the point."""
        return next(options for options, counter in self.reached.items() if counter[point])

    def disturb(self, disturbances: Sequence[Disturbance]) -> None:
        """Run all disturbances; fail with the differences if some of them left another result."""
        with ThreadPoolExecutor(PLACES) as pool:
            problems = [problem for problem in pool.map(self._try, disturbances) if problem]
        assert not problems, "\n\n".join(problems)

    def _try(self, disturbance: Disturbance) -> str | None:
        with self._lock:
            place, undisturbed = self._free.pop()
        try:
            said = ""
            for attempt in range(3):
                with place.farm() as farm:
                    try:
                        reached = disturbance.run(farm, attempt)
                    except Exception as error:
                        return f"{disturbance}: {type(error).__name__}: {error}\n{farm.autopsy()}"
                    if not reached:
                        said = farm.output()
                        continue
                    problem = _difference(undisturbed[disturbance.options].result, farm.result())
                    return f"{disturbance}: {problem}\n{farm.output()}" if problem else None
            return f"{disturbance}: was never reached\n{said}"
        finally:
            with self._lock:
                self._free.append((place, undisturbed))


def _undisturbed(place: Place, options: Sequence[str], log: Path) -> Undisturbed:
    with place.farm() as farm:
        assert farm.worker(options, log=log).wait(PATIENCE) == 0, farm.output()
        result = farm.result()
        for name in ("busy rows", "second rows", "open leases", "violations"):
            assert result[name] == [], farm.output()
        assert set(result["successful rows"].values()) == {1}
    reached = Counter(log.read_text().splitlines())
    log.unlink()
    return Undisturbed(result, reached)


def _difference(expected: dict[str, Any], found: dict[str, Any]) -> str:
    lines = []
    for name in expected:
        if isinstance(expected[name], dict):
            lines += [
                f"{name} of {key}: {found[name].get(key)} instead of {expected[name].get(key)}"
                for key in sorted({*expected[name], *found[name]})
                if expected[name].get(key) != found[name].get(key)
            ]
        elif expected[name] != found[name]:
            lines.append(f"{name}: {found[name]} instead of {expected[name]}")
    return "\n".join(lines)


@dataclass
class Disturbance:
    """Kills a worker when it reaches a point for the `count`-th time; another worker then goes on."""

    point: str
    options: Sequence[str]
    count: int

    def run(self, farm: RestartedFarm, attempt: int) -> bool:
        """Kill the victim, then let a worker do the rest. Return false if the victim never reached the point."""
        victim = self.victim(farm, attempt)
        if victim.wait(PATIENCE) != KILLED:
            return False
        farm.bury(victim)
        assert farm.worker(self.options).wait(PATIENCE) == 0, farm.output()
        return True

    def victim(self, farm: RestartedFarm, attempt: int) -> subprocess.Popen[bytes]:
        """Start the worker to kill. After an attempt that missed the point, the point's first occurrence counts."""
        return farm.worker(self.options, point=f"{self.point}:{self.count if attempt == 0 else 1}")


@dataclass
class SecondOfTwo(Disturbance):
    """Kills the second of two workers; the first one goes on."""

    delay: float

    def run(self, farm: RestartedFarm, attempt: int) -> bool:
        first = farm.worker(self.options, point="after register_worker in MainThread:stop")
        wait_until(lambda: Path(f"/proc/{first.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T")
        victim = self.victim(farm, attempt)
        if attempt == 0:
            time.sleep(self.delay)  # in later attempts the victim has all work to itself until it is killed
            first.send_signal(signal.SIGCONT)
        killed = victim.wait(PATIENCE) == KILLED
        if killed:
            farm.bury(victim)
        first.send_signal(signal.SIGCONT)
        assert first.wait(PATIENCE) == 0, farm.output()
        return killed


@dataclass
class Twice(Disturbance):
    """Also kills the worker that takes over, if it reaches the point `again`."""

    again: str

    def run(self, farm: RestartedFarm, attempt: int) -> bool:
        victim = self.victim(farm, attempt)
        if victim.wait(PATIENCE) != KILLED:
            return False
        farm.bury(victim)
        heir = farm.worker(self.options, point=self.again)
        assert heir.wait(PATIENCE) in (0, KILLED), farm.output()
        farm.bury(heir)
        assert farm.worker(self.options).wait(PATIENCE) == 0, farm.output()
        return True
