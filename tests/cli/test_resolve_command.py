"""`resolve` prints Nix's resolution of a derivation: its path, its whole JSON, or the changes."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ..nix.conftest import nixes, programs_or_skip
from ..support.resolving import Cases, build_cases
from ..support.waiting import PATIENCE

RESOLVED = ["floating-one", "by-builder", "deferred", "fixed", "structured", "on-static", "dynamic"]
AS_THEY_ARE = ["leaf", "equals", "static", "static-on-static"]


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Cases:
    return build_cases(tmp_path_factory.mktemp("resolve"))


@pytest.fixture
def name(cases: Cases, request: pytest.FixtureRequest) -> str:
    if request.param not in cases.drvs:
        pytest.skip("this Nix has no dynamic derivations")
    return str(request.param)


def show(cases: Cases, path: str) -> str:
    return cases.farm.nix("nix", "derivation", "show", path)


@pytest.mark.parametrize("name", RESOLVED, indirect=True)
def test_resolve_prints_the_path_that_nix_resolves_to(cases: Cases, name: str) -> None:
    assert cases.resolve(cases.drvs[name]).stdout == cases.resolved[name] + "\n"


@pytest.mark.parametrize("name", RESOLVED, indirect=True)
def test_resolve_json_prints_what_nix_shows_for_the_resolved_derivation(cases: Cases, name: str) -> None:
    printed = cases.resolve(cases.drvs[name], "--json", "--write").stdout
    shown = show(cases, cases.resolved[name])
    assert json.loads(printed) == json.loads(shown)
    assert printed.count("\n") == 1
    if "\n" not in shown:  # old versions always indent
        assert printed == shown + "\n"


def test_resolve_works_with_the_oldest_nix_and_its_form_of_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    oldest = min(nixes(()), key=lambda nix: nix.number)
    monkeypatch.setenv("PATH", f"{programs_or_skip(oldest)}:{os.environ['PATH']}")
    cases = build_cases(tmp_path)
    assert cases.resolved.keys() >= {"floating-one", "deferred", "fixed", "structured"}
    for name, resolved in cases.resolved.items():
        printed = cases.resolve(cases.drvs[name], "--json", "--write").stdout
        assert json.loads(printed) == json.loads(show(cases, resolved))
        assert json.loads(printed).keys() == {resolved}  # later versions use base names
        assert cases.resolve(cases.drvs[name]).stdout == f"{resolved}\n"


@pytest.mark.parametrize("name", AS_THEY_ARE, indirect=True)
def test_a_derivation_that_nix_builds_unresolved_resolves_to_itself(cases: Cases, name: str) -> None:
    drv = cases.drvs[name]
    assert cases.resolve(drv).stdout == drv + "\n"
    assert cases.resolve(drv, "--write").stdout == drv + "\n"
    assert json.loads(cases.resolve(drv, "--json").stdout) == json.loads(show(cases, drv))
    reason = "Nix builds it as it is" if name == "static-on-static" else "it is resolved already"
    assert cases.resolve(drv, "--diff").stdout == f"{drv}: {reason}\n"


def test_resolving_the_resolved_derivation_changes_nothing(cases: Cases) -> None:
    once = cases.resolve(cases.drvs["deferred"], "--write").stdout
    assert cases.resolve(once.strip()).stdout == once


def test_resolve_write_writes_a_buildable_derivation_and_prints_its_path(cases: Cases) -> None:
    # The path differs from the real one, so Nix cannot have written the derivation.
    leaf, equals = cases.drvs["leaf"], cases.outputs["equals.out"]
    words = (cases.drvs["deferred"], "--realisation", f"{leaf}^out={equals}")
    path = cases.resolve(*words).stdout.strip()
    assert not Path(path).exists()
    assert cases.resolve(*words, "--write").stdout.strip() == path
    outputs = cases.farm.nix("nix-store", "--realise", path).split()
    assert {Path(output).read_text() for output in outputs} == {f"{equals}\n"}
    assert cases.resolve(*words, "--write").stdout.strip() == path


def test_a_given_realisation_has_priority_over_the_record(cases: Cases) -> None:
    leaf, drv = cases.drvs["leaf"], cases.drvs["deferred"]
    base_name = Path(leaf).name
    given = f"{leaf}^out={cases.outputs['equals.out']}"
    assert cases.resolve(drv, "--realisation", given).stdout != cases.resolve(drv).stdout
    for path in (cases.outputs["leaf.out"], Path(cases.outputs["leaf.out"]).name):
        for input_drv in (leaf, base_name):
            words = ("--realisation", f"{input_drv}^out={path}")
            assert cases.resolve(Path(drv).name, *words).stdout.strip() == cases.resolved["deferred"]


@pytest.mark.parametrize("name", ["dynamic"], indirect=True)
def test_realisations_can_be_given_for_outputs_of_outputs_and_for_links_of_chains(cases: Cases, name: str) -> None:
    producer, expected = cases.drvs["producer"], cases.resolved[name]
    given = f"{producer}^out^out={cases.outputs['leaf.out']}"
    assert cases.resolve(cases.drvs[name], "--realisation", given).stdout.strip() == expected
    link = f"{producer}^out={cases.drvs['leaf']}"
    assert cases.resolve(cases.drvs[name], "--realisation", link).stdout.strip() == expected
    other = f"{producer}^out={cases.drvs['equals']}"
    diff = cases.resolve(cases.drvs[name], "--realisation", other, "--diff").stdout
    assert f"  {producer}\n    out^out: {cases.outputs['equals.out']}\n" in diff


def test_resolve_diff_shows_every_change_and_its_place(cases: Cases) -> None:
    inputs = {
        cases.drvs["leaf"]: [f"    dev: {cases.outputs['leaf.dev']}", f"    out: {cases.outputs['leaf.out']}"],
        cases.drvs["equals"]: [f"    out: {cases.outputs['equals.out']}"],
    }
    out, dev, other = (cases.outputs[name] for name in ("leaf.out", "leaf.dev", "equals.out"))
    drv, resolved = cases.drvs["floating-one"], cases.resolved["floating-one"]
    (environment_name,) = re.findall(r'"(name-/\w{52})"', show(cases, drv))
    diff = cases.resolve(drv, "--diff", "--write").stdout
    assert diff.splitlines() == [
        f"{drv} resolves to {resolved}",
        "2 inputs gone",
        *[line for path, lines in sorted(inputs.items()) for line in [f"  {path}", *lines]],
        "3 sources added",
        *[f"  {path}" for path in sorted([out, dev, other])],
        "placeholders replaced",
        f"  argument 2: {out}",
        f"  argument 2: {dev}",
        f"  argument 2: {other}",
        f"  env control: {out}",
        f"  name of env {environment_name}: {other}",
        f"  env twice: {out} (2 times)",
        f"  env twice: {other}",
    ]


def test_resolve_diff_of_a_deferred_derivation_shows_its_output_paths(cases: Cases) -> None:
    diff = cases.resolve(cases.drvs["deferred"], "--diff").stdout
    doc, out = cases.outputs["deferred.doc"], cases.outputs["deferred.out"]
    assert diff.endswith(f"output paths filled in\n  doc: {doc}\n  out: {out}\n")


def test_resolve_diff_has_colours_on_a_terminal_and_the_same_lines(cases: Cases) -> None:
    words = (cases.drvs["floating-one"], "--diff")
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "hydra_resolver", "resolve", "--state", cases.farm.state, *words]
    environment = {**os.environ, "TERM": "xterm"}
    environment.pop("NO_COLOR", None)
    process = subprocess.Popen(command, stdout=theirs, env=environment)
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # the end of a terminal is an error
        while part := os.read(ours, 1 << 16):
            shown += part
    os.close(ours)
    assert process.wait(PATIENCE) == 0
    assert b"\x1b[31m" in shown
    plain = re.sub(r"\x1b\[[0-9;]*m", "", shown.decode()).replace("\r\n", "\n")
    assert plain == cases.resolve(*words).stdout


@pytest.mark.parametrize("name", RESOLVED, indirect=True)
def test_the_example_in_the_library_docs_resolves_as_nix_does(cases: Cases, name: str) -> None:
    document = Path(__file__).parents[2] / "docs" / "nix-library.md"
    (example,) = re.findall(r"^```python\n(.*?)^```$", document.read_text(), re.MULTILINE | re.DOTALL)
    assert cases.farm.nix(sys.executable, "-c", example, cases.drvs[name]) == cases.resolved[name]
