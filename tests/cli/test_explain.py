"""`explain`, `graph` and `check`: the reasons why builds wait, and broken invariants."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from ..support.farm import Farm, open_farm

JOBS = """rec {
  a = floating "a" "echo a > $out" { };
  bad = floating "bad" "echo ${a}; exit 1" { };
  c = floating "c" "echo ${bad} ${a} > $out" { };
}"""


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[Farm]:
    with open_farm(tmp_path) as farm:
        yield farm


def test_explain_names_the_missing_worker_of_a_queued_build_and_the_cause_of_a_failed_one(farm: Farm) -> None:
    farm.command("enqueue", farm.write("jobs.nix", JOBS))
    told = farm.command("explain", "3").stdout.splitlines()
    assert told[0] == "build 3 (c): not finished"
    assert told[1].endswith("-c.drv  no worker loads derivations")
    assert farm.command("graph", "3").stdout.splitlines()[0].endswith("-c.drv unloaded")

    farm.command("worker", "--drain")
    chain = json.loads(farm.command("explain", "--json", "3").stdout)["chain"]
    assert [link["how"] for link in chain] == ["itself", "can never have", "failed with"]
    assert chain[-1]["reason"].startswith("failed (builder): ")
    drawn = farm.command("graph", "3").stdout
    assert "-c.drv waiting\n" in drawn
    assert "-a.drv realised" in drawn
    assert "bad.drv failed resolved to " in drawn
    assert farm.command("explain", "1").stdout.splitlines()[0] == "build 1 (a): succeeded"


def test_explain_and_graph_show_chains(farm: Farm) -> None:
    jobs = """{ top = floating "top" "cat ${builtins.outputOf (floating "low.drv"
      "cp ${builtins.unsafeDiscardOutputDependency (floating "low" "exit 1" { }).drvPath} $out"
      { outputHashMode = "text"; }).outPath "out"} > $out" { }; }"""
    farm.command("enqueue", farm.write("jobs.nix", jobs))
    farm.command("worker", "--drain", "--verb", "load")
    assert re.search(r"^  needs \w{7}-low\.drv\.drv\^out\^out$", farm.command("graph", "1").stdout, re.MULTILINE)
    farm.command("worker", "--drain")
    written = r"-low\.drv \(written by \w{7}-low\.drv\.drv\^out\)"
    assert re.search(rf"can never have \w{{7}}{written}  failed \(builder\)", farm.command("explain", "1").stdout)
    assert re.search(rf"^  \w{{7}}{written} failed$", farm.command("graph", "1").stdout, re.MULTILINE)
    (row,) = farm.rows("select drv from resolver.derivation where name = 'low'")
    assert re.search(written, farm.command("trace", row["drv"]).stdout)


def test_an_unknown_build_or_derivation_is_an_error(farm: Farm) -> None:
    for command, what in (("explain", "17"), ("explain", "x.drv"), ("graph", "17")):
        done = farm.command(command, what, check=False)
        assert done.returncode == 2
        assert done.stderr.startswith("Error: ")


def test_check_reports_broken_invariants(farm: Farm) -> None:
    farm.command("enqueue", farm.write("jobs.nix", JOBS))
    assert farm.command("check").stdout == "sound: no invariant is broken\n"
    with psycopg.connect(farm.conninfo, autocommit=True) as connection:
        connection.execute("update resolver.derivation_state set stage = 'waiting'")
    done = farm.command("check", "--json", check=False)
    assert done.returncode == 1
    assert json.loads(done.stdout) == {"check_watching": 3}
