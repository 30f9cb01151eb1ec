"""The database fails in every way: a worker goes on as soon as it can, and everything is done exactly once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from hydra_resolver.database.install import install
from hydra_resolver.embedded.place import server_user

from ..storm.fleet import crash
from ..support.farm import Farm
from ..support.proxy import Moment
from ..support.steadfast import LEASE_SECONDS, World, open_world
from ..support.temporary import temporary_directory
from ..support.waiting import wait_until
from .test_interruptions import small_disk

WIDE = """builtins.listToAttrs (builtins.genList (n: rec {
  name = "wide-${toString n}";
  value = floating "@salt@-${name}" "sleep 0.05; echo ${name} > $out" { };
}) 80)"""
LONG = """{
  long = floating "@salt@-long" "echo $$ > $pids/$$; set -- $pids/*; [ $# -gt 1 ] || sleep 200; sleep 2; echo > $out" {
    pids = "@pids@";
  };
}"""
"""The first attempt takes longer than the patience of any test."""

CALLS = ("sync_builds", "claim_derivations", "register_derivations", "set_resolved_to", "finish_steps", "fail_steps")
OWN_CONNECTIONS = "from pg_stat_activity where usename = 'hydra' and backend_type = 'client backend'"


@pytest.fixture(scope="module")
def world_of_all(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with open_world(tmp_path_factory.mktemp("failures")) as world:
        yield world
        if world.worker.process.poll() is None:
            world.end()


@pytest.fixture
def world(world_of_all: World) -> World:
    if world_of_all.worker.process.poll() is not None:  # another test has ended it
        world_of_all.worker = world_of_all.start_worker(world_of_all.proxy.conninfo)
    return world_of_all


def test_a_worker_survives_a_server_that_crashes_again_and_again(world: World) -> None:
    builds = world.enqueue()
    world.begun(builds)
    for _ in range(3):
        crash(world.server)
        time.sleep(0.3)
        world.server.start()
        time.sleep(0.7)
    world.all_is_well(builds)


def test_a_worker_survives_the_end_of_each_of_its_sessions(world: World) -> None:
    builds = world.enqueue()
    for query in ("listen%", "%heartbeat%", *["%"] * 8, "%claim%", "%"):
        which = f"{OWN_CONNECTIONS} and query like '{query}' order by random() limit 1"
        wait_until(lambda: bool(world.execute(f"select pg_terminate_backend(pid) {which}")))  # noqa: B023
        time.sleep(0.15)
    world.all_is_well(builds)


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_worker_survives_a_cut_connection_at_every_call(world: World, moment: Moment) -> None:
    seen = len(world.events("built")), len(world.events("build_failed"))
    cuts = {call: world.proxy.cut(call, moment) for call in [*CALLS, "heartbeat", "sweep", "advance"]}
    builds = world.enqueue()
    world.all_is_well(builds)
    assert [call for call, cut in cuts.items() if not cut.happened.is_set()] == []
    # Reports that were done but not answered were sent again, and answered with `already`.
    outcomes = [event["outcome"] for event in world.events("built")[seen[0] :]]
    assert ("already" in outcomes) == (moment == "after")
    assert [event["outcome"] for event in world.events("build_failed")[seen[1] :]] == [
        "already" if moment == "after" else "done"
    ]


@pytest.mark.storm
def test_a_worker_survives_a_network_that_comes_and_goes(world: World) -> None:
    builds = world.enqueue()
    for seconds in (0.5, 1, 2 * LEASE_SECONDS, 4, 1, 3 * LEASE_SECONDS, 2):
        with world.proxy.black_hole():
            time.sleep(seconds)
        time.sleep(0.7)
    world.all_is_well(builds)


def test_a_network_outage_that_is_shorter_than_the_lease_time_costs_no_claim(world: World) -> None:
    before = ends_of_leases(world)
    builds = world.enqueue()
    world.begun(builds)
    with world.proxy.black_hole():
        time.sleep(0.25 * LEASE_SECONDS)
    world.all_is_well(builds)
    assert ends_of_leases(world) == before


def test_a_worker_without_its_database_stops_its_builds_before_another_worker_takes_them_over(world: World) -> None:
    pids = world.farm.state / "pids"
    pids.mkdir()
    pids.chmod(0o777)
    builds = world.enqueue(LONG.replace("@pids@", str(pids)))
    wait_until(lambda: len(list(pids.iterdir())) == 1)
    (first,) = pids.iterdir()
    other = world.start_worker(world.farm.conninfo)
    with world.proxy.black_hole():
        wait_until(lambda: not runs(first.name))
        assert len(list(pids.iterdir())) == 1
        wait_until(lambda: len(list(pids.iterdir())) == 2)
        time.sleep(2)
    world.all_is_well(builds)
    assert len(list(pids.iterdir())) == 2
    other.process.terminate()
    assert other.ends() == 0


@pytest.mark.storm
def test_a_slow_network_costs_no_claim(world: World) -> None:
    before = ends_of_leases(world)
    world.proxy.delay = 0.05
    try:
        world.all_is_well(world.enqueue())
    finally:
        world.proxy.delay = 0.0
    assert ends_of_leases(world) == before


def test_a_worker_survives_a_server_without_free_connections(world: World) -> None:
    builds = world.enqueue()
    world.begun(builds)
    world.execute("alter role hydra connection limit 1")
    world.execute(f"select pg_terminate_backend(pid) {OWN_CONNECTIONS}")
    time.sleep(LEASE_SECONDS + 1)
    world.execute("alter role hydra connection limit -1")
    world.all_is_well(builds)


def test_a_worker_survives_a_database_that_is_read_only_for_a_while(world: World) -> None:
    builds = world.enqueue()
    world.begun(builds)
    world.execute("alter database hydra set default_transaction_read_only = on")
    world.execute(f"select pg_terminate_backend(pid) {OWN_CONNECTIONS}")
    time.sleep(LEASE_SECONDS + 1)
    world.execute("alter database hydra reset default_transaction_read_only", database="postgres")
    world.all_is_well(builds)


def test_a_worker_survives_a_database_whose_disk_is_full_for_a_while(world: World, tmp_path: Path) -> None:
    with temporary_directory() as directory, small_disk(directory / "disk", "64m"):
        server_user().own(directory / "disk")
        world.execute(f"create tablespace small location '{directory}/disk'")
        world.execute("create database small owner hydra template template0 tablespace small")
        install(world.server.conninfo("small"))
        small = World(Farm(tmp_path, world.server.conninfo("small")), world.server)
        try:
            builds = small.enqueue(WIDE)
            small.begun(builds)
            with filled(directory / "disk"):
                small.worker.says("No space left on device")
                time.sleep(LEASE_SECONDS + 1)
                assert not small.finished(builds)
            small.all_is_well(builds)
            small.end()
        finally:
            small.close()
            world.execute("drop database small with (force)")
            world.execute("drop tablespace small")


@contextmanager
def filled(disk: Path) -> Iterator[None]:
    """Fill the disk to the last byte."""
    filling = disk / "filling"
    with suppress(OSError), filling.open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
    try:
        yield
    finally:
        filling.unlink()


def ends_of_leases(world: World) -> list[dict[str, object]]:
    """Count the claims that ended without a report: released ones and swept ones."""
    return world.farm.rows(
        "select outcome, count(*) from resolver.lease where outcome in ('swept', 'released') group by 1"
    )


def runs(pid: str) -> bool:
    """Whether the process exists."""
    return Path("/proc", pid).exists()
