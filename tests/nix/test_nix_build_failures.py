"""The meaning of failing builders, and of derivations that cannot be built, for the database, with each Nix."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hydra_resolver.nix.errors import NixError
from hydra_resolver.nix.store import Store
from hydra_resolver.step_status import MESSAGE_LIMIT, StepFailure, failure_of, failure_of_error

from ..support.building import Builder

FIXED = f'__contentAddressed = false; outputHashMode = "recursive"; outputHash = "sha256-{"A" * 43}=";'
DEP = 'dep = builtins.toFile "dep" "x";'
TWO = 'outputs = [ "out" "dev" ];'
CIRCLE = "mkdir $out $dev; echo $dev > $out/a; echo $out > $dev/a"
STRUCTURED = '__structuredAttrs = true; builder = "/bin/bash";'
DEEP = "mkdir $out; cd $out; i=0; while [ $i -lt 300 ]; do mkdir $name; cd $name; i=$((i+1)); done"


def failure(store: Store, directory: Path, script: str, attributes: str) -> StepFailure:
    """Attempt a derivation that must fail; return the failure as the database gets it."""
    builder = Builder(store, directory)
    drv = builder.instantiate(script, f"{{ {attributes} }}")
    kind = store.read_derivation(drv).kind
    try:
        result = builder.build(drv)
    except NixError as error:
        return failure_of_error(error, kind=kind)
    return failure_of(result, kind=kind)


@pytest.mark.parametrize(
    ("script", "attributes", "reason"),
    [
        ("mkfifo $out", "", "has an unsupported type"),
        ("mkfifo $out", "__contentAddressed = false;", "has an unsupported type"),
        (
            "mkdir -p $out/nix-support; mkfifo $out/nix-support/hydra-build-products", "",
            "hydra-build-products.* has an unsupported type: a FIFO, a socket or a device",
        ),
        ("mknod $out c 1 3", "", "has an unsupported type"),
        ("mkdir $out; mknod $out/disk b 7 0", "", "has an unsupported type"),
        ("echo $dep > $out", f'{DEP} outputHashMode = "flat";', "not allowed to refer to other store paths"),
        ("echo $out > $out", 'outputHashMode = "text";', "self-reference not allowed"),
        ("echo $dep > $out", f"{DEP} allowedReferences = [ ];", "is not allowed to refer to the following paths"),
        ("echo $dep > $out", f"{DEP} allowedRequisites = [ ];", "is not allowed to refer to the following paths"),
        ("echo $out > $out", "allowedReferences = [ ];", "is not allowed to refer to the following paths"),
        ("echo > $out", 'allowedReferences = [ "nonsense" ];', "nonsense"),
        (CIRCLE, TWO, "cycle detected"),
        (CIRCLE, f"{TWO} __contentAddressed = false;", "cycle detected"),
        (f"name={'x' * 200}; {DEEP}", "", "File name too long"),
        ("mkdir $out", 'outputHashMode = "flat";', "should be a non-executable regular file"),
        ("mkdir $out; chmod 777 $out", "", "suspicious ownership or permission"),
        (":", "", "failed to produce output path"),
        ("exit 3", "", "exit code 3"),
    ],
)  # fmt: skip
def test_an_error_of_the_builder_is_a_cached_failure(
    nix_store: Store, tmp_path: Path, script: str, attributes: str, reason: str
) -> None:
    found = failure(nix_store, tmp_path, script, attributes)
    assert (found.status, found.failure_class) == (1, "builder"), found
    assert_says(found, reason)


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo $dep > $out", "must not reference store paths|hash mismatch"),
        ("echo $out > $out", "must not reference store paths|hash mismatch"),
        ("mkfifo $out", "has an unsupported type"),
    ],
)
def test_an_error_of_the_builder_of_a_fixed_output_is_a_failure_that_is_not_cached(
    nix_store: Store, tmp_path: Path, script: str, reason: str
) -> None:
    found = failure(nix_store, tmp_path, script, FIXED + DEP)
    assert (found.status, found.failure_class) == (1, "unsupported"), found
    assert_says(found, reason)


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ('exportReferencesGraph = [ "a" ];', "odd number of tokens in 'exportReferencesGraph'"),
        ('exportReferencesGraph = [ "../a" (builtins.toFile "dep" "x") ];', "invalid file name '../a'"),
        ('exportReferencesGraph = [ "a" "/nothing" ];', "non-store path|is not in the Nix store"),
    ],
)
def test_a_derivation_with_malformed_attributes_fails_permanently(
    nix_store: Store, tmp_path: Path, attributes: str, reason: str
) -> None:
    found = failure(nix_store, tmp_path, "echo > $out", attributes)
    assert (found.status, found.failure_class) == (1, "unsupported"), found
    assert_says(found, reason)


@pytest.mark.since("2.31")
def test_a_derivation_with_malformed_output_checks_fails_permanently(nix_store: Store, tmp_path: Path) -> None:
    found = failure(nix_store, tmp_path, ". ./.attrs.sh; echo > ${outputs[out]}", f"{STRUCTURED} outputChecks.out = 3;")
    assert (found.status, found.failure_class) == (1, "unsupported"), found


def assert_says(found: StepFailure, reason: str) -> None:
    assert re.search(reason, found.message), found
    assert len(found.message) <= MESSAGE_LIMIT
