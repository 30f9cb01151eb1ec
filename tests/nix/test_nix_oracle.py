"""Compares our resolution of each derivation in oracle-*.nix with Nix's, path and bytes."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from hydra_resolver.nix.client import Text
from hydra_resolver.nix.derivation import Kind
from hydra_resolver.nix.resolvable import should_resolve
from hydra_resolver.nix.store import Store
from hydra_resolver.nix.store_path import HASH_LENGTH

from .conftest import Nix, make_store
from .oracle import Built, build, differences, instantiate, not_written, resolve_as_we_do

CASES = ["graphs", "kinds", "structured", "text"]


@dataclass(frozen=True)
class Outcome:
    """A store in which Nix built all cases of a file, the cases, and Nix's messages."""

    name: str
    store: Store
    drvs: set[str] = field(repr=False)
    built: Built = field(repr=False)


@pytest.fixture(scope="module", params=CASES)
def outcome(nix: Nix, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    assert nix.programs is not None
    store = make_store(tmp_path_factory.mktemp(request.param), nix.programs)
    drvs = instantiate(store, Path(__file__).with_name(f"oracle-{request.param}.nix"))
    return Outcome(request.param, store, drvs, build(store, drvs))


def test_resolved_derivations_have_the_paths_and_bytes_of_nix(outcome: Outcome) -> None:
    assert not outcome.built.errors, outcome.built.errors
    assert not list(differences(outcome.store, outcome.built.resolutions))
    assert not not_written(outcome.store, outcome.built.resolutions)


def test_our_resolved_derivations_have_the_outputs_that_nix_built(outcome: Outcome) -> None:
    store = outcome.store
    with store.connect() as client:
        for original in outcome.built.resolutions:
            resolved = resolve_as_we_do(store, client, original)
            client.add_text(Text(resolved.path, resolved.text, resolved.derivation.references))
            known = client.query_derivation_output_map(resolved.path)
            assert known == client.query_derivation_output_map(original)
            assert (None in known.values()) is (resolved.derivation.kind is Kind.IMPURE)


def test_nix_and_we_resolve_the_same_derivations(outcome: Outcome) -> None:
    store, resolutions = outcome.store, outcome.built.resolutions
    assert store.real_dir is not None
    everything = {file.name for file in store.real_dir.glob("*.drv") if file.is_file()}
    ours = {drv for drv in everything if should_resolve(store.read_derivation(drv), store.nix_version)}
    assert ours == resolutions.keys()
    kinds = {store.read_derivation(drv).kind for drv in resolutions}
    assert kinds == {Kind.FLOATING, Kind.DEFERRED, Kind.FIXED, Kind.IMPURE}


def test_derivations_whose_inputs_have_equal_outputs_resolve_to_one_derivation(outcome: Outcome) -> None:
    if outcome.name == "graphs":
        for name in ("on-same", "deferred-on-same"):
            same = [
                resolved for drv, resolved in outcome.built.resolutions.items() if drv[HASH_LENGTH:] == f"-{name}.drv"
            ]
            assert len(same) == 4
            assert len(set(same)) == 1


def test_the_cases_contain_bytes_that_are_not_utf8(outcome: Outcome) -> None:
    if outcome.name == "text":
        written = Path(__file__).with_name("not-utf8").read_bytes()
        resolved = [outcome.store.read_derivation(path) for path in outcome.built.resolutions.values()]
        assert sum(any(written in value for value in one.env.values()) for one in resolved) == 4
        assert any(written in argument for one in resolved for argument in one.args)
        assert any(name.startswith(written) for one in resolved for name in one.env)


def test_one_of_two_variables_stays_if_their_names_become_equal(outcome: Outcome) -> None:
    if outcome.name == "text":
        lost = {}
        for drv, path in outcome.built.resolutions.items():
            if drv[HASH_LENGTH:].startswith("-equal-names"):
                original, resolved = map(outcome.store.read_derivation, (drv, path))
                lost[original.kind] = len(original.env) - len(resolved.env)
        assert lost == dict.fromkeys((Kind.FLOATING, Kind.DEFERRED, Kind.FIXED, Kind.IMPURE), 2)
