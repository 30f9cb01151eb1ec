"""Three workers under random damage: nothing may be lost, and nothing may be done twice.

HYDRA_RESOLVER_STORM_SECONDS sets the duration, HYDRA_RESOLVER_STORM_SEED the damage; the test prints its seed.
"""

from __future__ import annotations

import os
import random
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from hydra_resolver.database.install import install
from hydra_resolver.embedded.postgres import EmbeddedPostgres
from hydra_resolver.embedded.state import StateDirectory
from hydra_resolver.nix.store_path import StoreDir

from ..support.farm import Farm
from ..support.history import Record
from ..support.legality import judge, unsettled
from . import failures
from .comeback import come_back
from .nemesis import Nemesis
from .outcome import wrong_outcomes
from .past import KEEP, forgotten_too_early, read_all
from .world import LEASE_SECONDS, World

SECONDS = float(os.environ.get("HYDRA_RESOLVER_STORM_SECONDS") or 60)
DRAIN_SECONDS = 240.0

DAWDLING_CLOCK = """
create or replace function resolver.clock() returns timestamptz
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
begin
    if random() < 0.02 then
        perform pg_sleep(0.05 * random());
    end if;
    return clock_timestamp();
end
$$
"""
"""All procedures call clock(): each now pauses at random for a moment, so that calls of other sessions interleave."""


@contextmanager
def open_world(state: Path, dice: random.Random) -> Iterator[World]:
    """Open a world whose history is kept from the beginning."""
    with EmbeddedPostgres(StateDirectory(state).postgres, fsync=False) as server:
        install(server.conninfo())
        with psycopg.connect(server.conninfo(), autocommit=True) as connection:
            connection.execute(DAWDLING_CLOCK)
            connection.execute("select resolver.keep_history(true)")
            connection.execute(KEEP.encode())
            connection.execute("update resolver.setting set lease_time = make_interval(secs => %s)", [LEASE_SECONDS])
        world = World(state, server, Farm(state, server.conninfo()), dice)
        world.farm.store.prepare()
        try:
            yield world
        finally:
            world.end()


def drain(world: World) -> float:
    """Wait until every build is finished and none is still to be restarted; return how many seconds that took."""
    began = time.monotonic()
    while world.evaluating or world.farm.rows(
        "select from Builds where finished = 0 union all select from resolver.failure where is_reopening limit 1"
    ):
        if time.monotonic() > began + DRAIN_SECONDS:
            pytest.fail(f"the builds do not finish: {world.farm.rows('select resolver.status()')}")
        time.sleep(0.1)
    return time.monotonic() - began


def read_past(world: World) -> failures.Past:
    """Read everything about failures."""
    return failures.read_past(world.farm.conninfo, world.runs, StoreDir(str(world.farm.store.store_dir)))


def figures(world: World, record: Record, past: failures.Past, seconds: float, recovery: float) -> str:
    """Describe the storm in numbers."""
    lost = {
        event.transaction for event in record.events if event.function == "invalidate_lost_outputs" and event.output
    }
    found = {
        "minutes": round(seconds / 60, 1),
        **world.figures,
        "builds": len(record.builds),
        "steps": len(record.steps),
        "events": len(record.events),
        "losses": len(lost),
        "forgotten derivations": sum(
            event.function == "delete_pruned" and event.output is None for event in record.events
        ),
        "failures": len(past.failures),
        "runs of what fails": len(past.runs),
        "cached failures": sum(row.status == failures.CACHED_FAILURE for row in past.rows),
        "swept claims": sum(lease.outcome == "swept" for lease in record.leases),
        "stale claims": sum(lease.outcome == "stale" for lease in record.leases),
        "cut-offs": sum(
            event.is_move and event.from_stage == "resolved" and event.procedure == "set_resolved_to"
            for event in record.events
        ),
        "seconds until all was done": round(recovery, 1),
    }
    return ", ".join(f"{name}: {number}" for name, number in found.items())


@pytest.mark.storm
@pytest.mark.timeout(SECONDS + 2 * DRAIN_SECONDS + 120)
def test_nothing_is_lost_and_nothing_is_done_twice_in_a_storm(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seed = int(os.environ.get("HYDRA_RESOLVER_STORM_SEED") or secrets.randbelow(2**32))
    with capsys.disabled():
        print(f"\nHYDRA_RESOLVER_STORM_SEED={seed}, in {tmp_path}", flush=True)
    with open_world(tmp_path, random.Random(seed)) as world:
        began = time.monotonic()
        world.calm()
        Nemesis(world).rage(SECONDS)
        raged = time.monotonic() - began
        world.calm()
        recovery = drain(world)

        world.evaluate(whole=True)
        drain(world)
        before = [*wrong_outcomes(world), *failures.judge(read_past(world))]
        stayed = come_back(world, lambda: drain(world))
        statuses = [member.stop() for member in world.members]
        record, past = read_all(world.farm.conninfo), read_past(world)
        with capsys.disabled():
            print(figures(world, record, past, raged, recovery), flush=True)
        problems = [
            *before, *judge(record), *unsettled(record), *wrong_outcomes(world), *failures.judge(past),
            *forgotten_too_early(world.farm.conninfo), *stayed,
        ]  # fmt: skip
        said = "\n".join(member.said() for member in world.members)
    assert problems == [], "\n".join(problems)
    assert statuses == [0, 0, 0]
    for words in ("Traceback", "violates", "deadlock"):
        assert words not in said, said[max(0, said.index(words) - 2000) :][:6000]
