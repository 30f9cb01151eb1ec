"""`resolve` reports invalid input in one sentence, with the remedy."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from hydra_resolver.nix.client import Text
from hydra_resolver.nix.store import Store

from ..support.resolving import Cases, build_cases

PLAIN = b'Derive([("out","","r:sha256","")],[],[],"x","/bin/sh",[],[])'


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Cases:
    return build_cases(tmp_path_factory.mktemp("resolve"))


def add(cases: Cases, name: str, text: bytes = PLAIN, references: Sequence[str] = ()) -> Path:
    """Add a .drv file with this text to the store."""
    store = Store(environment=cases.farm.store.child_environment())
    path = store.store_dir.text_path(f"{name}.drv", text, references)
    with store.connect() as client:
        client.add_text(Text(path, text, references))
    return store.real_path(path)


def overwritten(path: Path, text: bytes) -> Path:
    """Overwrite a file of the store."""
    path.chmod(0o644)
    path.write_bytes(text)
    return path


@pytest.mark.parametrize(
    "text", ["nonsense", "{leaf}=/x", "{leaf}^out", "{leaf}^={out}", "{leaf}^out^={out}", "^out={out}"]
)
def test_a_malformed_realisation_is_refused(cases: Cases, text: str) -> None:
    given = text.format(leaf=cases.drvs["leaf"], out=cases.outputs["leaf.out"])
    said = cases.refused(cases.drvs["deferred"], "--realisation", given)
    assert said == f"Error: --realisation {given} is malformed. Write it as DRV^OUTPUT=PATH.\n"


@pytest.mark.parametrize("path", ["./result", "result", "", "../store/x"])
def test_a_realisation_without_a_store_path_is_refused(cases: Cases, path: str) -> None:
    for output in ("out", "out^out", "a=b"):
        given = f"{cases.drvs['leaf']}^{output}={path}"
        said = cases.refused(cases.drvs["deferred"], "--realisation", given)
        assert said == (
            f"Error: --realisation {given}: '{path}' is not a store path. Give the path that starts with"
            f" {cases.farm.store.store_dir}, or its base name; for a link, give the output of `realpath`.\n"
        )


@pytest.mark.parametrize("path", ["{out}", "./result"])
def test_a_realisation_with_an_exclamation_mark_is_refused_with_the_right_spelling(cases: Cases, path: str) -> None:
    leaf = cases.drvs["leaf"]
    path = path.format(out=cases.outputs["leaf.out"])
    said = cases.refused(cases.drvs["deferred"], "--realisation", f"{leaf}!out={path}")
    assert said == (
        f"Error: --realisation {leaf}!out={path}: an output is written with '^', not '!': {leaf}^out={path}\n"
    )


@pytest.mark.parametrize("text", ["{leaf}^out=/elsewhere/{name}", "/elsewhere/{drv}^out={out}", "{leaf}^out={out}!"])
def test_a_realisation_with_paths_of_another_store_is_refused(cases: Cases, text: str) -> None:
    leaf, out = cases.drvs["leaf"], cases.outputs["leaf.out"]
    given = text.format(leaf=leaf, out=out, drv=Path(leaf).name, name=Path(out).name)
    said = cases.refused(cases.drvs["deferred"], "--realisation", given)
    assert re.search("is not in the store directory '.*/nix/store'|is not the base name of a store path", said)
    assert said.endswith("Give paths of this store.\n")


def test_a_realisation_of_an_output_that_is_no_input_causes_a_warning(cases: Cases) -> None:
    drv, leaf, out = cases.drvs["deferred"], cases.drvs["leaf"], cases.outputs["leaf.out"]
    for output in (f"{leaf}^dev", f"{leaf}^out^out", f"{cases.drvs['equals']}^out"):
        done = cases.resolve(drv, "--realisation", f"{output}={out}", warns=True)
        assert done.stdout.strip() == cases.resolved["deferred"]
        assert (
            f"'{Path(drv).name}' does not need this output. The derivation needs '{Path(leaf).name}^out'.\n"
            in done.stderr
        )
    done = cases.resolve(leaf, "--realisation", f"{drv}^out={out}", warns=True)
    assert "does not need this output. The derivation needs no outputs.\n" in done.stderr


def test_a_warning_lists_ten_of_many_inputs(cases: Cases) -> None:
    file = cases.farm.state / "many.nix"
    inputs = 'builtins.genList (n: floating "input-${toString n}" "" { }) 12'
    file.write_text(cases.farm.write("many.nix", f'floating "many" "" {{ inputs = {inputs}; }}').read_text())
    drv = cases.farm.nix("nix-instantiate", file)
    said = cases.resolve(drv, "--realisation", f"{cases.drvs['leaf']}^out={cases.outputs['leaf.out']}", status=1).stderr
    said = said.splitlines()[0]
    assert said.count(".drv^out'") == 10
    assert said.endswith(" and 2 more.")


def test_two_paths_for_one_output_are_refused(cases: Cases) -> None:
    leaf, out, other = cases.drvs["leaf"], cases.outputs["leaf.out"], cases.outputs["equals.out"]
    same, base_name = f"{leaf}^out={out}", f"{Path(leaf).name}^out={Path(out).name}"
    words = (cases.drvs["deferred"], "--realisation", same, "--realisation", base_name)
    assert cases.resolve(*words).stdout.strip() == cases.resolved["deferred"]
    said = cases.refused(*words, "--realisation", f"{leaf}^out={other}")
    assert f"two paths, '{Path(out).name}' and '{Path(other).name}': choose one of them.\n" in said


@pytest.mark.parametrize(
    ("drv", "reason"),
    [
        ("nonsense", "is not the base name of a store path"),
        ("/elsewhere/{name}", "is not in the store directory"),
        ("{drv}!out", "is not the base name of a store path"),
        ("{store}/00000000000000000000000000000000-x.drv", "is not in the store"),
        ("{out}", "is not a derivation: its name does not end in '.drv'"),
    ],
)
def test_a_path_that_is_not_a_derivation_of_this_store_is_refused(cases: Cases, drv: str, reason: str) -> None:
    good, store = cases.drvs["leaf"], cases.farm.store.store_dir
    said = cases.refused(drv.format(drv=good, name=Path(good).name, store=store, out=cases.outputs["leaf.out"]))
    assert reason in said
    assert said.endswith(f"Name a .drv file of {store}, or another store with --store.\n")


def test_a_drv_file_that_nix_does_not_know_is_refused(cases: Cases) -> None:
    path = cases.farm.store.store_dir / "00000000000000000000000000000000-unknown.drv"
    path.write_bytes(PLAIN)
    assert "is not in the store" in cases.refused(path)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "is malformed at byte 0: expected 'Derive('"),
        (PLAIN.replace(b'"x"', b"x"), "is malformed at byte 40: expected a string"),
        (PLAIN.replace(b"r:sha256", b"sha257"), "unknown hash algorithm 'sha257'"),
    ],
)
def test_a_malformed_derivation_is_refused_with_the_position(cases: Cases, text: bytes, reason: str) -> None:
    path = overwritten(add(cases, f"malformed-{len(text)}"), text)
    said = cases.refused(path)
    assert reason in said
    assert "Name a .drv file of" in said


def test_a_derivation_with_a_lost_file_is_refused(cases: Cases) -> None:
    path = add(cases, "lost")
    path.unlink()
    assert f"the file '{path}' is lost" in cases.refused(path)


def test_resolve_refuses_json_and_diff_together(cases: Cases) -> None:
    said = cases.refused(cases.drvs["deferred"], "--json", "--diff", "--write")
    assert said == "Error: --json and --diff exclude each other: choose one of them.\n"


def test_resolve_json_of_a_derivation_that_is_not_utf8_is_refused(cases: Cases) -> None:
    path = add(cases, "bytes", PLAIN.replace(b",[])", b',[("a","\xff")])'))
    said = cases.refused(path, "--json")
    assert "has no form in JSON: the value of 'a' is not UTF-8 at byte 0. Leave out --json." in said
    assert cases.resolve(path).stdout == f"{path}\n"


def test_writing_a_derivation_with_an_invalid_reference_is_refused(cases: Cases) -> None:
    given = f"{cases.drvs['leaf']}^out={'0' * 32}-none"
    assert cases.resolve(cases.drvs["deferred"], "--realisation", given).stdout
    said = cases.refused(cases.drvs["deferred"], "--realisation", given, "--write")
    assert "00-none' is not valid. Without --write, paths need not be in the store." in said


def test_missing_inputs_are_listed_one_per_line(cases: Cases) -> None:
    names = ["first", "second"]
    script = "echo lib > $lib; echo out > $out"
    inputs = " ".join(f'{name} = floating "{name}" "{script}" {{ outputs = [ "lib" "out" ]; }};' for name in names)
    file = cases.farm.write(
        "missing.nix", f'let {inputs} in floating "x" "${{first.lib}} ${{first.out}} ${{second}}" {{ }}'
    )
    drv = cases.farm.nix("nix-instantiate", file)
    leaf = f"{cases.drvs['leaf']}^out={cases.outputs['leaf.out']}"
    for words in ((), ("--write",), ("--json",), ("--diff",), ("--realisation", leaf)):
        done = cases.resolve(drv, *words, status=1)
        listed = [re.sub(r"^.*/[a-z0-9]{32}-", "", line) for line in done.stdout.splitlines()]
        assert sorted(listed) == ["first.drv^lib", "first.drv^out", "second.drv^lib"]
        *warnings, error = done.stderr.splitlines()
        assert error == f"Error: derivation '{Path(drv).name}' can't be resolved yet: 3 outputs must be built first"
        assert [f"--realisation {leaf} is not used" in line for line in warnings] == [True] * ("--realisation" in words)
    # The printed form is accepted by --realisation and by Nix.
    given = [word for line in done.stdout.split() for word in ("--realisation", f"{line}={cases.outputs['leaf.out']}")]
    assert cases.resolve(drv, *given).stdout
    cases.farm.nix("nix", "build", "--no-link", *done.stdout.split())
    assert cases.resolve(drv).stdout


def assert_refused_by_nix(cases: Cases, drv: str | Path, reason: str) -> None:
    done = cases.resolve(drv, "--write", status=1)
    assert done.stdout == ""
    assert done.stderr == f"Error: derivation '{Path(drv).name}' can't be resolved: {reason}\n"


def test_a_pure_derivation_with_an_impure_input_ends_with_status_1(cases: Cases) -> None:
    impure = 'floating "impure" "" { __impure = true; __contentAddressed = false; }'
    file = cases.farm.write("impure.nix", f'rec {{ low = {impure}; high = floating "high" "${{low}}" {{ }}; }}')
    low, high = cases.farm.nix("nix-instantiate", file, "-A", "low", "-A", "high").split()
    assert_refused_by_nix(cases, high, f"it depends on the impure derivation '{Path(low).name}'")


def test_a_deferred_output_without_a_variable_ends_with_status_1(cases: Cases) -> None:
    leaf = cases.drvs["leaf"]
    inputs = f'[("{leaf}",["out"])]'.encode()
    text = b'Derive([("out","","","")],' + inputs + b',[],"x","/bin/sh",[],[])'
    drv = add(cases, "no-variable", text, [Path(leaf).name])
    assert_refused_by_nix(cases, drv, "its environment has no entry for its output 'out'")


@pytest.mark.parametrize(
    ("outputs", "reason"),
    [
        (b'("lib","","r:sha256",""),("out","","","")', "mixes kinds of outputs: deferred, floating"),
        (b'("lib","","r:sha1",""),("out","","r:sha256","")', "must use one hash algorithm"),
        (b"", "has no output"),
    ],
)
@pytest.mark.parametrize("inputs", [b"", b'("{leaf}",["out"])'], ids=["without inputs", "with inputs"])
def test_incompatible_outputs_end_with_status_1(cases: Cases, outputs: bytes, reason: str, inputs: bytes) -> None:
    # Nix would not take this derivation into a store, so a file is overwritten.
    named = inputs.replace(b"{leaf}", cases.drvs["leaf"].encode())
    text = b'Derive([%b],[%b],[],"x","/bin/sh",[],[("lib",""),("out","")])' % (outputs, named)
    drv = overwritten(add(cases, "invalid"), text)
    done = cases.resolve(drv, "--write", status=1)
    assert done.stdout == ""
    assert done.stderr.startswith(f"Error: derivation '{drv.name}' can't be resolved: ")
    assert reason in done.stderr


def test_an_input_that_is_not_a_derivation_ends_with_status_1(cases: Cases) -> None:
    leaf = cases.drvs["leaf"]
    out = cases.outputs["leaf.out"]
    text = f'Derive([("out","","r:sha256","")],[("{leaf}",["dev"]),("{out}",["out"])],[],"x","/b",[],[])'
    drv = overwritten(add(cases, "no-derivation"), text.encode())
    assert_refused_by_nix(
        cases, drv, f"its input '{Path(out).name}' is not a derivation: its name does not end in '.drv'"
    )


def test_an_unreadable_input_is_refused_unless_its_outputs_are_given(cases: Cases) -> None:
    file = cases.farm.write("low.nix", 'rec { low = floating "low" "" { }; high = floating "high" "${low}" { }; }')
    low, high = cases.farm.nix("nix-instantiate", file, "-A", "low", "-A", "high").split()
    assert cases.resolve(high, status=1).stdout == f"{low}^out\n"
    overwritten(Path(low), b"nonsense")
    said = cases.refused(high)
    assert said.startswith(f"Error: Nix can't tell the outputs of '{low}': ")
    assert said.endswith(". Give them with --realisation.\n")
    assert cases.resolve(high, "--realisation", f"{low}^out={cases.outputs['leaf.out']}").stdout
