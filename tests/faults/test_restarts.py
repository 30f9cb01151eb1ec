"""A worker that is killed at any point and restarted leaves the same result as an undisturbed worker."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator

import pytest

from hydra_resolver.embedded.postgres import EmbeddedPostgres

from ..support.disturbing import Disturbance, Places, SecondOfTwo, Twice
from ..support.restarting import call_of, calls_in_code
from ..support.temporary import temporary_directory

pytestmark = pytest.mark.timeout(600)

NOT_REACHED = {
    "NAR_FROM_PATH": "the files of a store on this machine are read as files",
    "queue_runner_status": "only called when somebody asks by HTTP: see test_status_server.py",
    "machines": "only called when somebody asks by HTTP: see test_status_server.py",
    "dump_status": "only called when a program of Hydra's asks: see test_hydras_status.py",
    "record_step_start": "only called for remote builders: see test_machines.py",
    "release_other_claims": "only called when an answer of the database was lost: see test_leases.py",
    "claimed_inputs": "only called for a derivation with very many inputs: see test_slots.py",
    **dict.fromkeys(
        ("all_finished", "build_report", "cancel_build", "enqueue", "output_paths", "restart_build", "status"),
        "not called by workers, but by people's commands: see test_leases.py for `run`",
    ),
}
"""The calls that a worker does not make while it drains the queue, with the reasons."""
SOMETIMES = {f"{when} {call}" for when in ("before", "after") for call in ("known_outputs", "report_dead_workers")}
"""`known_outputs` is only read after a report that met a memo hit: that depends on the derivations
that are claimed together. `report_dead_workers` is called by the heir of a killed worker."""


@pytest.fixture(scope="module")
def places(cluster: EmbeddedPostgres, database_template: str) -> Iterator[Places]:
    with temporary_directory() as directory:
        yield Places(directory, cluster, database_template)


@pytest.fixture
def chance() -> random.Random:
    seed = os.environ.get("HYDRA_RESOLVER_RESTARTS_SEED") or str(random.randrange(1 << 32))
    print(f"HYDRA_RESOLVER_RESTARTS_SEED={seed}")
    return random.Random(seed)


def test_a_worker_reaches_every_call_of_the_database_and_of_nix(places: Places) -> None:
    reached = {call_of(point) for counter in places.reached.values() for point in counter}
    listed = {f"{when} {call}" for when in ("before", "after") for call in NOT_REACHED}
    assert calls_in_code() - reached - SOMETIMES == listed
    assert reached <= calls_in_code()


def killed(places: Places, chance: random.Random, point: str) -> Disturbance:
    options = places.options_for(point)
    return Disturbance(point, options, chance.randint(1, max(1, places.reached[options][point] // 2)))


def second_of_two(places: Places, chance: random.Random, point: str) -> Disturbance:
    return SecondOfTwo(point, places.options_for(point), 1, round(chance.uniform(0, 1), 2))


def killed_twice(places: Places, chance: random.Random, point: str) -> Disturbance:
    options = places.options_for(point)
    again = f"{chance.choice(sorted(places.reached[options]))}:{chance.randint(1, 3)}"
    return Twice(point, options, 1, again)


VARIANTS = (killed, second_of_two, killed_twice)
Variant = Callable[[Places, random.Random, str], Disturbance]


def all_points(places: Places) -> list[str]:
    reached = {point for counter in places.reached.values() for point in counter}
    # A worker registers again only if the machine is too busy for its heartbeats.
    return sorted(reached - {f"{when} register_worker in heartbeat-beats" for when in ("before", "after")})


def some_points(places: Places, chance: random.Random) -> list[str]:
    """Choose, for each thread, one point of each kind: calls of the database, operations of Nix, others."""
    classes: dict[tuple[str, str], list[str]] = {}
    for point in all_points(places):
        call, _, thread = point.rpartition(" in ")
        when, _, rest = call.partition(" ")
        kind = "other" if when not in ("before", "after") else "nix" if rest.isupper() else "database"
        classes.setdefault((thread, kind), []).append(point)
    return [chance.choice(points) for points in classes.values()]


def test_a_restart_makes_up_for_a_worker_that_was_killed_at_a_random_point(
    places: Places, chance: random.Random
) -> None:
    places.disturb([killed(places, chance, point) for point in some_points(places, chance)])


@pytest.mark.parametrize("variant", [second_of_two, killed_twice])
def test_other_workers_make_up_for_a_killed_second_worker_and_for_a_killed_heir(
    places: Places, chance: random.Random, variant: Variant
) -> None:
    points = chance.sample(some_points(places, chance), 5)
    places.disturb([variant(places, chance, point) for point in points])


@pytest.mark.storm
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("variant", VARIANTS)
def test_other_workers_make_up_for_a_worker_that_was_killed_at_any_point(
    places: Places, chance: random.Random, variant: Variant
) -> None:
    places.disturb([variant(places, chance, point) for point in all_points(places)])
