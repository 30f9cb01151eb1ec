"""Events as lines of text."""

from __future__ import annotations

from typing import Any

import pytest

from hydra_resolver.cli.events import describe

A = "95vh440j33328xzayxlrmib8dhvmgnnh-count-of-words.drv"
B = "5qp2zl0bykx1x5amrp0jxj8axhymwl9v-count-of-words.drv"
REASON = f"Cannot build '/nix/store/{A}'.\nReason: builder failed with exit code 1."


@pytest.mark.parametrize(
    ("kind", "details", "words"),
    [
        ("loaded", {"drv": A, "outcome": "done"}, f"loaded   {A}"),
        ("loaded", {"drv": A, "outcome": "done", "known": True}, f"loaded   {A}, which is realised already"),
        ("loaded", {"drv": A, "outcome": "failed", "message": "no .drv"}, f"failed   {A}: no .drv"),
        ("resolved", {"drv": A, "outcome": "done", "resolved": B}, f"resolved {A} -> {B}"),
        (
            "resolved", {"drv": A, "outcome": "done", "resolved": B, "known": True},
            f"resolved {A} -> {B}, which is realised already",
        ),
        ("resolved", {"drv": A, "outcome": "done", "resolved": None}, f"resolved {A} -> itself"),
        (
            "resolved", {"drv": A, "outcome": "stale", "message": "gone"},
            f"dropped  {A}: an input was lost meanwhile: gone",
        ),
        ("building", {"drv": A, "build": 12, "stepnr": 3}, f"building {A}  build 12 step 3"),
        ("built", {"drv": A, "build": 12, "stepnr": 3, "outcome": "done"}, f"built    {A}  build 12 step 3"),
        (
            "built", {"drv": A, "build": 12, "stepnr": 3, "outcome": "lease_lost"},
            f"dropped  {A}  build 12 step 3: the claim had been taken back",
        ),
        (
            "build_failed", {"drv": A, "build": 12, "stepnr": 3, "outcome": "done", "message": REASON},
            f"failed   {A}  build 12 step 3: builder failed with exit code 1.",
        ),
        (
            "build_failed", {"drv": A, "build": 12, "stepnr": 3, "outcome": "retried", "message": "the disk is full"},
            f"retrying {A}  build 12 step 3: the disk is full",
        ),
        ("released", {"drv": A, "build": 12, "message": "it stops"}, f"released {A}  build 12: it stops"),
        ("aborting", {"drv": A}, f"aborting {A}"),
        ("swept", {"claims": 1}, "swept    1 claim of workers that are gone"),
        ("database_error", {"verb": "tick", "message": "gone\naway"}, "database tick: gone"),
        ("store_error", {"verb": "load", "message": "gone"}, "store    load: gone"),
        ("resolved", {"drv": A, "outcome": "retried", "message": "it broke"}, f"retrying {A}: it broke"),
        (
            "unexpected", {"verb": "load", "drv": A, "message": "KeyError: 'x'", "traceback": "Traceback"},
            f"error    load: {A}: KeyError: 'x'",
        ),
        ("unexpected", {"verb": "load", "drv": None, "message": "KeyError: 'x'"}, "error    load: KeyError: 'x'"),
        ("of_tomorrow", {"drv": A, "message": None}, f"of_tomorrow drv={A}"),
    ],
)  # fmt: skip
def test_every_event_is_one_line_of_text(kind: str, details: dict[str, Any], words: str) -> None:
    assert str(describe(kind, details)) == words


def test_names_are_short_on_a_terminal() -> None:
    assert str(describe("resolved", {"drv": A, "resolved": B}, short=True)) == (
        "resolved 95vh440-count-of-words.drv -> 5qp2zl0-count-of-words.drv"
    )
