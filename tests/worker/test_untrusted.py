"""Builds on a store that is not trusted, with a real Nix: copies of derivations and their results."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from unittest import mock

import pytest

from hydra_resolver.database.procedures import Claim
from hydra_resolver.embedded.store import EmbeddedStore
from hydra_resolver.nix.roots import RootDirectory
from hydra_resolver.verbs import untrusted
from hydra_resolver.verbs.build import Outcome, build
from hydra_resolver.verbs.context import Context

from ..support.building import Builder


class Attempt:
    """Builds derivations as a worker does on a store that others use as well."""

    def __init__(self, nix_store: EmbeddedStore, directory: Path) -> None:
        self.builder = Builder(nix_store, directory)
        self.context = Context(self.builder.store, RootDirectory(directory / "roots"), directory / "logs", False)

    def build(self, drv: str, known: dict[str, str] | None = None) -> Outcome:
        claim = Claim(1, drv, 1, 1, False, [], known or {}, 0, 0)
        with self.builder.store.connect() as client:
            return build(self.context, client, claim, lambda _: 0)

    def build_copy_before(self, drv: str) -> None:
        """Build a worker's copy in advance, as another user could who guessed its text."""
        with self.builder.store.connect() as client:
            derivation = self.builder.store.read_derivation(drv, client)
            assert client.build(untrusted.add_copy(self.context, client, derivation)).succeeded


def forget_all_but(nix_store: EmbeddedStore, output: str, instead: str | None = None) -> None:
    """Delete Nix's record of all outputs but one; give that one another path if `instead` is set, as a forger could."""
    with closing(sqlite3.connect(nix_store.directory / "var" / "db" / "db.sqlite")) as database, database:
        database.execute("delete from Realisations where outputName <> ?", [output])
        if instead is not None:
            database.execute(
                "update Realisations set outputPath = (select id from ValidPaths where path like ?)"
                " where id = (select max(id) from Realisations)",
                [f"%/{instead}"],
            )


@pytest.fixture
def attempt(nix_store: EmbeddedStore, tmp_path: Path) -> Attempt:
    return Attempt(nix_store, tmp_path)


def test_a_copy_has_the_same_outputs_and_logs_for_the_derivation(attempt: Attempt) -> None:
    drv = attempt.builder.instantiate(
        "echo said; mkdir $out $dev; echo $dev > $out/dev", '{ outputs = [ "out" "dev" ]; }'
    )
    outputs = dict(attempt.builder.build(drv).built_outputs)
    report = attempt.build(drv).report
    assert report is not None
    assert (report["outputs"], report["already_valid"]) == (outputs, False)
    assert report["log"] == str(attempt.context.logs / drv[:2] / drv[2:])
    assert Path(report["log"]).read_text() == "said\n"


TWO = "echo said; mkdir $out $dev; echo real > $out/real; echo $out > $dev/dev"


def test_a_forged_realisation_of_one_of_several_outputs_is_not_served(
    attempt: Attempt, nix_store: EmbeddedStore
) -> None:
    drv = attempt.builder.instantiate(TWO, '{ outputs = [ "out" "dev" ]; }')
    forged = attempt.builder.outputs("mkdir $out; echo forged > $out/real")["out"]
    ours = dict(attempt.builder.build(drv).built_outputs)
    forget_all_but(nix_store, "out", forged)
    report = attempt.build(drv).report
    assert report is not None
    assert report["outputs"] == ours
    assert Path(report["log"]).read_text() == "said\n"


def test_one_of_several_outputs_that_is_in_our_trace_is_not_built_again(
    attempt: Attempt, nix_store: EmbeddedStore
) -> None:
    drv = attempt.builder.instantiate(TWO, '{ outputs = [ "out" "dev" ]; }')
    ours = dict(attempt.builder.build(drv).built_outputs)
    forget_all_but(nix_store, "out")
    with mock.patch.object(untrusted.secrets, "token_bytes", side_effect=AssertionError("a copy was made")):
        report = attempt.build(drv, {"out": ours["out"]}).report
    assert report is not None
    assert report["outputs"] == ours


def test_the_failure_of_a_copy_is_a_failure_of_the_derivation(attempt: Attempt, tmp_path: Path) -> None:
    drv = attempt.builder.instantiate(f"test ! -e {tmp_path}/later && echo > $out")
    attempt.builder.build(drv)
    (tmp_path / "later").touch()
    report = attempt.build(drv).report
    assert report is not None
    assert (report["status"], report["class"]) == (1, "builder")


def test_outputs_of_a_copy_that_was_already_built_are_refused(attempt: Attempt) -> None:
    drv = attempt.builder.instantiate("echo > $out")
    attempt.builder.build(drv)
    with mock.patch.object(untrusted.secrets, "token_bytes", return_value=b"guessed"):
        attempt.build_copy_before(drv)
        report = attempt.build(drv).report
    assert report is not None
    assert (report["status"], report["class"], "outputs" in report) == (3, "transient", False)
    assert drv in report["message"]
    assert "trust_store" in report["message"]


def test_a_realisation_of_a_fixed_output_is_trusted(attempt: Attempt) -> None:
    fixed = '{ outputHashMode = "flat"; outputHash = builtins.hashString "sha256" "x"; __contentAddressed = false; }'
    drv = attempt.builder.instantiate("printf x > $out", fixed)
    attempt.builder.build(drv)
    report = attempt.build(drv).report
    assert report is not None
    assert report["already_valid"]
