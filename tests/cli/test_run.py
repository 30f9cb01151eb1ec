"""A jobset built from end to end: its traces in Hydra's database, in the store and in the logs."""

from __future__ import annotations

import shutil
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ..support.farm import Farm, name_of, open_farm

DEMO = Path(__file__).parents[2] / "examples" / "demo.nix"

STATUSES = {
    "failed-with-output": 6,
    "fails": 1,
    "fails-resolved": 1,
    "wrong-hash": 1,
    "on-failed": 2,
    "on-failed-resolved": 2,
}
CHANNELS = ("step_started", "build_started", "step_finished", "build_finished")


class Listener(threading.Thread):
    """Records the notifications that Hydra's programs would get, and reads the rows that they would find then."""

    def __init__(self, conninfo: str) -> None:
        super().__init__(daemon=True)
        self.heard: list[tuple[str, str]] = []
        self.not_committed: list[str] = []
        self.done = threading.Event()
        self._listening = psycopg.connect(conninfo, autocommit=True)
        self._looking = psycopg.connect(conninfo, autocommit=True)
        for channel in CHANNELS:
            self._listening.execute(f"listen {channel}")

    def run(self) -> None:
        with self._listening, self._looking:
            quiet = False
            while not (quiet and self.done.is_set()):
                heard = [(one.channel, one.payload) for one in self._listening.notifies(timeout=0.2)]
                quiet = not heard
                self.heard += heard
                for _, payload in filter(lambda one: one[0] == "step_finished", heard):
                    build, stepnr, _ = payload.split("\t")
                    row = self._looking.execute(
                        "select busy from BuildSteps where build = %s and stepnr = %s", [build, stepnr]
                    ).fetchone()
                    if row != (0,):
                        self.not_committed.append(payload)


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    with open_farm(tmp_path_factory.mktemp("farm")) as farm:
        yield farm


@pytest.fixture(scope="module")
def listener(farm: Farm) -> Listener:
    return Listener(farm.conninfo)


@pytest.fixture(scope="module")
def demo(farm: Farm, listener: Listener) -> dict[str, dict[str, Any]]:
    """The builds of examples/demo.nix, after the first run."""
    listener.start()
    builds = farm.run(DEMO)
    listener.done.set()
    listener.join()
    return builds


def test_every_build_of_the_demo_ends_with_its_status(demo: dict[str, dict[str, Any]]) -> None:
    assert {job: build["status"] for job, build in demo.items()} == {job: STATUSES.get(job, 0) for job in demo}
    assert len(demo) == 27


def test_every_build_is_finished_exactly_once(farm: Farm, demo: dict[str, dict[str, Any]]) -> None:
    assert farm.rows("select count from NrBuilds where what = 'finished'") == [{"count": len(demo)}]
    assert farm.rows("select id from Builds where finished = 0 or startTime is null or stopTime < startTime") == []


def test_successful_builds_have_outputs_and_sizes(farm: Farm, demo: dict[str, dict[str, Any]]) -> None:
    assert (
        farm.rows(
            "select b.id from Builds b join BuildOutputs o on o.build = b.id "
            "where b.buildStatus in (0, 6) and (o.path is null or b.size is null or b.closureSize < b.size)"
        )
        == []
    )
    for build in demo.values():
        for path in build["outputs"].values():
            assert build["status"] not in (0, 6) or Path(path).exists()


def test_a_leaf_has_one_step_and_a_resolved_derivation_two(farm: Farm, demo: dict[str, dict[str, Any]]) -> None:
    assert farm.steps(demo["leaf"]["build"]) == [(0, 0, "floating-leaf")]
    for job in ("on-leaf", "chain.third", "deferred", "on-deferred", "fixed-on-floating", "uses-all-outputs"):
        steps = farm.steps(demo[job]["build"])
        assert [step[:2] for step in steps] == [(0, 13), (0, 0)], job
        assert steps[0][2] == steps[1][2]
    assert farm.steps(demo["input-addressed"]["build"]) == [(0, 0, "input-addressed")]


def test_a_failure_after_resolution_belongs_to_the_build_that_ran_it(
    farm: Farm, demo: dict[str, dict[str, Any]]
) -> None:
    assert [step[:2] for step in farm.steps(demo["fails-resolved"]["build"])] == [(0, 13), (0, 1)]
    dependents = farm.rows(
        "select status, propagatedFrom from BuildSteps where build = %s", demo["on-failed-resolved"]["build"]
    )
    assert dependents == [{"status": 1, "propagatedfrom": demo["fails-resolved"]["build"]}]


def test_a_build_with_equal_inputs_is_cut_off_early(farm: Farm, demo: dict[str, dict[str, Any]]) -> None:
    first, second = demo["words-first.count"], demo["words-second.count"]
    assert sorted([first["cached"], second["cached"]]) == [False, True]
    assert first["outputs"] == second["outputs"]
    cut_off = second if second["cached"] else first
    assert [step[:2] for step in farm.steps(cut_off["build"])] == [(0, 13), (1, 0)]
    assert farm.rows("select terminal_stepnr from resolver.resolved_step where build = %s", cut_off["build"]) == [
        {"terminal_stepnr": 2}
    ]


def test_nix_built_exactly_what_the_rows_say_and_nothing_twice(farm: Farm, demo: dict[str, dict[str, Any]]) -> None:  # noqa: ARG001
    assert farm.built_by_nix() == farm.built_by_rows()
    assert (
        farm.rows("select drvPath from BuildSteps where type = 0 and status = 0 group by drvPath having count(*) > 1")
        == []
    )


def test_products_metrics_and_release_name_are_recorded(farm: Farm, demo: dict[str, dict[str, Any]]) -> None:
    build = demo["products"]["build"]
    assert farm.rows("select releaseName from Builds where id = %s", build)[0]["releasename"]
    assert farm.rows("select productnr, fileSize from BuildProducts where build = %s order by productnr", build)
    assert farm.rows("select name, value from BuildMetrics where build = %s and job = 'products'", build)


def test_logs_are_where_hydra_looks_for_them(farm: Farm, demo: dict[str, dict[str, Any]]) -> None:  # noqa: ARG001
    for drv in farm.built_by_rows():
        assert (farm.state / "build-logs" / drv[:2] / drv[2:]).exists(), drv


def test_notifications_come_in_order_and_after_their_rows(demo: dict[str, dict[str, Any]], listener: Listener) -> None:
    assert listener.not_committed == []
    leaf = str(demo["leaf"]["build"])
    about = [channel for channel, payload in listener.heard if payload.split("\t")[0] == leaf]
    assert about == ["step_started", "build_started", "step_finished", "build_finished"]
    finished = Counter(
        build for channel, payload in listener.heard if channel == "build_finished" for build in payload.split("\t")
    )
    assert finished == Counter(str(build["build"]) for build in demo.values())
    assert all(len(payload.split("\t")) == 3 for channel, payload in listener.heard if channel == "step_finished")


def test_a_second_run_builds_nothing(farm: Farm, demo: dict[str, dict[str, Any]]) -> None:
    before = farm.built_by_nix()
    logs = {path: path.stat().st_mtime_ns for path in (farm.store.log_dir / "drvs").glob("??/*")}
    again = farm.run(DEMO, "--cached-failures")
    assert {job: build["status"] for job, build in again.items()} == {job: STATUSES.get(job, 0) for job in demo}
    assert all(build["cached"] for build in again.values())
    assert {job: build["outputs"] for job, build in again.items()} == {
        job: build["outputs"] for job, build in demo.items()
    }
    assert farm.built_by_nix() == before
    assert {path: path.stat().st_mtime_ns for path in (farm.store.log_dir / "drvs").glob("??/*")} == logs


def test_known_failures_are_tried_again_by_default(farm: Farm, demo: dict[str, dict[str, Any]]) -> None:  # noqa: ARG001
    again = farm.run(DEMO, "-A", "on-failed-resolved")
    assert again["on-failed-resolved"]["status"] == 2
    assert not again["on-failed-resolved"]["cached"]


def test_the_collector_takes_no_output_of_a_recent_build(farm: Farm, demo: dict[str, dict[str, Any]]) -> None:
    farm.nix("nix-store", "--gc")
    for build in demo.values():
        assert all(Path(path).exists() for path in build["outputs"].values() if build["status"] in (0, 6))


def test_no_invariant_is_broken_after_the_demo(farm: Farm, demo: dict[str, dict[str, Any]]) -> None:  # noqa: ARG001
    assert farm.violations() == []


def test_outputs_that_only_the_store_knows_suffice_to_resolve(tmp_path: Path) -> None:
    with open_farm(tmp_path) as farm:
        file = farm.write(
            "two.nix",
            'let leaf = floating "leaf" "echo leaf > $out" { };'
            ' in { inherit leaf; on-leaf = floating "on-leaf" "read x < ${leaf}; echo on $x > $out" { }; }',
        )
        leaf = farm.nix("nix-instantiate", file, "-A", "leaf")
        farm.nix("nix-store", "--realise", leaf)
        build = farm.run(file, "-A", "on-leaf")["on-leaf"]
        assert [step[:2] for step in farm.steps(build["build"])] == [(1, 0), (0, 13), (0, 0)]
        assert farm.rows("select source from resolver.realisation order by realisation") == [
            {"source": "local"},
            {"source": "built"},
        ]
        assert farm.violations() == []


def test_a_database_that_lost_everything_finds_the_outputs_in_the_store(tmp_path: Path) -> None:
    with open_farm(tmp_path) as farm:
        first = farm.run(DEMO, "-A", "leaf", "-A", "chain", "-A", "deferred")
        built = farm.built_by_nix()
    with open_farm(tmp_path) as farm:
        with psycopg.connect(farm.conninfo, autocommit=True) as connection:
            connection.execute("drop schema resolver cascade")
            connection.execute("truncate Builds, BuildSteps, JobsetEvals cascade")
        again = farm.run(DEMO, "-A", "leaf", "-A", "chain", "-A", "deferred")
        assert {job: build["outputs"] for job, build in again.items()} == {
            job: build["outputs"] for job, build in first.items()
        }
        assert all(build["status"] == 0 for build in again.values())
        assert farm.built_by_nix() == built
        assert farm.rows("select * from BuildSteps where type = 0 and status <> 13") == []
        assert farm.violations() == []


def test_a_lost_output_is_built_again(tmp_path: Path) -> None:
    with open_farm(tmp_path) as farm:
        first = farm.run(DEMO, "-A", "chain")
        for root in (farm.store.directory / "var" / "gcroots" / "hydra-resolver").iterdir():
            root.unlink()
        farm.nix("nix-store", "--gc")
        lost = first["chain.third"]["outputs"]["out"]
        assert not Path(lost).exists()
        again = farm.run(DEMO, "-A", "chain.third")["chain.third"]
        assert again["status"] == 0
        assert again["outputs"]["out"] == lost
        assert Path(lost).exists()
        assert {name_of(step["drv"]) for step in again["steps"]} == {"chain-first", "chain-second", "chain-third"}
        assert farm.violations() == []


def test_a_comment_in_a_library_rebuilds_only_the_library_in_a_run(tmp_path: Path) -> None:
    if shutil.which("cc") is None:
        pytest.skip("there is no C compiler on this machine")
    library = DEMO.with_name("library.nix")
    with open_farm(tmp_path) as farm:
        farm.run(library, "--argstr", "comment", "one")
        before = farm.built_by_nix()
        second = farm.run(library, "--argstr", "comment", "two")
        assert all(build["status"] == 0 for build in second.values())
        new = farm.built_by_nix() - before
        assert len(new) == 1
        assert {job for job, build in second.items() if not build["cached"]} == {
            job for job, build in second.items() if build["drv"].rpartition("/")[2] in new
        }
        assert farm.violations() == []
