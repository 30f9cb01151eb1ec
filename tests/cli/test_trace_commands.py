"""`trace`, `savings`, `what-if` and `prune` after real builds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ..support.farm import Farm, name_of, open_farm

JOBS = """
{ comment, word }:
let
  library = floating "library" "echo ${word} > $out; echo dev > $dev" { inherit comment; outputs = [ "out" "dev" ]; };
  headers = floating "headers" "read x < ${library.dev}; echo $x > $out" { };
  middle = floating "middle" "read x < ${library}; sleep 0.2; echo middle $x > $out" { };
in {
  program = floating "program" "read x < ${middle}; echo $x > $out" { };
  constant = floating "constant" "read x < ${library}; echo > $out" { };
  inherit headers;
}
"""


class Made:
    """Three evaluations: the first, one with another comment in the library, one with another output of the library."""

    def __init__(self, farm: Farm) -> None:
        self.farm = farm
        file = farm.write("jobs.nix", JOBS)
        self.runs = [
            farm.run(file, "--argstr", "comment", comment, "--argstr", "word", word)
            for comment, word in [("one", "hello"), ("two", "hello"), ("two", "goodbye")]
        ]

    def drv(self, run: int, job: str) -> str:
        """Return the base name of a job's derivation."""
        return Path(self.runs[run][job]["drv"]).name

    def inputs(self, run: int, name: str, *, job: str = "program") -> str:
        """Return the base name of the derivation with this name below a job."""
        (found,) = {
            path.name
            for drv in [self.runs[run][job]["drv"]]
            for path in map(Path, self.farm.nix("nix-store", "-q", "--requisites", drv).split())
            if path.suffix == ".drv" and name_of(path.name) == name
        }
        return found

    def output(self, drv: str, name: str = "out") -> str:
        """Return the base name of an output's path."""
        (row,) = self.farm.rows("select resolver.output_paths(%s) as paths", drv)
        return str(row["paths"][name])

    def json(self, *words: str) -> Any:
        return json.loads(self.farm.command(*words, "--json").stdout)

    def fails(self, *words: str) -> str:
        """Run a command that must end with status 2; return its stderr."""
        done = self.farm.command(*words, check=False)
        assert (done.returncode, done.stdout) == (2, "")
        assert "Traceback" not in done.stderr
        return done.stderr


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    with open_farm(tmp_path_factory.mktemp("commands")) as farm:
        yield Made(farm)


def everything(farm: Farm) -> tuple[dict[str, Any], list[str]]:
    """Return digests of all tables, and the names of all files in the store."""
    tables = {}
    with psycopg.connect(farm.conninfo) as connection:
        names = connection.execute(
            "select format('%I.%I', schemaname, tablename) from pg_tables where schemaname in ('public', 'resolver')"
        ).fetchall()
        for (name,) in names:
            query = f"select md5(string_agg(r::text, ',' order by r::text)) from {name} r"
            tables[name] = connection.execute(query.encode()).fetchone()
    return tables, sorted(path.name for path in farm.store.store_dir.iterdir())


# trace


def test_trace_shows_why_a_derivation_was_cut_off(made: Made) -> None:
    drv = made.inputs(1, "middle")
    text = made.farm.command("trace", drv).stdout
    assert f"resolved to {made.json('trace', drv)['resolutions'][0]['resolved'][:7]}-middle.drv" in text
    build = made.runs[0]["program"]["build"]
    assert f"cut off early: known from build {build} step 2" in text
    assert " s spared" in text
    assert f"the same as the previous one, {made.inputs(0, 'middle')[:7]}-middle.drv, for build {build}" in text
    assert (
        f"{made.inputs(1, 'library')[:7]}-library.drv^out is {made.output(made.inputs(1, 'library'))[:7]}-library"
        in text
    )


def test_trace_shows_the_input_that_differed(made: Made) -> None:
    drv = made.inputs(2, "middle")
    text = made.farm.command("trace", drv).stdout
    before, now = (made.output(made.inputs(run, "library"))[:7] for run in (1, 2))
    assert f"differs from the previous one, {made.inputs(1, 'middle')[:7]}-middle.drv" in text
    assert f"library^out was {before}-library, now {now}-library" in text
    assert "cut off" not in text
    assert "built in" in text


def test_trace_shows_attempts_with_their_outputs(made: Made) -> None:
    text = made.farm.command("trace", made.farm.store.store_dir / made.inputs(0, "library")).stdout
    assert "for build" in text
    assert "on localhost" in text
    assert f"out {made.output(made.inputs(0, 'library'))}" in text
    assert f"dev {made.output(made.inputs(0, 'library'), 'dev')}" in text


def test_trace_shows_the_derivations_that_resolved_to_this_one(made: Made) -> None:
    resolved = made.json("trace", made.inputs(0, "middle"))["resolutions"][0]["resolved"]
    text = made.farm.command("trace", resolved).stdout
    assert f"{made.inputs(0, 'middle')[:7]}-middle.drv resolved to this one" in text
    assert f"{made.inputs(1, 'middle')[:7]}-middle.drv resolved to this one" in text
    assert text.count("cut off early") == 1


def test_the_json_of_trace_is_complete(made: Made) -> None:
    found = made.json("trace", made.inputs(2, "middle"))
    assert found["drv"] == made.inputs(2, "middle")
    (resolution,) = found["resolutions"]
    assert resolution["inputs"] == [[made.inputs(2, "library"), "out", made.output(made.inputs(2, "library"))]]
    assert resolution["difference"] == {
        "input": "library",
        "output": "out",
        "path": made.output(made.inputs(2, "library")),
        "before": made.output(made.inputs(1, "library")),
    }


@pytest.mark.parametrize("drv", ["nothing", "/nix/store/11111111111111111111111111111111-nothing.drv", "", "/"])
def test_an_unknown_derivation_has_no_trace(made: Made, drv: str) -> None:
    assert "this database does not know" in made.fails("trace", drv)


# savings


def test_savings_are_listed_by_evaluation(made: Made) -> None:
    lines = [line.split() for line in made.farm.command("savings").stdout.splitlines()]
    assert lines[0] == ["evaluation", "builds", "resolutions", "cut", "off", "spared"]
    # In the third evaluation, headers are cut off: they use the unchanged output of the library.
    assert [line[:4] for line in lines[1:]] == [
        ["1", "3", "4", "0"],
        ["2", "3", "4", "4"],
        ["3", "3", "4", "1"],
        ["all", "9", "12", "5"],
    ]
    assert float(lines[2][4]) >= 0.2


def test_savings_can_be_limited_to_one_evaluation_or_one_build(made: Made) -> None:
    found = made.json("savings", "--eval", "2")
    assert (found["evaluation"], found["builds"], found["resolutions"], found["cut_off"]) == (2, 3, 4, 4)
    found = made.json("savings", str(made.runs[1]["program"]["build"]))
    assert (found["evaluation"], found["builds"], found["resolutions"], found["cut_off"]) == (2, 1, 2, 2)
    assert found["seconds"] >= 0.2


def test_savings_of_an_unknown_build_or_evaluation_are_refused(made: Made) -> None:
    assert "there is no build 999" in made.fails("savings", "999")
    assert "there is no evaluation 999" in made.fails("savings", "--eval", "999")
    assert "there is no build 3000000000" in made.fails("savings", "3000000000")
    assert "there is no evaluation 3000000000" in made.fails("savings", "--eval", "3000000000")
    assert "exclude each other" in made.fails("savings", "1", "--eval", "1")


# what-if


def test_what_if_shows_cut_offs_and_changes_nothing(made: Made) -> None:
    other = made.output(made.inputs(2, "library"))
    given = f"{made.inputs(0, 'library')}^out={other}"
    before = everything(made.farm)
    found = made.json("what-if", given)
    text = made.farm.command("what-if", given).stdout
    assert everything(made.farm) == before

    fates = {name_of(one["drv"]): (one["fate"], one["changed"]) for one in found["derivations"]}
    assert fates == {"middle": ("cut off", ["out"]), "program": ("cut off", ["out"]), "constant": ("cut off", [])}
    by_name = {name_of(one["drv"]): one for one in found["derivations"]}
    assert by_name["program"]["outputs"]["out"] == Path(made.runs[2]["program"]["outputs"]["out"]).name
    assert by_name["middle"]["resolved"] == made.json("trace", made.inputs(2, "middle"))["resolutions"][0]["resolved"]
    assert "3 derivations would resolve differently: 3 would be cut off early" in text
    assert "with the same outputs" in text


def test_what_if_shows_derivations_to_build_and_unknown_ones(made: Made) -> None:
    unknown = f"/{made.farm.store.store_dir}/11111111111111111111111111111111-library"
    text = made.farm.command("what-if", f"{made.farm.store.store_dir}/{made.inputs(0, 'library')}^out={unknown}").stdout
    assert text.splitlines()[-1] == (
        "2 derivations would resolve differently: 2 would be built, 1 unknown until others are built"
    )
    assert f"{made.inputs(0, 'middle')[:7]}-middle.drv has to be built first" in text


def test_what_if_accepts_outputs_of_resolved_derivations(made: Made) -> None:
    resolved = made.json("trace", made.inputs(0, "middle"))["resolutions"][0]["resolved"]
    found = made.json("what-if", f"{resolved}^out=11111111111111111111111111111111-middle")
    assert {one["drv"] for one in found["derivations"]} == {made.drv(0, "program"), made.drv(1, "program")}


def test_what_if_with_the_current_path_changes_nothing(made: Made) -> None:
    drv = made.inputs(0, "library")
    assert made.farm.command("what-if", f"{drv}^out={made.output(drv)}").stdout == (
        "0 derivations would resolve differently: 2 would stay as they are\n"
    )


def test_what_if_of_an_output_without_dependents_says_so(made: Made) -> None:
    text = made.farm.command("what-if", f"{made.drv(0, 'program')}^out=11111111111111111111111111111111-program").stdout
    assert text == "no known derivation depends on the given outputs\n"


def test_what_if_refuses_invalid_realisations(made: Made) -> None:
    drv, path = made.inputs(0, "library"), "11111111111111111111111111111111-x"
    for given, reason in {
        f"{drv}={path}": "Write it as DRV^OUT=PATH",
        f"{drv}^out=x": "Write it as DRV^OUT=PATH",
        f"{drv}^doc={path}": "has no output 'doc', only dev, out",
        f"/nix/store/{drv}^out={path}": "Give paths of this store",
        f"11111111111111111111111111111111-x.drv^out={path}": "this database does not know",
    }.items():
        assert reason in made.fails("what-if", given)
    assert "choose one of them" in made.fails("what-if", f"{drv}^out={path}", f"{drv}^out={path}y")


# prune


def test_prune_keeps_valid_outputs_and_forgets_lost_ones(made: Made) -> None:
    farm = made.farm
    before = everything(farm)
    assert made.json("prune", "--older-than", "1w", "--dry-run") == {
        "dry_run": True, "withdrawn": 0, "derivations": 0, "realisations": 0, "resolutions": 0, "failures": 0,
        "goals": 0, "leases": 0,
    }  # fmt: skip
    assert "forgotten: nothing" in farm.command("prune", "--older-than", "90d").stdout
    assert everything(farm) == before, "no row is that old"

    text = farm.command("prune", "--older-than", "0h", "--dry-run").stdout
    assert text.startswith("would be forgotten: 9 ends of builds, ")
    assert everything(farm) == before

    keep = made.output(made.inputs(0, "library"))
    roots = farm.store.directory / "var/gcroots/hydra-resolver"
    for root in roots.iterdir():
        if root.name != keep:
            root.unlink()
    farm.nix("nix-store", "--gc")
    before = everything(farm)
    would = made.json("prune", "--older-than", "0h", "--dry-run")
    assert everything(farm) == before
    lines = farm.command("prune", "--older-than", "0h").stdout.splitlines()
    assert lines[0] == f"{would['withdrawn']} paths of old derivations are not in the store any more"
    assert lines[1].startswith(f"forgotten: {would['derivations']} derivations, ")
    assert {row["path"] for row in farm.rows("select path from resolver.realisation where ceased_at is null")} == {keep}
    # The output belongs to both library derivations.
    assert {name_of(row["drv"]) for row in farm.rows("select drv from resolver.derivation")} == {"library"}
    assert farm.rows("select count(*) from Builds") == [{"count": 9}], "prune deletes no rows of Hydra"
    assert farm.command("prune", "--older-than", "0h").stdout == "forgotten: nothing\n"
    assert farm.violations() == []


def test_builds_after_a_prune_succeed(made: Made) -> None:
    farm = made.farm
    file = farm.write("jobs.nix", JOBS)
    again = farm.run(file, "--argstr", "comment", "one", "--argstr", "word", "hello")
    assert {build["status"] for build in again.values()} == {0}
    assert {job: build["outputs"] for job, build in again.items()} == {
        job: build["outputs"] for job, build in made.runs[0].items()
    }
    assert farm.violations() == []


@pytest.mark.parametrize("age", ["90", "d", "3m", "-1d", "1.5d", "999999d", ""])
def test_a_malformed_age_is_refused(made: Made, age: str) -> None:
    assert "is not an age" in made.fails("prune", f"--older-than={age}")


def test_commands_refuse_another_store_than_that_of_the_database(made: Made) -> None:
    before = everything(made.farm)
    place = made.farm.state / "other"
    output = f"{made.inputs(0, 'library')}^out=11111111111111111111111111111111-x"
    for words in (["prune", "--older-than", "0h"], ["what-if", output]):
        text = made.fails(*words, "--store", f"local?root={place}")
        assert "this database belongs to another store" in text
    assert everything(made.farm) == before


# The tests above must not see this failure.


def test_trace_shows_the_failures_of_the_resolved_derivation(made: Made) -> None:
    file = made.farm.write(
        "bad.nix",
        """
{
  bad = floating "bad" "exit 1" { input = floating "library" "echo bad > $out" { }; };
}""",
    )
    drv = Path(made.farm.run(file)["bad"]["drv"]).name
    (resolution,) = made.json("trace", drv)["resolutions"]
    assert [failure["class"] for failure in resolution["failures"]] == ["builder"]
    text = made.farm.command("trace", drv).stdout
    assert "failed (builder)" in text
    assert text.index("resolved to") < text.index("failed (builder)")
