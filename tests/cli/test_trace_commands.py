"""`trace`, `savings`, `what-if` and `prune` on what real builds left behind."""

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
    """Three evaluations: all new; another comment in the library; another word, which the library puts out."""

    def __init__(self, farm: Farm) -> None:
        self.farm = farm
        file = farm.write("jobs.nix", JOBS)
        self.runs = [
            farm.run(file, "--argstr", "comment", comment, "--argstr", "word", word)
            for comment, word in [("one", "hello"), ("two", "hello"), ("two", "goodbye")]
        ]

    def drv(self, run: int, job: str) -> str:
        """Base name of the derivation of a job."""
        return Path(self.runs[run][job]["drv"]).name

    def inputs(self, run: int, name: str, *, job: str = "program") -> str:
        """Base name of the derivation of that name below a job."""
        (found,) = {
            path.name
            for drv in [self.runs[run][job]["drv"]]
            for path in map(Path, self.farm.nix("nix-store", "-q", "--requisites", drv).split())
            if path.suffix == ".drv" and name_of(path.name) == name
        }
        return found

    def output(self, drv: str, name: str = "out") -> str:
        """Base name of the path that an output has."""
        (row,) = self.farm.rows("select resolver.output_paths(%s) as paths", drv)
        return str(row["paths"][name])

    def json(self, *words: str) -> Any:
        return json.loads(self.farm.command(*words, "--json").stdout)

    def fails(self, *words: str) -> str:
        """What a command says that can't be run."""
        done = self.farm.command(*words, check=False)
        assert (done.returncode, done.stdout) == (2, "")
        assert "Traceback" not in done.stderr
        return done.stderr


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    with open_farm(tmp_path_factory.mktemp("commands")) as farm:
        yield Made(farm)


def everything(farm: Farm) -> tuple[dict[str, Any], list[str]]:
    """What is in all tables, and what is in the store."""
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


def test_trace_tells_why_a_derivation_was_cut_off(made: Made) -> None:
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


def test_trace_tells_what_differed(made: Made) -> None:
    drv = made.inputs(2, "middle")
    text = made.farm.command("trace", drv).stdout
    before, now = (made.output(made.inputs(run, "library"))[:7] for run in (1, 2))
    assert f"differs from the previous one, {made.inputs(1, 'middle')[:7]}-middle.drv" in text
    assert f"library^out was {before}-library, now {now}-library" in text
    assert "cut off" not in text
    assert "built in" in text


def test_trace_tells_what_was_built_with_its_outputs(made: Made) -> None:
    text = made.farm.command("trace", made.farm.store.store_dir / made.inputs(0, "library")).stdout
    assert "for build" in text
    assert "on localhost" in text
    assert f"out {made.output(made.inputs(0, 'library'))}" in text
    assert f"dev {made.output(made.inputs(0, 'library'), 'dev')}" in text


def test_trace_tells_who_resolved_to_it(made: Made) -> None:
    resolved = made.json("trace", made.inputs(0, "middle"))["resolutions"][0]["resolved"]
    text = made.farm.command("trace", resolved).stdout
    assert f"{made.inputs(0, 'middle')[:7]}-middle.drv resolved to this one" in text
    assert f"{made.inputs(1, 'middle')[:7]}-middle.drv resolved to this one" in text
    assert text.count("cut off early") == 1


def test_the_json_of_trace_has_all_of_it(made: Made) -> None:
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


def test_savings_are_told_by_evaluation(made: Made) -> None:
    lines = [line.split() for line in made.farm.command("savings").stdout.splitlines()]
    assert lines[0] == ["evaluation", "builds", "resolutions", "cut", "off", "spared"]
    # The third time, headers are cut off: the library has the same ones.
    assert [line[:4] for line in lines[1:]] == [
        ["1", "3", "4", "0"],
        ["2", "3", "4", "4"],
        ["3", "3", "4", "1"],
        ["all", "9", "12", "5"],
    ]
    assert float(lines[2][4]) >= 0.2


def test_savings_of_one_evaluation_and_one_build(made: Made) -> None:
    found = made.json("savings", "--eval", "2")
    assert (found["evaluation"], found["builds"], found["resolutions"], found["cut_off"]) == (2, 3, 4, 4)
    found = made.json("savings", str(made.runs[1]["program"]["build"]))
    assert (found["evaluation"], found["builds"], found["resolutions"], found["cut_off"]) == (2, 1, 2, 2)
    assert found["seconds"] >= 0.2


def test_savings_of_what_is_not_there(made: Made) -> None:
    assert "there is no build 999" in made.fails("savings", "999")
    assert "there is no evaluation 999" in made.fails("savings", "--eval", "999")
    assert "there is no build 3000000000" in made.fails("savings", "3000000000")
    assert "there is no evaluation 3000000000" in made.fails("savings", "--eval", "3000000000")
    assert "exclude each other" in made.fails("savings", "1", "--eval", "1")


# what-if


def test_what_if_tells_what_would_be_cut_off_and_changes_nothing(made: Made) -> None:
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


def test_what_if_tells_what_would_be_built_and_what_can_not_be_known(made: Made) -> None:
    unknown = f"/{made.farm.store.store_dir}/11111111111111111111111111111111-library"
    text = made.farm.command("what-if", f"{made.farm.store.store_dir}/{made.inputs(0, 'library')}^out={unknown}").stdout
    assert text.splitlines()[-1] == (
        "2 derivations would resolve differently: 2 would be built, 1 unknown until others are built"
    )
    assert f"{made.inputs(0, 'middle')[:7]}-middle.drv has to be built first" in text


def test_what_if_a_resolved_derivation_had_another_output(made: Made) -> None:
    resolved = made.json("trace", made.inputs(0, "middle"))["resolutions"][0]["resolved"]
    found = made.json("what-if", f"{resolved}^out=11111111111111111111111111111111-middle")
    assert {one["drv"] for one in found["derivations"]} == {made.drv(0, "program"), made.drv(1, "program")}


def test_what_if_the_path_stayed_as_it_is(made: Made) -> None:
    drv = made.inputs(0, "library")
    assert made.farm.command("what-if", f"{drv}^out={made.output(drv)}").stdout == (
        "0 derivations would resolve differently: 2 would stay as they are\n"
    )


def test_what_if_something_on_which_nothing_depends(made: Made) -> None:
    text = made.farm.command("what-if", f"{made.drv(0, 'program')}^out=11111111111111111111111111111111-program").stdout
    assert text == "no known derivation depends on the given outputs\n"


def test_what_if_refuses_what_can_not_be(made: Made) -> None:
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


def test_prune_keeps_what_is_valid_and_forgets_what_is_gone(made: Made) -> None:
    farm = made.farm
    before = everything(farm)
    assert made.json("prune", "--older-than", "1w", "--dry-run") == {
        "dry_run": True, "withdrawn": 0, "derivations": 0, "realisations": 0, "resolutions": 0, "failures": 0,
        "goals": 0, "leases": 0,
    }  # fmt: skip
    assert "forgotten: nothing" in farm.command("prune", "--older-than", "90d").stdout
    assert everything(farm) == before, "nothing is that old"

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
    # Both library derivations have it.
    assert {name_of(row["drv"]) for row in farm.rows("select drv from resolver.derivation")} == {"library"}
    assert farm.rows("select count(*) from Builds") == [{"count": 9}], "Hydra's rows are its own"
    assert farm.command("prune", "--older-than", "0h").stdout == "forgotten: nothing\n"
    assert farm.violations() == []


def test_builds_that_come_after_a_prune_succeed(made: Made) -> None:
    farm = made.farm
    file = farm.write("jobs.nix", JOBS)
    again = farm.run(file, "--argstr", "comment", "one", "--argstr", "word", "hello")
    assert {build["status"] for build in again.values()} == {0}
    assert {job: build["outputs"] for job, build in again.items()} == {
        job: build["outputs"] for job, build in made.runs[0].items()
    }
    assert farm.violations() == []


@pytest.mark.parametrize("age", ["90", "d", "3m", "-1d", "1.5d", "999999d", ""])
def test_an_age_is_a_number_of_hours_days_or_weeks(made: Made, age: str) -> None:
    assert "is not an age" in made.fails("prune", f"--older-than={age}")


def test_only_the_store_that_the_database_speaks_about_is_asked(made: Made) -> None:
    before = everything(made.farm)
    place = made.farm.state / "other"
    output = f"{made.inputs(0, 'library')}^out=11111111111111111111111111111111-x"
    for words in (["prune", "--older-than", "0h"], ["what-if", output]):
        text = made.fails(*words, "--store", f"local?root={place}")
        assert "this database belongs to another store" in text
    assert everything(made.farm) == before


# What the tests above must not know of.


def test_trace_tells_how_that_failed_which_it_was_resolved_to(made: Made) -> None:
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
