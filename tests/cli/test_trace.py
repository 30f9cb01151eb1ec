"""The build trace on a real Nix. Each run below is a process of its own, which knows only the database."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ..support.farm import Farm, name_of, open_farm
from ..support.waiting import PATIENCE, wait_until
from ..worker.test_workers import start_worker

CHAIN = """
{ number, script ? "echo same > $out", down ? "read x < $input; echo down $x > $out", meta ? { } }:
let
  up = floating "up" script { inherit number; };
  it = floating "down" down { input = up; };
in { down = it // { inherit meta; }; user = floating "user" "cat ${it} > $out" { }; }
"""
RANDOM = "read x < $input; head -c 16 /dev/urandom | od -A n -t x1 > $out"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    with open_farm(tmp_path_factory.mktemp("trace")) as farm:
        run_chain(farm, 0, down="echo first > $out")  # this makes the jobset
        yield farm


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[Farm]:
    with open_farm(tmp_path) as farm:
        yield farm


def run_chain(farm: Farm, number: int, *words: str | Path, **scripts: str) -> dict[str, Any]:
    """Build `down`, which depends on `up`. Another number changes both derivations, but not the output of `up`."""
    arguments = [word for name, text in scripts.items() for word in ("--argstr", name, text)]
    file = farm.write("chain.nix", CHAIN)
    return farm.run(file, "-A", "down", "--arg", "number", str(number), *arguments, *words)["down"]


def lose(farm: Farm, path: str) -> None:
    """Delete a path from the store, with its referrers, as a collector would."""
    paths = farm.nix("nix-store", "-q", "--referrers-closure", path).split()
    for name in (Path(one).name for one in paths):
        (farm.store.directory / "var/gcroots/hydra-resolver" / name).unlink(missing_ok=True)
    farm.nix("nix-store", "--delete", "--option", "keep-derivations", "false", *paths)
    assert not Path(path).exists()


def cached(farm: Farm, *builds: dict[str, Any]) -> list[int]:
    """Return isCachedBuild of builds."""
    rows = farm.rows(
        "select isCachedBuild from Builds where id = any (%s) order by id", [one["build"] for one in builds]
    )
    return [row["iscachedbuild"] for row in rows]


def times_loaded(farm: Farm, build: dict[str, Any]) -> int:
    """Count how often the root of a build was loaded."""
    loads = "select from resolver.lease join resolver.derivation using (derivation) where verb = 'load' and drv = %s"
    return len(farm.rows(loads, Path(build["drv"]).name))


# Memo


@dataclass
class Twice:
    """Two builds by two processes, and the names of all derivations that Nix has built for them."""

    first: dict[str, Any]
    second: dict[str, Any]
    built: list[str]


@pytest.fixture(scope="module")
def twice(shared: Farm) -> Twice:
    before = shared.built_by_nix()
    first, second = [run_chain(shared, number) for number in (1, 2)]
    return Twice(first, second, sorted(name_of(drv) for drv in shared.built_by_nix() - before))


def test_a_derivation_that_was_built_for_one_build_is_not_built_for_another(shared: Farm, twice: Twice) -> None:
    first, second = twice.first, twice.second
    assert first["drv"] != second["drv"]
    assert first["outputs"] == second["outputs"]
    assert cached(shared, first, second) == [0, 1]
    assert shared.steps(first["build"]) == [(0, 0, "up"), (0, 13, "down"), (0, 0, "down")]
    assert twice.built == ["down", "up", "up"]
    assert shared.violations() == []


def test_a_resolved_step_that_was_cut_off_has_its_terminal_in_its_own_build(shared: Farm, twice: Twice) -> None:
    build = twice.second["build"]
    assert shared.steps(build) == [(0, 0, "up"), (0, 13, "down"), (1, 0, "down")]
    assert shared.rows("select name, path from BuildStepOutputs where build = %s and stepnr = 3", build) == [
        {"name": "out", "path": twice.second["outputs"]["out"]}
    ]
    assert shared.rows(
        "select stepnr, terminal_build, terminal_stepnr from resolver.resolved_step where build = %s", build
    ) == [{"stepnr": 2, "terminal_build": build, "terminal_stepnr": 3}]


def test_a_known_output_that_is_gone_is_built_again(shared: Farm) -> None:
    farm, down = shared, "read x < $input; echo lost $x > $out"
    first = run_chain(farm, 1, down=down)
    lose(farm, first["outputs"]["out"])
    second = run_chain(farm, 2, down=down)
    assert second["outputs"] == first["outputs"]
    assert Path(second["outputs"]["out"]).exists()
    assert farm.steps(second["build"])[-2:] == [(0, 13, "down"), (0, 0, "down")]
    assert cached(farm, first, second) == [0, 0]
    assert farm.violations() == []


# In flight


def test_builds_share_an_attempt_in_progress(farm: Farm, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    down = f"read x < $input; while ! test -e {gate}; do sleep 0.05; done; echo $x > $out"
    file = farm.write("chain.nix", CHAIN)

    def enqueue(number: int) -> None:
        farm.command("enqueue", file, "-A", "down", "--arg", "number", str(number), "--argstr", "down", down)

    enqueue(1)
    worker = start_worker(farm, "--drain", "--jobs", "2")
    farm.wait_for("select from BuildSteps where busy <> 0 and drvPath like '%%-down.drv'")
    enqueue(2)
    enqueue(1)
    farm.wait_for("select from resolver.derivation_state where stage = 'resolved' having count(*) = 2")
    assert farm.rows("select build from BuildSteps where busy <> 0") == [{"build": 1}]
    gate.touch()
    assert worker.wait(PATIENCE) == 0, worker.communicate()[0]

    assert farm.rows("select id, buildStatus, isCachedBuild from Builds order by id") == [
        {"id": number, "buildstatus": 0, "iscachedbuild": int(number > 1)} for number in (1, 2, 3)
    ]
    assert farm.steps(1) == [(0, 0, "up"), (0, 13, "down"), (0, 0, "down")]
    assert farm.steps(2) == [(0, 0, "up"), (0, 13, "down"), (1, 0, "down")]
    assert farm.steps(3) == [], "a second build of the same root has no step rows"
    assert farm.rows("select count(distinct path) from BuildOutputs") == [{"count": 1}]
    assert sorted(name_of(drv) for drv in farm.built_by_nix()) == ["down", "up", "up"]
    assert farm.violations() == []


# Failures


@pytest.fixture
def attempts(tmp_path: Path) -> Path:
    """A file to which the builder adds a line in each attempt."""
    return tmp_path / "attempts"


def failing(attempts: Path) -> str:
    return f"echo >> {attempts}; exit 1"


def count(attempts: Path) -> int:
    return len(attempts.read_text().splitlines())


def test_a_failure_is_known_to_other_derivations_in_another_process(shared: Farm, attempts: Path) -> None:
    first = run_chain(shared, 1, down=failing(attempts))
    assert (first["status"], first["cached"], count(attempts)) == (1, False, 1)
    second = run_chain(shared, 2, "--cached-failures", down=failing(attempts))
    assert second["drv"] != first["drv"]
    assert (second["status"], second["cached"]) == (1, True)
    assert count(attempts) == 1, "the failure is not tried again"
    steps = shared.rows(
        "select status, propagatedFrom from BuildSteps where build = %s and drvPath like '%%-down.drv' order by stepnr",
        second["build"],
    )
    assert [(step["status"], step["propagatedfrom"]) for step in steps] == [(13, None), (8, first["build"])]
    assert shared.violations() == []


RESTARTED = """
{ down, other }:
let
  up = number: floating "up" "echo same > $out" { inherit number; };
  to-fail = number: floating "down" down { input = up number; };
  fails = floating "fails" other { };
in {
  inherit fails;
  one = to-fail 1;
  two = to-fail 2;
  user = floating "user" "cat ${to-fail 1} > $out" { };
  both = floating "both" "cat ${to-fail 2} ${fails} > $out" { };
}
"""


def test_the_restart_of_one_build_restarts_all_builds_that_failed_for_the_same_cause(
    farm: Farm, attempts: Path, tmp_path: Path
) -> None:
    """Two derivations resolve to the failing one. A build with a second cause is restarted when that one is."""
    gate, healed, other = (tmp_path / name for name in ("gate", "healed", "other"))
    down = f"read x < $input; echo >> {attempts}; cat {healed} > $out"
    fails = f"while ! test -e {gate}; do sleep 0.05; done; cat {other} > $out"
    file = farm.write("restarted.nix", RESTARTED)
    farm.command("enqueue", file, "--argstr", "down", down, "--argstr", "other", fails)
    worker = start_worker(farm, "--drain", "--jobs", "2")
    farm.wait_for("select from Builds where finished = 1 having count(*) = 4")
    gate.touch()
    assert worker.wait(PATIENCE) == 0, worker.communicate()[0]
    ids = {row["job"]: row["id"] for row in farm.rows("select job, id from Builds")}

    def ended() -> dict[str, int | None]:
        rows = farm.rows("select job, case when finished = 1 then buildStatus end as status from Builds")
        return {row["job"]: row["status"] for row in rows}

    assert ended() == {"one": 1, "two": 1, "user": 2, "both": 2, "fails": 1}
    assert count(attempts) == 1

    healed.write_text("healed")
    farm.command("restart", str(ids["two"]))
    farm.command("worker", "--drain")
    assert ended() == {"one": 0, "two": 0, "user": 0, "both": 2, "fails": 1}
    assert count(attempts) == 2, "one more attempt serves all builds"
    other.write_text("other")
    farm.command("restart", str(ids["fails"]))
    farm.command("worker", "--drain")
    assert ended() == dict.fromkeys(ids, 0)
    assert count(attempts) == 2, "a successful derivation is not built again"
    assert farm.violations() == []


def build_of_evaluator(farm: Farm, number: int, timeout: int = 3600, **scripts: str) -> dict[str, Any]:
    """Add a build as Hydra's evaluator does, with its policy for known failures; return how the build ended."""
    arguments = [word for name, text in {"number": number, **scripts}.items() for word in ("--arg", name, str(text))]
    drv = farm.nix("nix-instantiate", farm.write("chain.nix", CHAIN), "-A", "down", *arguments)
    with psycopg.connect(farm.conninfo, autocommit=True) as connection:
        row = connection.execute(
            "insert into Builds (finished, timestamp, jobset_id, job, drvPath, system, timeout) "
            "select 0, 1, j.id, 'down', %s, '', %s from Jobsets j order by j.id limit 1 returning id",
            [drv.partition("!")[0], timeout],
        ).fetchone()
    assert row is not None
    farm.command("worker", "--drain")
    (build,) = farm.rows("select id, buildStatus, isCachedBuild from Builds where id = %s", row[0])
    return build


def quoted(script: str) -> str:
    return "''" + script + "''"


def test_a_known_failure_of_a_builder_ends_builds_of_the_evaluator(shared: Farm, attempts: Path) -> None:
    found = [build_of_evaluator(shared, number, down=quoted(failing(attempts))) for number in (1, 2, 3)]
    assert [(build["buildstatus"], build["iscachedbuild"]) for build in found] == [(1, 0), (1, 1), (1, 1)]
    assert count(attempts) == 1


def test_a_timeout_is_not_cached(shared: Farm, attempts: Path) -> None:
    slow = quoted(f"echo >> {attempts}; while :; do sleep 0.1; done")
    found = [build_of_evaluator(shared, number, timeout=1, down=slow) for number in (1, 2)]
    assert [(build["buildstatus"], build["iscachedbuild"]) for build in found] == [(7, 0), (7, 0)]
    assert count(attempts) == 2


def test_a_failure_of_a_fixed_output_is_not_cached(shared: Farm, attempts: Path) -> None:
    wrong = f"echo >> {attempts}; echo wrong > $out"
    fixed = (
        'derivation { name = "fixed"; system = builtins.currentSystem; builder = "/bin/sh"; PATH = "/bin:/usr/bin";'
        f' args = [ "-c" "{wrong}" ]; outputHashAlgo = "sha256"; outputHash = builtins.hashString "sha256" "right"; }}'
    )
    # The failing derivation is the input of a different one in each round.
    script = quoted("read x < ${" + fixed + "}; echo $x > $out")
    found = [build_of_evaluator(shared, number, script=script) for number in (1, 2)]
    assert [(build["buildstatus"], build["iscachedbuild"]) for build in found] == [(2, 0), (2, 0)]
    assert count(attempts) == 2


def test_an_aborted_attempt_is_not_cached(farm: Farm, attempts: Path, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    down = f"echo >> {attempts}; while ! test -e {gate}; do sleep 0.05; done; echo done > $out"
    file = farm.write("chain.nix", CHAIN)
    farm.command("enqueue", file, "-A", "down", "--arg", "number", "1", "--argstr", "down", down)
    worker = start_worker(farm)
    farm.wait_for("select from BuildSteps where busy <> 0 and drvPath like '%%-down.drv'")
    wait_until(attempts.exists)
    worker.terminate()
    assert worker.wait(PATIENCE) == 0
    gate.touch()
    second = run_chain(farm, 2, "--cached-failures", down=down)
    assert (second["status"], count(attempts)) == (0, 2)
    assert farm.rows("select from resolver.failure") == []


# Coherence


def test_a_nondeterministic_derivation_is_detected_when_it_is_built_again(shared: Farm) -> None:
    farm, down = shared, f"{RANDOM}; : lost"
    first = run_chain(farm, 1, down=down)
    arguments = ["--arg", "number", "1", "--argstr", "down", down]
    before = farm.run(farm.write("chain.nix", CHAIN), "-A", "user", *arguments)["user"]
    lose(farm, first["outputs"]["out"])
    second = run_chain(farm, 1, down=down)
    assert second["outputs"] != first["outputs"]
    assert farm.rows(
        "select build, isNonDeterministic from BuildSteps "
        "where type = 0 and status = 0 and drvPath like '%%-down.drv' and build = any (%s) order by build",
        [first["build"], second["build"]],
    ) == [
        {"build": first["build"], "isnondeterministic": False},
        {"build": second["build"], "isnondeterministic": True},
    ]
    paths = [Path(build["outputs"]["out"]).name for build in (first, second)]
    assert farm.rows("select from resolver.incoherent_output where path = any (%s)", paths) == [], (
        "the two paths were never valid together"
    )
    (replaced,) = farm.rows("select * from resolver.replaced_input where path = any (%s)", paths)
    assert replaced["drv"] == Path(before["drv"]).name, "`user` was built from the first path"
    assert [replaced["path"], replaced["new_path"]] == paths
    assert replaced["ceased_at"] is not None
    assert farm.violations() == []


def build_behind(farm: Farm, drv: str, kept: str, archive: Path) -> str:
    """Let Nix build a derivation again beside its valid output `kept`; return the second path."""
    with archive.open("wb") as file:
        subprocess.run(["nix-store", "--export", kept], env=farm.store.child_environment(), stdout=file, check=True)
    lose(farm, kept)
    other = farm.nix("nix-store", "--realise", farm.store.store_dir / drv)
    with archive.open("rb") as file:
        subprocess.run(
            ["nix-store", "--import"],
            env=farm.store.child_environment(),
            stdin=file,
            check=True,
            capture_output=True,
        )
    assert other != kept
    return other


def test_a_second_path_is_recorded_but_not_served_while_the_first_is_valid(shared: Farm, tmp_path: Path) -> None:
    farm, down = shared, f"{RANDOM}; : both"
    first = run_chain(farm, 1, down=down)
    served = first["outputs"]["out"]
    (step,) = farm.rows("select resolvedDrvPath from BuildSteps where status = 13 and build = %s", first["build"])
    resolved = step["resolveddrvpath"]
    # Nix builds it without the database, and has forgotten the first path by then.
    other = build_behind(farm, resolved, served, tmp_path / "kept")

    second = run_chain(farm, 2, down=down)
    assert second["outputs"]["out"] == served, "the first path is served"
    assert second["cached"]
    (found,) = farm.rows("select * from resolver.incoherent_output where path = %s", Path(served).name)
    assert (found["drv"], found["output"]) == (resolved, "out")
    assert (found["path"], found["build"], found["machine"]) == (Path(served).name, first["build"], "localhost")
    assert (found["other_path"], found["other_build"]) == (Path(other).name, second["build"])
    assert found["time"] < found["other_time"]
    assert farm.violations() == []

    # Only the second path is left: the worker finds it and serves it from now on.
    lose(farm, served)
    third = run_chain(farm, 3, down=down)
    assert third["outputs"]["out"] == other
    assert third["cached"]
    assert farm.violations() == []


def controlled(source: Path) -> str:
    """Return a builder whose output is the current content of a file."""
    return f"read x < $input; cat {source} > $out"


def test_hydra_gets_the_sizes_of_the_served_path(shared: Farm, tmp_path: Path) -> None:
    """Nix has another path on record; the database returns the served path with the report of the resolution."""
    farm, source = shared, tmp_path / "source"
    source.write_text("short")
    first = run_chain(farm, 1, down=controlled(source))
    (step,) = farm.rows("select resolvedDrvPath from BuildSteps where status = 13 and build = %s", first["build"])
    source.write_text("another one, which is longer" * 100)
    served = first["outputs"]["out"]
    other = build_behind(farm, step["resolveddrvpath"], served, tmp_path / "kept")
    second = run_chain(farm, 2, down=controlled(source))
    assert second["outputs"]["out"] == served
    sizes = farm.rows("select size, closureSize from Builds where id = any (%s)", [first["build"], second["build"]])
    assert sizes[0] == sizes[1]
    assert farm.rows("select from resolver.incoherent_output where other_path = %s", Path(other).name) != []
    assert times_loaded(farm, second) == 1, "the build ended with the report of its resolution"


# Local outputs


def test_a_local_output_of_an_unresolved_derivation_serves_only_that_derivation(farm: Farm, tmp_path: Path) -> None:
    file = farm.write("chain.nix", CHAIN)
    drvs = [
        farm.nix("nix-instantiate", file, "-A", "down", "--arg", "number", number).partition("!")[0] for number in "12"
    ]
    (tmp_path / "found").write_text("found elsewhere")
    found = farm.nix("nix-store", "--add", tmp_path / "found")
    for number in "12":
        farm.command("enqueue", file, "-A", "down", "--arg", "number", number)
    loading = start_worker(farm, "--verb", "load", "--drain")
    assert loading.wait(PATIENCE) == 0, loading.communicate()[0]
    with psycopg.connect(farm.conninfo, autocommit=True) as connection:
        news = connection.execute(
            "select resolver.register_local_outputs(jsonb_build_array(jsonb_build_object("
            "'drv', %s::text, 'name', 'out', 'path', %s::text)))",
            [drvs[0], found],
        ).fetchone()
    assert news == (1,)
    farm.command("worker", "--drain")
    outputs = farm.rows("select path, isCachedBuild from Builds join BuildOutputs on build = id order by id")
    assert outputs[0] == {"path": found, "iscachedbuild": 1}
    assert outputs[1]["path"] != found, "the other derivation is resolved and built"
    assert outputs[1]["iscachedbuild"] == 0
    assert [
        row["source"] for row in farm.rows("select source from resolver.realisation where path = %s", Path(found).name)
    ] == ["local"]
    assert farm.violations() == []


def test_a_derivation_that_the_store_knows_is_found_even_if_its_inputs_are_gone(farm: Farm) -> None:
    file = farm.write("chain.nix", CHAIN)
    drv = farm.nix("nix-instantiate", file, "-A", "down", "--arg", "number", "1").partition("!")[0]
    path = farm.nix("nix-store", "--realise", drv)
    (up,) = farm.store.store_dir.glob("*-up")
    lose(farm, str(up))
    build = run_chain(farm, 1)
    assert build["outputs"]["out"] == path
    assert farm.steps(build["build"]) == [(1, 0, "down")]
    assert farm.rows("select source from resolver.realisation") == [{"source": "local"}]
    # The inputs of another original must be built before its resolution is known to be the same.
    other = run_chain(farm, 2)
    assert other["outputs"]["out"] == path
    assert farm.steps(other["build"]) == [(0, 0, "up"), (0, 13, "down"), (1, 0, "down")]


def foreign(farm: Farm, *words: str | Path) -> None:
    """Run a command on a named store, which counts as a user's own; the environment says where the store is."""
    verb, *rest = words
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HYDRA_")}
    done = subprocess.run(
        [sys.executable, "-m", "hydra_resolver", verb, "--state", farm.state, "--store", "local", *rest],
        env={**environment, **farm.store.child_environment()},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr


def test_a_cut_off_ends_the_build_at_once_on_a_store_that_is_not_trusted(farm: Farm) -> None:
    file = farm.write("chain.nix", CHAIN)
    for number in "12":
        foreign(farm, "enqueue", file, "-A", "down", "--arg", "number", number)
        foreign(farm, "worker", "--drain")
    builds = farm.rows("select id as build, drvPath as drv, isCachedBuild, size, closureSize from Builds order by id")
    assert [build["iscachedbuild"] for build in builds] == [0, 1]
    assert len({(build["size"], build["closuresize"]) for build in builds}) == 1
    assert [times_loaded(farm, build) for build in builds] == [1, 1]


@pytest.mark.parametrize(("words", "attempts"), [((), 2), (("--trust-store",), 0)])
def test_a_stores_realisations_are_used_only_if_the_store_is_trusted(
    farm: Farm, words: tuple[str, ...], attempts: int
) -> None:
    """On a store that is not trusted, they are not used to build, either."""
    file = farm.write("chain.nix", CHAIN)
    farm.nix("nix-store", "--realise", farm.nix("nix-instantiate", file, "-A", "down", "--arg", "number", "1"))
    foreign(farm, "enqueue", file, "-A", "down", "--arg", "number", "1")
    foreign(farm, "worker", "--drain", *words)
    steps = farm.rows("select from BuildSteps where type = 0 and status = 0")
    assert len(steps) == attempts
    source = "built" if attempts else "local"
    assert farm.rows("select distinct source from resolver.realisation") == [{"source": source}]
    assert farm.rows("select buildStatus from Builds") == [{"buildstatus": 0}]


def test_a_forged_realisation_is_not_served_on_a_store_that_is_not_trusted(farm: Farm, tmp_path: Path) -> None:
    file = farm.write("chain.nix", CHAIN)
    drv = farm.nix("nix-instantiate", file, "-A", "down", "--arg", "number", "1").partition("!")[0]
    honest = farm.nix("nix-store", "--realise", drv)
    (tmp_path / "forged").write_text("forged")
    forged = farm.nix("nix-store", "--add", tmp_path / "forged")
    with sqlite3.connect(next(farm.store.directory.rglob("db.sqlite"))) as records:
        records.execute("update Realisations set outputPath = (select id from ValidPaths where path = ?)", [forged])
    assert farm.nix("nix-store", "--realise", drv) == forged, "Nix accepts the forged realisation"
    before = farm.built_by_nix()

    foreign(farm, "enqueue", file, "-A", "down", "--arg", "number", "1")
    foreign(farm, "worker", "--drain")
    assert farm.rows("select buildStatus, isCachedBuild, path from Builds join BuildOutputs on build = id") == [
        {"buildstatus": 0, "iscachedbuild": 0, "path": honest}
    ]
    assert farm.steps(1) == [(0, 0, "up"), (0, 13, "down"), (0, 0, "down")]
    assert farm.rows("select path from resolver.realisation where path = %s", Path(forged).name) == []
    traced = farm.rows("select source, machine, seconds > 0 as took from resolver.realisation")
    assert traced == 2 * [{"source": "built", "machine": "localhost", "took": True}]
    # Nix built copies, which have the same names.
    assert sorted(map(name_of, farm.built_by_nix() - before)) == sorted(map(name_of, farm.built_by_rows()))

    assert farm.violations() == []


def test_a_derivation_in_our_own_trace_is_not_built_again_on_a_store_that_is_not_trusted(farm: Farm) -> None:
    file = farm.write("chain.nix", CHAIN)
    for number in "12":
        before = farm.built_by_nix()
        foreign(farm, "enqueue", file, "-A", "down", "--arg", "number", number)
        foreign(farm, "worker", "--drain")
        if number == "1":  # the withdrawal is a false alarm
            with psycopg.connect(farm.conninfo, autocommit=True) as connection:
                connection.execute("select resolver.invalidate_paths(array(select path from BuildOutputs))")
    assert farm.steps(2) == [(0, 0, "up"), (0, 13, "down"), (0, 0, "down")]
    assert [name_of(drv) for drv in farm.built_by_nix() - before] == ["up"]
    assert len(farm.rows("select distinct path from BuildOutputs")) == 1
    traced = (
        "select source, ceased_at is null as in_force from resolver.realisation where path like '%%-down' order by time"
    )
    assert farm.rows(traced) == [{"source": "built", "in_force": False}, {"source": "local", "in_force": True}]


def test_a_realisation_of_a_store_that_is_not_trusted_cannot_replace_a_known_path(farm: Farm) -> None:
    first = run_chain(farm, 1)
    with sqlite3.connect(next(farm.store.directory.rglob("db.sqlite"))) as records:
        records.execute("update Realisations set outputPath = (select id from ValidPaths where path like '%-up')")
    second = run_chain(farm, 2)
    assert second["outputs"] == first["outputs"]
    assert farm.violations() == []
