"""After the storm: a restart of one build restarts all builds that failed only for the same cause."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet

from hydra_resolver.nix.store_path import StoreDir

from .failures import CACHED_FAILURE, FAILED, read_runs
from .jobset import DEPENDENCY_FAILED
from .world import World

CAUSES = 3
"""The number of causes to try: those that ended most builds."""


def come_back(world: World, drain: Callable[[], object]) -> list[str]:
    """Restart one build for each of some causes; return a message for each build that was not restarted with it."""
    problems: list[str] = []
    for (cause, _), builds in sorted(_failed_by(world).items(), key=lambda item: (-len(item[1]), item[0]))[:CAUSES]:
        # Forgotten failures restart their builds, too: prune runs before every restart but the first.
        began, runs = _now(world), _runs(world)
        chosen = world.dice.choice(sorted(builds))
        world.farm.rows("select resolver.restart_build(%s)", chosen)
        drain()
        problems += _stayed(cause, builds, _opened(world, began))
        if (number := _runs(world)[cause] - runs[cause]) != 1:
            problems.append(f"{cause} was run {number} times after build {chosen} was restarted")
        if world.prune() and world.pruning is not None and world.pruning.wait() != 0:
            problems.append("prune failed")
    return problems


def _failed_by(world: World) -> Mapping[tuple[str, float], AbstractSet[int]]:
    """Return builds by the failure that ended them: the derivation in Hydra's rows, and the time of the failure."""
    found: dict[tuple[str, float], set[int]] = defaultdict(set)
    for row in world.farm.rows(
        "select distinct on (s.build) s.build, d.drv, extract(epoch from f.time)::float8 as time"
        " from BuildSteps s join Builds b on b.id = s.build"
        " join storm.all_derivation d on d.drv = resolver.base_name(s.drvPath)"
        " join storm.all_failure f using (derivation)"
        " where b.finished = 1 and b.buildStatus = any (%s) and s.type = 0 and s.status = any (%s)"
        " and f.build is not null and b.stopTime >= resolver.hydra_time(f.time)"
        " and (f.cleared_at is null or b.stopTime <= resolver.hydra_time(f.cleared_at))"
        " order by s.build, s.stepnr desc, f.time desc",
        [FAILED, DEPENDENCY_FAILED],
        [FAILED, CACHED_FAILURE],
    ):
        found[row["drv"], row["time"]].add(row["build"])
    return found


def _stayed(cause: str, builds: AbstractSet[int], opened: AbstractSet[int]) -> list[str]:
    return [f"build {build} failed for {cause}, and did not come back" for build in sorted(builds - opened)]


def _opened(world: World, since: float) -> AbstractSet[int]:
    """Return the builds that ended, or got another cause, since then: restarted builds, even with an older `opened`."""
    rows = world.farm.rows(
        "select build from resolver.goal where greatest(ended_at, blamed_at) > to_timestamp(%s)", since
    )
    return {row["build"] for row in rows}


def _now(world: World) -> float:
    (row,) = world.farm.rows("select extract(epoch from clock_timestamp())::float8 as now")
    return float(row["now"])


def _runs(world: World) -> Counter[str]:
    drvs = [row["drv"] for row in world.farm.rows("select distinct drv from storm.all_derivation")]
    return Counter(run.drv for run in read_runs(world.runs, drvs, StoreDir(str(world.farm.store.store_dir))))
