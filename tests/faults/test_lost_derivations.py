"""A claimed derivation whose .drv was deleted: its claim is released, or its builds are aborted at once."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest

from hydra_resolver.database.procedures import Claim
from hydra_resolver.embedded.store import EmbeddedStore
from hydra_resolver.nix.roots import RootDirectory
from hydra_resolver.verbs.build import Outcome, build
from hydra_resolver.verbs.context import Context

from ..support.building import Builder


@pytest.fixture(params=["read before", "not read before"])
def lost(request: pytest.FixtureRequest, nix_store: EmbeddedStore, tmp_path: Path) -> tuple[Context, str]:
    """A derivation that was collected, with a context that may have read it before."""
    builder = Builder(nix_store, tmp_path)
    context = Context(builder.store, RootDirectory(tmp_path / "roots"), tmp_path / "logs", trust_store=False)
    drv = builder.instantiate("echo > $out")
    if request.param == "read before":
        with builder.store.connect() as client:
            context.derivations.get(drv, client)
    words = ["nix-store", "--delete", builder.store.full_path(drv)]
    subprocess.run(words, env=builder.store.env, check=True, capture_output=True)
    return context, drv


def attempt(lost: tuple[Context, str], known: int) -> tuple[Outcome, list[list[str]]]:
    """Build it while `known` of the withdrawn paths are known; return the outcome and the withdrawn paths."""
    context, drv = lost
    withdrawn: list[list[str]] = []

    def withdraw(paths: Iterable[str]) -> int:
        withdrawn.append(list(paths))
        return known

    claim = Claim(1, drv, 1, 1, True, {}, {}, 60, 60)
    with context.store.connect() as client:
        return build(context, client, claim, withdraw), withdrawn


def test_a_deleted_drv_that_another_derivation_writes_releases_the_claim(lost: tuple[Context, str]) -> None:
    outcome, withdrawn = attempt(lost, known=1)
    assert withdrawn == [[lost[1]]]
    assert outcome.report is None
    assert lost[1] in outcome.reason
    assert outcome.is_counted


def test_a_deleted_drv_that_no_derivation_writes_aborts_its_builds_with_the_remedy(lost: tuple[Context, str]) -> None:
    outcome, withdrawn = attempt(lost, known=0)
    assert withdrawn == [[lost[1]]]
    assert outcome.report is not None
    assert (outcome.report["class"], outcome.report["status"]) == ("unsupported", 3)
    assert outcome.report["message"] == (
        f"the .drv is not in the store any more: {lost[0].store.full_path(lost[1])}. Evaluate the jobset again, or put"
        " the file back, and restart the build"
    )
