"""The meaning of Nix's failures for the database, for results of real builds and for those that are hard to provoke."""

from __future__ import annotations

from pathlib import Path

import pytest

from hydra_resolver.embedded.store import EmbeddedStore
from hydra_resolver.nix.build_result import BuildResult, BuildStatus
from hydra_resolver.nix.derivation import Kind
from hydra_resolver.nix.errors import ConnectionLost, NixError, ProtocolError
from hydra_resolver.step_status import (
    MESSAGE_LIMIT,
    HydraStatus,
    StepFailure,
    failure_of,
    failure_of_error,
    failure_of_refusal,
)

from ..support.building import Builder

FIXED = '{ outputHashMode = "flat"; outputHash = builtins.hashString "sha256" "promised"; __contentAddressed = false; }'
DRV = "/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-thing.drv"


@pytest.fixture
def builder(nix_store: EmbeddedStore, tmp_path: Path) -> Builder:
    return Builder(nix_store, tmp_path)


def failure(
    builder: Builder, script: str, attributes: str = "{ }", *, timeout: int = 60, silent: int = 60
) -> StepFailure:
    """Build a derivation that must fail with a real Nix; return the failure."""
    drv = builder.instantiate(script, attributes)
    kind = builder.store.read_derivation(drv).kind
    try:
        result = builder.build(drv, timeout=timeout, max_silent_time=silent)
    except NixError as error:
        return failure_of_error(error, kind=kind)
    return failure_of(result, kind=kind)


def test_the_failure_of_a_builder_is_cached_and_its_lines_stay_in_the_log(builder: Builder) -> None:
    found = failure(builder, "echo noise; echo 'note: lack of free disk space'; exit 3")
    assert (found.status, found.failure_class) == (HydraStatus.FAILED, "builder")
    assert "builder failed with exit code 3" in found.message
    assert "noise" not in found.message
    assert "disk space" not in found.message
    assert "nix log" not in found.message


def test_the_failure_of_a_killed_builder_is_cached(builder: Builder) -> None:
    found = failure(builder, "kill -9 $$")
    assert (found.status, found.failure_class) == (HydraStatus.FAILED, "builder")
    assert "signal 9" in found.message


@pytest.mark.parametrize(
    ("script", "attributes"),
    [
        (":", "{ }"),
        ("echo $out > $out", "{ allowedReferences = [ ]; }"),
        ("exit 1", "{ __contentAddressed = false; }"),
        ("echo junk > $out", '{ name = "thing.drv"; outputHashMode = "text"; }'),
    ],
)
def test_the_failure_of_an_output_that_nix_rejects_is_cached(builder: Builder, script: str, attributes: str) -> None:
    found = failure(builder, script, attributes)
    assert (found.status, found.failure_class) == (HydraStatus.FAILED, "builder")


@pytest.mark.parametrize("script", ["echo other > $out", "echo 'lack of free disk space'; exit 2", "kill -9 $$", ":"])
def test_the_failure_of_a_fixed_output_is_neither_cached_nor_retried(builder: Builder, script: str) -> None:
    found = failure(builder, script, FIXED)
    assert (found.status, found.failure_class) == (HydraStatus.FAILED, "unsupported")


def test_the_message_of_a_hash_mismatch_has_both_hashes(builder: Builder) -> None:
    assert "specified: sha256-" in failure(builder, "echo other > $out", FIXED).message


@pytest.mark.parametrize(
    ("script", "timeout", "silent"), [("while :; do :; done", 60, 1), ("while echo; do sleep 0.1; done", 2, 60)]
)
def test_both_time_limits_end_a_build_with_a_timeout(builder: Builder, script: str, timeout: int, silent: int) -> None:
    found = failure(builder, script, timeout=timeout, silent=silent)
    assert (found.status, found.failure_class) == (HydraStatus.TIMED_OUT, "timeout")
    assert "timed out" in found.message


@pytest.mark.parametrize("attributes", ['{ requiredSystemFeatures = [ "weird" ]; }', '{ system = "pdp11-unix"; }'])
def test_a_derivation_that_no_machine_here_can_build_is_unsupported(builder: Builder, attributes: str) -> None:
    found = failure(builder, "echo > $out", attributes)
    assert (found.status, found.failure_class) == (HydraStatus.UNSUPPORTED, "unsupported")


def test_the_build_of_a_missing_derivation_is_retried(builder: Builder) -> None:
    try:
        found = failure_of(builder.build(DRV.rpartition("/")[2]), kind=Kind.FLOATING)
    except NixError as error:
        found = failure_of_error(error, kind=Kind.FLOATING)
    assert (found.status, found.failure_class) == (HydraStatus.ABORTED, "transient")


@pytest.mark.parametrize(
    ("status", "kind", "error", "expected", "failure_class"),
    [
        (BuildStatus.NOT_DETERMINISTIC, Kind.FLOATING, "", HydraStatus.NOT_DETERMINISTIC, "builder"),
        (BuildStatus.NOT_DETERMINISTIC, Kind.FIXED, "", HydraStatus.NOT_DETERMINISTIC, "unsupported"),
        (BuildStatus.PERMANENT_FAILURE, Kind.DEFERRED, "", HydraStatus.FAILED, "builder"),
        (BuildStatus.CACHED_FAILURE, Kind.FLOATING, "", HydraStatus.FAILED, "unsupported"),
        (BuildStatus.LOG_LIMIT_EXCEEDED, Kind.FLOATING, "", HydraStatus.LOG_LIMIT_EXCEEDED, "timeout"),
        (BuildStatus.INPUT_REJECTED, Kind.FLOATING, "nonsense", HydraStatus.FAILED, "unsupported"),
        (BuildStatus.TRANSIENT_FAILURE, Kind.FLOATING, "exit code 1", HydraStatus.ABORTED, "transient"),
        (BuildStatus.TRANSIENT_FAILURE, Kind.FIXED, "exit code 1", HydraStatus.FAILED, "unsupported"),
        (
            BuildStatus.TRANSIENT_FAILURE,
            Kind.FIXED,
            "Reason: builder failed.\nLast 1 log lines:\n> x\nnote: build failure may have been caused by lack of free "
            "disk space",
            HydraStatus.ABORTED,
            "transient",
        ),
        (BuildStatus.MISC_FAILURE, Kind.FLOATING, "something", HydraStatus.ABORTED, "transient"),
        (BuildStatus.MISC_FAILURE, Kind.FLOATING, f"error parsing derivation '{DRV}'", HydraStatus.FAILED, "builder"),
        (BuildStatus.DEPENDENCY_FAILED, Kind.FLOATING, "", HydraStatus.ABORTED, "transient"),
        (BuildStatus.NO_SUBSTITUTERS, Kind.FLOATING, "", HydraStatus.ABORTED, "transient"),
        (BuildStatus.UNKNOWN, Kind.FLOATING, "(Nix's build status 77)", HydraStatus.ABORTED, "transient"),
    ],
)
def test_each_build_status_of_nix_has_its_status_and_failure_class(
    status: BuildStatus, kind: Kind, error: str, expected: HydraStatus, failure_class: str
) -> None:
    found = failure_of(BuildResult(status, error), kind=kind)
    assert (found.status, found.failure_class) == (expected, failure_class)
    assert found.message


@pytest.mark.parametrize("status", [status for status in BuildStatus if not status.succeeded])
@pytest.mark.parametrize("kind", list(Kind))
def test_no_failure_of_a_fixed_output_is_cached_and_each_failure_has_a_message(status: BuildStatus, kind: Kind) -> None:
    found = failure_of(BuildResult(status, ""), kind=kind)
    assert found.message
    assert kind is not Kind.FIXED or found.failure_class != "builder"


@pytest.mark.parametrize("status", [status for status in BuildStatus if status.succeeded])
def test_a_success_is_not_a_failure(status: BuildStatus) -> None:
    with pytest.raises(ValueError, match=status.name):
        failure_of(BuildResult(status, ""), kind=Kind.FLOATING)


@pytest.mark.parametrize(
    ("message", "status", "failure_class"),
    [
        (
            "a 'x86_64-linux' with features {weird} is required to build '/nix/store/x.drv', but I am a "
            "'x86_64-linux' with features {kvm}",
            HydraStatus.UNSUPPORTED,
            "unsupported",
        ),
        (f"error parsing derivation '{DRV}': expected string 'D'", HydraStatus.FAILED, "builder"),
        ("writing to file: No space left on device", HydraStatus.ABORTED, "transient"),
        (f"path '{DRV}' is not valid", HydraStatus.ABORTED, "transient"),
    ],
)
def test_errors_of_the_build_call_are_classified_by_their_words(
    message: str, status: HydraStatus, failure_class: str
) -> None:
    found = failure_of_error(NixError(0, message), kind=Kind.FLOATING)
    assert found == StepFailure(status, "builder" if failure_class == "builder" else found.failure_class, message)
    assert found.failure_class == failure_class


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("writing to file: No space left on device", (HydraStatus.ABORTED, "transient")),
        ("derivation has incorrect output", (HydraStatus.FAILED, "unsupported")),
    ],
)
def test_a_refusal_for_lack_of_disk_space_is_transient(message: str, expected: tuple[HydraStatus, str]) -> None:
    found = failure_of_refusal(NixError(0, message), "Nix refuses it")
    assert (found.status, found.failure_class) == expected
    assert found.message == f"Nix refuses it: {message}"


def test_a_parse_error_of_a_fixed_output_is_not_cached() -> None:
    found = failure_of_error(NixError(0, "error parsing derivation 'x'"), kind=Kind.FIXED)
    assert (found.status, found.failure_class) == (HydraStatus.FAILED, "unsupported")


@pytest.mark.parametrize("error", [ConnectionLost("gone: platform mismatch"), ProtocolError("")])
def test_a_build_is_retried_after_the_end_of_its_connection(error: ConnectionLost | ProtocolError) -> None:
    found = failure_of_error(error, kind=Kind.FLOATING)
    assert (found.status, found.failure_class) == (HydraStatus.ABORTED, "transient")
    assert found.message


@pytest.mark.parametrize(
    ("error", "message"),
    [
        ("error: error: bad\n  error: worse\nmore", "bad\nworse\nmore"),
        ("a\0b\x1bc\rd\te", "abcd\te"),
        ("\udcff", "?"),
        (
            f"builder for '{DRV}' failed;\nlast 2 log lines:\n> a\n> b\nFor full logs, run:\n\tnix log",
            f"builder for '{DRV}' failed",
        ),
        (
            "Reason: failed.\nLast 1 log lines:\n> For full logs, run:\nFor full logs, run:\n  nix log x\nnote: disk",
            "Reason: failed.\nnote: disk",
        ),
        ("x" * (MESSAGE_LIMIT - 1001) + "yy" + "z" * 1000, "x" * (MESSAGE_LIMIT - 1001) + "…" + "z" * 1000),
        ("x" * MESSAGE_LIMIT, "x" * MESSAGE_LIMIT),
    ],
)
def test_failure_messages_are_short_and_storable(error: str, message: str) -> None:
    assert failure_of(BuildResult(BuildStatus.MISC_FAILURE, error), kind=Kind.FLOATING).message == message
