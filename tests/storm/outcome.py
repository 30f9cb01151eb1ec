"""Checks of every build that was enqueued."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

from .jobset import SUCCEEDED
from .world import World

CANCELLED = 4


def wrong_outcomes(world: World) -> list[str]:
    """Return a message for each build that was lost, or has a wrong status or wrong outputs."""
    return [
        *_lost_builds(world),
        *_wrong_builds(world),
        *_wrong_outputs(world),
        *_different_paths(world),
        *_never_built(world),
    ]


def _lost_builds(world: World) -> Iterator[str]:
    """Each acknowledged evaluation has all its builds once; an unacknowledged one has all of them, or none."""
    rows = world.farm.rows(
        "select j.name, b.job, count(*) from Builds b join Jobsets j on j.id = b.jobset_id group by 1, 2"
    )
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        found[row["name"]][row["job"]] = row["count"]
    for evaluation in world.evaluations:
        there = found[evaluation.name]
        missing = evaluation.jobset.jobs - there.keys()
        if len(missing) > world.erased[evaluation.name] and (evaluation.acknowledged or there):
            yield f"{evaluation.name} has no builds of {sorted(missing)}"
        if any(number > 1 for number in there.values()):
            yield f"{evaluation.name} has several builds of a job: {there}"


def _wrong_builds(world: World) -> Iterator[str]:
    jobsets = {evaluation.name: evaluation.jobset for evaluation in world.evaluations}
    for row in world.farm.rows(
        "select b.id, b.job, b.buildStatus, j.name from Builds b join Jobsets j on j.id = b.jobset_id order by 1"
    ):
        expected = jobsets[row["name"]].status(row["job"])
        if row["buildstatus"] != expected and not (row["buildstatus"] == CANCELLED and row["id"] in world.cancelled):
            yield f"build {row['id']}, {row['job']} of {row['name']}, has status {row['buildstatus']}, not {expected}"


def _wrong_outputs(world: World) -> Iterator[str]:
    """Outputs have the right content; the outputs of the last evaluation are all in the store."""
    jobsets = {evaluation.name: evaluation.jobset for evaluation in world.evaluations}
    last = world.evaluations[-1].name
    for row in world.farm.rows(
        "select b.id, b.job, j.name as evaluation, o.name, o.path from Builds b join Jobsets j on j.id = b.jobset_id"
        " join BuildOutputs o on o.build = b.id where b.buildStatus = %s order by 1",
        SUCCEEDED,
    ):
        path = Path(row["path"] or "/nowhere")
        expected = jobsets[row["evaluation"]].content(row["job"], row["name"])
        where = f"output {row['name']} of build {row['id']}, {row['job']} of {row['evaluation']}"
        if not path.exists():
            if row["path"] is None or row["evaluation"] == last:
                yield f"{where} is not in the store: {row['path']}"
        elif path.read_text() != expected:
            yield f"{where} is {path.read_text()!r}, not {expected!r}"


def _different_paths(world: World) -> Iterator[str]:
    """Every attempt at a derivation gives the same paths, since the builders are deterministic."""
    for view in ("incoherent_output", "replaced_input"):
        for row in world.farm.rows(f"select * from resolver.{view}"):
            yield f"{view}: {row}"


def _never_built(world: World) -> Iterator[str]:
    """Each build that is not cached has built its derivation, or a resolution of it, itself."""
    for row in world.farm.rows(
        "select b.id, b.job from Builds b join resolver.goal g on g.build = b.id where b.buildStatus = %s"
        " and b.isCachedBuild = 0 and not exists (select from BuildSteps s join resolver.derivation d"
        " on s.drvPath = resolver.hydra_path(d.drv) where s.build = b.id and (s.type, s.busy, s.status) = (0, 0, 0)"
        " and (d.derivation = g.root or exists (select from resolver.resolution r"
        " where r.derivation = g.root and r.resolved = d.derivation)))",
        SUCCEEDED,
    ):
        yield f"build {row['id']}, {row['job']}, is not cached, and has not built it"
