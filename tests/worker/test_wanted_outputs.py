"""On a real Nix: memo hits on a derivation of which the collector took an unwanted output."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest

from ..cli.test_trace import farm as farm
from ..cli.test_trace import lose
from ..support.farm import Farm

TWO_OUTPUTS = """
{ number, script }:
let
  up = floating "up" "echo same > $out" { inherit number; };
  it = floating "it" "read x < $input; ${script} > $out; echo dev > $dev" { outputs = [ "out" "dev" ]; input = up; };
in {
  inherit it;
  user = floating "user" "cat ${it} > $out" { };
  dev-user = floating "dev-user" "cat ${it.dev} > $out" { };
}
"""
STEADY = "echo $x"
RANDOM = "head -c 16 /dev/urandom | od -A n -t x1"


def build(farm: Farm, job: str, number: int, script: str = STEADY) -> dict[str, Any]:
    """Run a job. Another number changes the derivation `it`, but not its resolution."""
    file = farm.write("two.nix", TWO_OUTPUTS)
    return farm.run(file, "-A", job, "--arg", "number", str(number), "--argstr", "script", script)[job]


def outputs(farm: Farm) -> dict[str, str]:
    """Return the valid outputs of the `it` that was resolved last; its resolution has them, too."""
    rows = farm.rows(
        "select resolver.output_paths(r.drv) as resolved, resolver.output_paths(d.drv) as original"
        " from resolver.resolution x join resolver.derivation d using (derivation)"
        " join resolver.derivation r on r.derivation = x.resolved where d.name = 'it' order by resolution desc"
    )
    assert rows[0]["original"].items() <= rows[0]["resolved"].items()
    return dict(rows[0]["original"])


def steps(farm: Farm, build: dict[str, Any]) -> list[tuple[int, int | None]]:
    """Return (type, status) of the steps of `it`."""
    return [(kind, status) for kind, status, name in farm.steps(build["build"]) if name == "it"]


def take_dev(farm: Farm, *, told: bool) -> None:
    """Delete the output that no derivation wants, as a collector would; if `told`, also withdraw it in the database."""
    path = outputs(farm)["dev"]
    lose(farm, str(farm.store.store_dir / path))
    if told:
        with psycopg.connect(farm.conninfo, autocommit=True) as connection:
            connection.execute("select resolver.invalidate_paths(%s)", [[path]])


@pytest.mark.parametrize("told", [True, False])
def test_the_wanted_outputs_suffice_for_a_memo_hit(farm: Farm, told: bool) -> None:
    first = build(farm, "user", 1)
    take_dev(farm, told=told)
    before = farm.built_by_nix()
    second = build(farm, "user", 2)
    assert second["outputs"] == first["outputs"]
    assert steps(farm, second) == [(0, 13), (1, 0)], "`it` is not built again"
    assert sorted(drv.partition("-")[2] for drv in farm.built_by_nix() - before) == ["up.drv"]
    assert outputs(farm).keys() == {"out"}
    found = farm.rows(
        "select o.name, o.path is not null as known from BuildStepOutputs o join BuildSteps s using (build, stepnr)"
        " where s.build = %s and s.type = 1 and s.drvPath like '%%-it.drv' order by 1",
        second["build"],
    )
    assert found == [{"name": "dev", "known": False}, {"name": "out", "known": True}]
    assert farm.violations() == []

    third = build(farm, "dev-user", 2)
    assert third["status"] == 0
    assert steps(farm, third) == [(0, 13), (0, 0)], "`it` is built again for the other output"
    assert outputs(farm).keys() == {"out", "dev"}
    assert farm.violations() == []


def test_a_build_wants_all_outputs_of_its_root(farm: Farm) -> None:
    build(farm, "user", 1)
    take_dev(farm, told=False)
    root = build(farm, "it", 2)
    assert (root["status"], root["cached"]) == (0, False)
    assert all(Path(path).exists() for path in root["outputs"].values())
    assert steps(farm, root) == [(0, 13), (0, 0)]


def test_a_build_for_another_output_does_not_replace_the_first_output(farm: Farm) -> None:
    build(farm, "user", 1, RANDOM)
    served = outputs(farm)["out"]
    take_dev(farm, told=False)
    build(farm, "user", 2, RANDOM)
    again = build(farm, "dev-user", 3, RANDOM)
    assert again["status"] == 0
    assert outputs(farm)["out"] == served
    assert farm.rows("select path from resolver.output where name = 'out' and path like '%%-it'") == 4 * [
        {"path": served}
    ]
    paths = farm.rows("select path from resolver.realisation where output = 'out' and path like '%%-it'")
    assert paths == [{"path": served}], (
        "Nix itself keeps valid outputs; sql_tests/wanted_outputs.sql covers a Nix that does not"
    )
    assert farm.violations() == []
