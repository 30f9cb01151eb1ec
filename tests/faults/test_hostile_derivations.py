"""Derivations that cannot be used, and unexpected errors: one derivation fails, and the workers go on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from hydra_resolver.cli.target import Options, open_store
from hydra_resolver.cli.work import running_worker
from hydra_resolver.loop.worker_state import Observer
from hydra_resolver.nix.client import Client
from hydra_resolver.nix.errors import NixError
from hydra_resolver.verbs import build as build_module
from hydra_resolver.verbs import load as load_module
from hydra_resolver.verbs import resolve as resolve_module

from ..support.failing import assert_sound, ended, only_step
from ..support.farm import Farm, name_of, open_farm

NAMES = r"""{
  fine = floating "fine" "echo fine > $out" { };
  slash = floating "slash" "echo > $out" { outputs = [ "out/" ]; };
  long = floating (builtins.concatStringsSep "" (builtins.genList (_: "x") 207)) "echo > $out" {
    outputs = [ "out" "debug" ];
  };
  on-long = floating "on-long" "echo > $out" {
    input = (floating (builtins.concatStringsSep "" (builtins.genList (_: "y") 207)) "echo > $out" {
      outputs = [ "out" "debug" ];
    }).out;
  };
  many = floating "many" "echo > $out" {
    outputs = builtins.genList (number: "o${toString number}") 101;
  };
  as-many-as-may-be = floating "as-many-as-may-be" "for output in $outputs; do eval \"echo > \\$$output\"; done" {
    outputs = builtins.genList (number: "o${toString number}") 100;
  };
}"""


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    with open_farm(tmp_path_factory.mktemp("hostile")) as farm:
        with psycopg.connect(farm.conninfo, autocommit=True) as connection:
            connection.execute("update resolver.setting set max_tries = 1")  # the first failed attempt is final
        yield farm


def only_build(farm: Farm, job: str) -> tuple[int | None, str]:
    """Return the status of a job's build, and the message of its step."""
    (build,) = farm.rows("select id, finished, buildStatus from Builds where job = %s", job)
    assert build["finished"] == 1
    return build["buildstatus"], str(only_step(farm, build["id"])["errormsg"] or "")


def test_outputs_without_a_possible_path_are_refused_with_the_reason(farm: Farm) -> None:
    farm.command("enqueue", farm.write("names.nix", NAMES))
    ended(farm, "worker", "--drain", status=0)
    assert only_build(farm, "fine") == (0, "")
    assert only_build(farm, "as-many-as-may-be") == (0, "")
    status, reason = only_build(farm, "slash")
    assert status == 1
    assert "its output 'out/' can't have a path: 'slash-out/' can't be the name of a store path" in reason
    assert "1 to 211 of the characters 0-9 a-z A-Z + - . _ ? =" in reason
    status, reason = only_build(farm, "long")
    assert status == 1
    assert "its output 'debug' can't have a path" in reason
    assert "1 to 211 of the characters" in reason
    status, reason = only_build(farm, "on-long")
    assert status == 2
    assert "its output 'debug' can't have a path" in reason
    status, reason = only_build(farm, "many")
    assert status == 1
    assert "it has 101 outputs, and may have 100" in reason


MANY = """let
  low = floating "@salt@-low" "echo low > $out" { };
  high = name: floating "@salt@-${name}" "cat $low > $out" { inherit low; };
in { bad = high "bad"; } // builtins.listToAttrs (builtins.genList (number: rec {
  name = "good-${toString number}"; value = high name;
}) 30)"""


class Notes(Observer):
    """Records all events of a worker."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []

    def event(self, kind: str, **details: Any) -> None:
        self.events.append((kind, details))

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Return the details of all events of a kind."""
        return [details for told, details in self.events if told == kind]


def is_bad(drv: str) -> bool:
    return name_of(drv).endswith("-bad")


def holds_bad(argument: Any) -> bool:
    """Whether an argument of a verb is, or contains, the derivation whose name ends in `-bad`, or a claim of it."""
    if isinstance(argument, str):
        return argument.endswith(("-bad.drv", "-bad"))
    if isinstance(argument, dict):
        return any(map(holds_bad, argument.values()))
    if isinstance(argument, list | tuple):
        return any(map(holds_bad, argument))
    return holds_bad(getattr(argument, "drv", "")) or holds_bad(getattr(argument, "path", ""))


def breaks_for_bad(monkeypatch: pytest.MonkeyPatch, place: Any, name: str, error: Exception) -> None:
    """Let a function raise whenever its arguments contain the derivation whose name ends in `-bad`."""
    real = getattr(place, name)

    def broken(*words: Any, **options: Any) -> Any:
        if holds_bad(words):
            raise error
        return real(*words, **options)

    monkeypatch.setattr(place, name, broken)


UNEXPECTED = ZeroDivisionError("this was not to be expected")


@pytest.mark.parametrize(
    ("verb", "place", "name", "error"),
    [
        ("load", load_module, "describe", UNEXPECTED),
        ("load", load_module, "_find_outputs", UNEXPECTED),
        ("load", load_module, "_find_outputs", MemoryError()),
        ("load", load_module, "_find_outputs", NixError(0, "Nix does not like it")),
        ("resolve", resolve_module, "resolve_derivation", UNEXPECTED),
        ("resolve", resolve_module, "_write", UNEXPECTED),
        ("resolve", Client, "add_texts", NixError(0, "Nix does not like it")),
        ("build", build_module, "is_forestalled", UNEXPECTED),
        ("build", build_module, "inspect_outputs", UNEXPECTED),
    ],
    ids=lambda value: str(value) if isinstance(value, str) else type(value).__name__,
)
def test_an_unexpected_error_costs_one_derivation_an_attempt_and_the_others_nothing(
    farm: Farm, monkeypatch: pytest.MonkeyPatch, verb: str, place: Any, name: str, error: Exception
) -> None:
    salt = f"{verb}-{name}-{type(error).__name__}"
    farm.command("enqueue", farm.write("many.nix", MANY.replace("@salt@", salt)))
    breaks_for_bad(monkeypatch, place, name, error)
    notes = Notes()
    options = Options(None, None, farm.state)
    with running_worker(options, farm.conninfo, open_store(options), jobs=2, observer=notes) as worker:
        worker.drain()
    assert_sound(farm)
    builds = "from Builds where drvPath like %s"
    good = farm.rows(f"select finished, buildStatus, count(*) {builds} group by 1, 2", f"%-{salt}-good-%")
    assert good == [{"finished": 1, "buildstatus": 0, "count": 30}]
    (bad,) = farm.rows(f"select id, finished, buildStatus {builds}", f"%-{salt}-bad.drv")
    assert (bad["finished"], bad["buildstatus"]) == (1, 3)
    (step,) = farm.rows("select errorMsg from BuildSteps where build = %s and status = 3", bad["id"])
    assert str(error) in step["errormsg"]
    (told,) = notes.of("unexpected")
    assert (told["verb"], name_of(told["drv"])) == (verb, f"{salt}-bad")
    assert type(error).__name__ in told["traceback"]
    assert notes.of("released") == []


LONG_SYSTEM = """let
  words = count: builtins.concatStringsSep "" (builtins.genList (n: builtins.hashString "sha512" (toString n)) count);
in {
  strange = floating "strange" "echo > $out" { system = words 100; };
  features = floating "features" "echo > $out" { requiredSystemFeatures = [ (words 101) ]; };
} // builtins.listToAttrs (builtins.genList (number: rec {
  name = "beside-${toString number}"; value = floating name "echo > $out" { };
}) 10)"""


def test_a_derivation_that_the_database_cannot_store_does_not_stop_the_others_from_being_recorded(farm: Farm) -> None:
    farm.command("enqueue", farm.write("long-system.nix", LONG_SYSTEM))
    ended(farm, "worker", "--drain", status=0)
    for number in range(10):
        assert only_build(farm, f"beside-{number}") == (0, "")
    for job in ("strange", "features"):
        status, reason = only_build(farm, job)
        assert status == 3
        assert "index row" in reason


def test_an_unexpected_error_while_reading_ahead_costs_nothing(farm: Farm, monkeypatch: pytest.MonkeyPatch) -> None:
    real = load_module._unclaimed

    def broken(drv: str) -> Any:
        if drv.endswith("-ahead-low.drv"):
            raise UNEXPECTED
        return real(drv)

    monkeypatch.setattr(load_module, "_unclaimed", broken)
    farm.command("enqueue", farm.write("many.nix", MANY.replace("@salt@", "ahead")))
    notes = Notes()
    options = Options(None, None, farm.state)
    with running_worker(options, farm.conninfo, open_store(options), jobs=2, observer=notes) as worker:
        worker.drain()
    assert_sound(farm)
    builds = farm.rows("select buildStatus, count(*) from Builds where drvPath like '%-ahead-%' group by 1")
    assert builds == [{"buildstatus": 0, "count": 31}]
    assert {told["drv"] for told in notes.of("unexpected")} == {None}


UNFIT = {
    "can't be stored": ({"machine": "a\0b"}, "the database can't store the report: "),
    "is refused": ({"outputs": {}}, "the report was refused: the report has no path for out"),
}
"""Changes of a report of success for one derivation, and the reason why the derivation fails then."""


@pytest.mark.parametrize("how", UNFIT)
def test_a_build_fails_if_its_report_is_refused_and_the_builds_reported_with_it_do_not(
    farm: Farm, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    changed, reason = UNFIT[how]
    real = build_module._succeeded

    def succeeded(*words: Any) -> build_module.Outcome:
        outcome = real(*words)
        return replace(outcome, report={**(outcome.report or {}), **changed}) if holds_bad(words) else outcome

    monkeypatch.setattr(build_module, "_succeeded", succeeded)
    salt = how.replace(" ", "-").replace("'", "")
    farm.command("enqueue", farm.write("many.nix", MANY.replace("@salt@", salt)))
    notes = Notes()
    options = Options(None, None, farm.state)
    with running_worker(options, farm.conninfo, open_store(options), jobs=4, observer=notes) as worker:
        worker.drain()
    assert_sound(farm)
    rows = farm.rows("select job, buildStatus from Builds where drvPath like %s", f"%-{salt}-%")
    assert {row["job"]: row["buildstatus"] for row in rows} == {
        "bad": 3,
        **{f"good-{number}": 0 for number in range(30)},
    }
    (step,) = farm.rows("select errorMsg from BuildSteps where drvPath like %s and status = 3", f"%-{salt}-bad.drv")
    assert step["errormsg"].startswith(reason)
    assert notes.of("released") == []
