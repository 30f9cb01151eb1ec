"""Dynamic derivations: derivations that builders write are loaded, resolved and built, to any depth, by a real Nix."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from hydra_resolver.nix.derivation import InputAddressed, InputNode
from hydra_resolver.nix.placeholder import output_placeholder
from hydra_resolver.nix.resolvable import StaleOutputPath
from hydra_resolver.verbs.load import describe

from ..nix.conftest import nixes, programs_or_skip
from ..nix.sample import DRV, LIB, LIB_OUT, derivation
from ..support.failing import assert_sound
from ..support.farm import Farm, name_of, open_farm

WRITING = """
let
  # Its output is the .drv that the script writes; `of` is the output of that one.
  text = name: script: floating "${name}.drv" script { outputHashMode = "text"; };
  write = inner: text inner.name "cp ${builtins.unsafeDiscardOutputDependency inner.drvPath} $out";
  of = drv: builtins.outputOf drv.outPath "out";
  addressed = name: script: attrs: floating name script ({ __contentAddressed = false; } // attrs);
  wrap = name: inputs: floating name "cat $inputs > $out" { inherit inputs; };
in
"""


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    with open_farm(tmp_path_factory.mktemp("dynamic")) as farm:
        yield farm


def write(farm: Farm, name: str, jobs: str) -> Path:
    return farm.write(f"{name}.nix", WRITING + jobs)


def run(farm: Farm, name: str, jobs: str) -> dict[str, dict[str, Any]]:
    """Run the jobs; assert that the rows are sound and cover everything that Nix built; return the builds by job."""
    builds = farm.run(write(farm, name, jobs))
    assert_sound(farm)
    assert farm.built_by_nix() <= farm.built_by_rows()
    return builds


def steps(build: dict[str, Any]) -> list[tuple[str, int]]:
    return [(name_of(step["drv"]), step["status"]) for step in build["steps"]]


def content(farm: Farm, build: dict[str, Any]) -> str:
    (path,) = build["outputs"].values()
    return (farm.store.store_dir / path.rpartition("/")[2]).read_text()


def message(farm: Farm, build: dict[str, Any]) -> str:
    """Return the message of the failure that ended a build."""
    (row,) = farm.rows(
        "select message from resolver.goal g join resolver.failure f on f.derivation = g.cause where g.build = %s",
        build["build"],
    )
    return str(row["message"])


def test_a_written_derivation_is_built_for_its_dependent(farm: Farm) -> None:
    jobs = """rec {
      wrapper = wrap "simple-wrapper" [ (of (write (floating "simple" "echo simple > $out" { }))) ];
    }"""
    build = run(farm, "simple", jobs)["wrapper"]
    assert build["status"] == 0
    assert content(farm, build) == "simple\n"
    assert steps(build) == [("simple.drv", 0), ("simple", 0), ("simple-wrapper", 13), ("simple-wrapper", 0)]
    again = run(farm, "simple", jobs)["wrapper"]
    assert (again["status"], again["cached"], again["steps"]) == (0, True, [])


def test_the_oldest_nix_builds_dynamic_derivations_that_it_cannot_resolve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    oldest = min(nixes(()), key=lambda nix: nix.number)
    monkeypatch.setenv("PATH", f"{programs_or_skip(oldest)}:{os.environ['PATH']}")
    assert not oldest.number.resolves_any_kind_with_dynamic_inputs
    with open_farm(tmp_path) as farm:
        build = run(farm, "oldest", """{
          wrapper = let low = write (floating "low" "echo low > $out" { });
            in wrap "wrapper" [ (of (write (wrap "middle" [ (of low) ]))) ];
        }""")["wrapper"]  # fmt: skip
        assert content(farm, build) == "low\n"


def test_a_written_derivation_may_be_of_any_kind(farm: Farm) -> None:
    jobs = """let
      leaf = floating "leaf" "echo leaf > $out" { };
    in builtins.mapAttrs (name: inner: wrap "on-${name}" [ (of (write inner)) ]) {
      floating = floating "a-floating" "cat ${leaf} > $out" { };
      deferred = addressed "a-deferred" "cat ${leaf} > $out" { };
      static = addressed "a-static" "echo leaf > $out" { };
      fixed = addressed "a-fixed" "cat ${leaf} > $out" {
        outputHashMode = "flat"; outputHash = builtins.hashString "sha256" "leaf\\n";
      };
    }"""
    builds = run(farm, "kinds", jobs)
    assert {content(farm, build) for build in builds.values()} == {"leaf\n"}
    for kind, resolved in {"floating": True, "deferred": True, "static": False, "fixed": True}.items():
        statuses = [status for name, status in steps(builds[kind]) if name == f"a-{kind}"]
        assert statuses == ([13, 0] if resolved else [0])


def test_chains_may_have_any_length_and_share_a_producer_that_is_also_used_as_a_file(farm: Farm) -> None:
    jobs = """let
      inner = floating "inner" "echo inner > $out; echo lib > $lib" { outputs = [ "out" "lib" ]; };
      one = write inner;
      two = write one;
      three = write two;
      deep = output: builtins.outputOf (builtins.outputOf (of three) "out") output;
    in {
      deep = wrap "deep" [ (deep "out") (deep "lib") (of one) ];
      file = floating "file" "test -n \\"$(cat ${one})\\"; cat ${of one} > $out" { };
    }"""
    builds = run(farm, "deep", jobs)
    assert content(farm, builds["deep"]) == "inner\nlib\ninner\n"
    assert content(farm, builds["file"]) == "inner\n"
    assert sorted(steps(builds["deep"])) == sorted(
        [("inner.drv.drv.drv", 0), ("inner.drv.drv", 0), ("inner.drv", 0), ("inner", 0), ("deep", 13), ("deep", 0)]
    )
    shown = farm.rows(
        "select outputs, followed from resolver.chain c join resolver.derivation d using (derivation)"
        " where d.name = 'deep' and followed = 3"
    )
    assert {row["outputs"][-1] for row in shown} == {"out", "lib"}


def test_a_written_derivation_may_depend_on_another_written_derivation(farm: Farm) -> None:
    jobs = """let
      low = write (floating "low" "echo low > $out" { });
      middle = write (wrap "middle" [ (of low) ]);
    in { high = wrap "high" [ (of middle) (of low) ]; }"""
    build = run(farm, "nested", jobs)["high"]
    assert content(farm, build) == "low\nlow\n"
    assert sorted(steps(build)) == sorted(
        [("low.drv", 0), ("low", 0), ("middle.drv", 0), ("middle", 13), ("middle", 0), ("high", 13), ("high", 0)]
    )


def test_a_producer_can_be_resolved_and_cut_off_early(farm: Farm) -> None:
    jobs = """let
      inner = floating "cut" "echo cut > $out" { };
      by = comment: floating "cut.drv" "cat ${floating "note" "echo note > $out # ${comment}" { }} > /dev/null
        cp ${builtins.unsafeDiscardOutputDependency inner.drvPath} $out" { outputHashMode = "text"; };
    in { COMMENT = wrap "cut-wrapper" [ (of (by "COMMENT")) ]; }"""
    first = run(farm, "cut-first", jobs.replace("COMMENT", "first"))["first"]
    assert steps(first)[1:3] == [("cut.drv", 13), ("cut.drv", 0)]
    assert steps(first)[-2:] == [("cut-wrapper", 13), ("cut-wrapper", 0)]
    second = run(farm, "cut-second", jobs.replace("COMMENT", "second"))["second"]
    assert (second["status"], second["cached"]) == (0, True)
    assert [(name_of(step["drv"]), step["status"], step["type"]) for step in second["steps"]] == [
        ("note", 0, 0), ("cut.drv", 13, 0), ("cut.drv", 0, 1), ("cut-wrapper", 13, 0), ("cut-wrapper", 0, 1),
    ]  # fmt: skip


def test_a_build_fails_with_a_written_derivation_or_its_producer_and_a_restart_repairs_it(farm: Farm) -> None:
    mended = farm.state / "mended"
    jobs = f"""{{
      produced = wrap "on-broken" [ (of (write (floating "broken" "test -e {mended}; echo healed > $out" {{ }}))) ];
      producer = wrap "on-broken-producer" [ (of (text "never" "test -e {mended}
        cp ${{builtins.unsafeDiscardOutputDependency (floating "never" "echo healed > $out" {{ }}).drvPath}} $out")) ];
    }}""".replace("test -e", "set -e; test -e")
    builds = run(farm, "broken", jobs)
    assert steps(builds["produced"]) == [("broken.drv", 0), ("broken", 1)]
    assert steps(builds["producer"]) == [("never.drv", 1)]
    for build in builds.values():
        assert build["status"] == 2
        assert "exit code 1" in message(farm, build)
    mended.touch()
    for build in builds.values():
        farm.command("restart", str(build["build"]))
    farm.command("worker", "--drain")
    assert_sound(farm)
    for build in builds.values():
        (row,) = farm.rows("select buildStatus from Builds where id = %s", build["build"])
        assert row["buildstatus"] == 0


HOSTILE = {
    "malformed": (2, "error parsing derivation"),
    "directory": (2, "regular file|directory"),
    "misnamed": (1, "is not named like a derivation"),
    "invalid-input": (2, "is not in the store"),
    "impure": (2, "impure derivations are not supported"),
    "unnameable": (2, "its output 'out/' can't have a path"),
}
"""Status of the build that needs the written derivation, and its message."""


def derivation_text(farm: Farm, inputs: str = "[]", args: str = "[]", version: str = "Derive(") -> str:
    """Return a floating derivation in the form in which Nix, or a builder, writes it."""
    system = farm.nix("nix", "eval", "--raw", "--impure", "--expr", "builtins.currentSystem")
    env = f'[("out","{output_placeholder("out")}")]'
    return f'{version}[("out","","r:sha256","")],{inputs},[],"{system}","/bin/sh",{args},{env})'


def needs_what_it_makes(farm: Farm, drv: str) -> str:
    """Return a derivation that needs the derivation that `drv` writes."""
    return derivation_text(farm, f'[("{drv}",([],[("out",["out"])]))]', version='DrvWithVersion("xp-dyn-drv",')


@pytest.fixture(scope="module")
def hostile(farm: Farm) -> dict[str, dict[str, Any]]:
    missing = f'[("{farm.store.store_dir}/{"0" * 32}-no.drv",["out"])]'
    (farm.state / "invalid-input").write_text(derivation_text(farm, inputs=missing))
    (farm.state / "impure").write_text(derivation_text(farm).replace('"r:sha256",""', '"r:sha256","impure"'))
    (farm.state / "unnameable").write_text(derivation_text(farm).replace('[("out","","r', '[("out/","","r'))
    jobs = f"""{{
      malformed = wrap "on-malformed" [ (of (text "malformed" "echo garbage > $out")) ];
      directory = wrap "on-directory" [ (of (text "directory" "mkdir $out")) ];
      misnamed = wrap "on-misnamed" [ (of (floating "misnamed" "echo garbage > $out" {{ }})) ];
      invalid-input = wrap "on-invalid-input" [ (of (text "invalid-input" "cp {farm.state}/invalid-input $out")) ];
      unnameable = wrap "on-unnameable" [ (of (text "unnameable" "cp {farm.state}/unnameable $out")) ];
      impure = wrap "on-impure" [ (of (text "impure" "cp {farm.state}/impure $out")) ];
      harmless = floating "harmless" "echo > $out" {{ }};
    }}"""
    builds = run(farm, "hostile", jobs)
    assert builds.pop("harmless")["status"] == 0
    return builds


@pytest.mark.parametrize("name", HOSTILE)
def test_arbitrary_content_in_place_of_a_derivation_fails_with_a_reason(
    farm: Farm, hostile: dict[str, dict[str, Any]], name: str
) -> None:
    status, reason = HOSTILE[name]
    assert hostile[name]["status"] == status
    assert re.search(reason, message(farm, hostile[name]))


def test_written_derivations_that_need_themselves_fail_with_a_reason(farm: Farm) -> None:
    file = write(farm, "circles", f"""rec {{
      itself = text "itself" "cp {farm.state}/itself $out";
      one = text "one" "cp {farm.state}/one $out";
      two = text "two" "cp {farm.state}/two $out";
      on-itself = wrap "on-itself" [ (of itself) ];
      on-circle = wrap "on-circle" [ (of one) ];
    }}""")  # fmt: skip
    drvs = {name: farm.nix("nix-instantiate", file, "-A", name) for name in ("itself", "one", "two")}
    (farm.state / "itself").write_text(needs_what_it_makes(farm, drvs["itself"]))
    (farm.state / "one").write_text(needs_what_it_makes(farm, drvs["two"]))
    (farm.state / "two").write_text(needs_what_it_makes(farm, drvs["one"]))
    builds = farm.run(file, "-A", "on-itself", "-A", "on-circle")
    assert_sound(farm)
    assert [build["status"] for build in builds.values()] == [2, 2]
    assert "the very derivation that needs it" in message(farm, builds["on-itself"])
    assert message(farm, builds["on-circle"]) == "it needs itself"


def input_of(farm: Farm, number: int = 0) -> str:
    """Return the full path of a missing derivation."""
    return f"{farm.store.store_dir}/{number:032d}-input.drv"


def test_a_written_derivation_of_megabytes_fails_and_other_builds_go_on(farm: Farm) -> None:
    inputs = ",".join(f'("{input_of(farm, n)}",["out"])' for n in range(100_000))
    (farm.state / "wide").write_text(derivation_text(farm, inputs=f"[{inputs}]"))
    names = ",".join(f'"o{n}"' for n in range(60_000))
    (farm.state / "named").write_text(derivation_text(farm, inputs=f'[("{input_of(farm)}",[{names}])]'))
    (farm.state / "long").write_text(derivation_text(farm, args=f'["{"x" * 20_000_000}"]'))
    jobs = f"""{{
      named = wrap "on-named" [ (of (text "named" "cp {farm.state}/named $out")) ];
      wide = wrap "on-wide" [ (of (text "wide" "cp {farm.state}/wide $out")) ];
      long = wrap "on-long" [ (of (text "long" "cp {farm.state}/long $out")) ];
      harmless = floating "harmless-megabytes" "echo > $out" {{ }};
    }}"""
    builds = farm.run(write(farm, "megabytes", jobs))
    assert_sound(farm)
    assert {job: build["status"] for job, build in builds.items()} == {"wide": 2, "named": 2, "long": 2, "harmless": 0}
    for job in ("wide", "named"):
        assert "it needs more than 50000 outputs of its inputs" in message(farm, builds[job])
    assert "failed with exit code" in message(farm, builds["long"])


def test_a_lost_written_derivation_is_written_again(farm: Farm) -> None:
    (farm.state / "lost").write_text(derivation_text(farm, args='["-c","echo lost > $out"]'))
    file = write(farm, "lost", f"""{{ lost = wrap "on-lost" [ (of (text "lost" "cp {farm.state}/lost $out")) ]; }}""")
    build = int(farm.command("enqueue", file).stdout)
    for verb in ("load", "build"):
        farm.command("worker", "--drain", "--verb", verb)
    (row,) = farm.rows(
        "select o.path from resolver.output o join resolver.derivation d using (derivation) where d.name = 'lost.drv'"
    )
    with closing(sqlite3.connect(farm.store.directory / "var" / "db" / "db.sqlite")) as database, database:
        database.execute("pragma foreign_keys = on")
        database.execute("delete from ValidPaths where path = ?", [str(farm.store.store_dir / row["path"])])
    (farm.store.store_dir / row["path"]).unlink()
    farm.command("worker", "--drain")
    assert_sound(farm)
    assert farm.steps(build) == [
        (0, 0, "lost.drv"), (0, 0, "lost.drv"), (0, 0, "lost"), (0, 13, "on-lost"), (0, 0, "on-lost"),
    ]  # fmt: skip
    assert farm.rows("select buildStatus from Builds where id = %s", build) == [{"buildstatus": 0}]


def test_a_producer_writes_a_diamond_with_recursive_nix(farm: Farm) -> None:
    diamond = write(farm, "diamond-inner", """let
      node = name: inputs: floating name "cat /dev/null $inputs > $out; echo ${name} >> $out" { inherit inputs; };
      bottom = node "bottom" [ ];
      left = node "left" [ bottom ];
      right = node "right" [ bottom ];
      middle = node "middle" [ left right ];
    in node "top" [ middle ]""")  # fmt: skip
    variables = farm.store.environment() | {"PATH": os.environ["PATH"], "HOME": str(farm.state)}
    attributes = " ".join(f'{name} = "{value}";' for name, value in variables.items() if name != "NIX_REMOTE")
    build = run(farm, "diamond", f"""{{ diamond = wrap "on-diamond" [ (of (floating "top.drv"
      "cp $(nix-instantiate {diamond}) $out"
      {{ outputHashMode = "text"; requiredSystemFeatures = [ "recursive-nix" ]; {attributes} }})) ];
    }}""")["diamond"]  # fmt: skip
    assert content(farm, build) == "bottom\nleft\nbottom\nright\nmiddle\ntop\n"
    assert len(steps(build)) == 12
    assert steps(build)[0] == ("top.drv", 0)
    assert sorted(steps(build)[1:]) == sorted(
        [
            ("bottom", 0),
            *((name, status) for name in ("left", "right", "middle", "top", "on-diamond") for status in (13, 0)),
        ]
    )


def test_what_if_follows_chains(farm: Farm) -> None:
    run(farm, "thought", """{
      wrapper = wrap "on-thought" [ (of (write (floating "thought" "echo thought > $out" { }))) ];
    }""")  # fmt: skip
    drvs = {row["name"]: row["drv"] for row in farm.rows("select name, drv from resolver.derivation")}
    told = farm.command("what-if", f"{drvs['thought']}^out={'0' * 32}-thought").stdout
    assert re.search(r"^built +\w{7}-on-thought\.drv to ", told, re.MULTILINE)
    told = farm.command("what-if", f"{drvs['thought.drv']}^out={'0' * 32}-thought.drv").stdout
    assert re.search(r"^unknown +\w{7}-on-thought\.drv: the resolved derivation is not known", told, re.MULTILINE)


def test_output_paths_that_ignore_dynamic_inputs_are_refused_at_load() -> None:
    stale = derivation(InputAddressed(LIB_OUT), inputs={LIB: InputNode((), {"out": InputNode(("out",))})})
    with pytest.raises(StaleOutputPath, match="its inputs are not known before others are built"):
        describe(DRV, stale)
