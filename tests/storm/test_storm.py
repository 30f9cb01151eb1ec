"""Three workers under random damage: whatever happens, nothing is lost, and nothing is done twice.

HYDRA_RESOLVER_STORM_SECONDS says for how long, HYDRA_RESOLVER_STORM_SEED which damage; the seed is printed.
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

from ..farm import Farm
from ..history import Record, read
from ..legality import judge, unsettled
from .nemesis import Nemesis
from .outcome import wrong_outcomes
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
"""All procedures ask for the time: each now stops here and there for a moment, and what others do falls into it."""


@contextmanager
def open_world(state: Path, dice: random.Random) -> Iterator[World]:
    """A world whose history is kept from the beginning."""
    with EmbeddedPostgres(StateDirectory(state).postgres, fsync=False) as server:
        install(server.conninfo())
        with psycopg.connect(server.conninfo(), autocommit=True) as connection:
            connection.execute(DAWDLING_CLOCK)
            connection.execute("select resolver.keep_history(true)")
            connection.execute("update resolver.setting set lease_time = make_interval(secs => %s)", [LEASE_SECONDS])
        world = World(state, server, Farm(state, server.conninfo()), dice)
        world.farm.store.prepare()
        try:
            yield world
        finally:
            world.end()


def drain(world: World) -> float:
    """Wait until every build is finished; how long that took, in seconds."""
    began = time.monotonic()
    while world.evaluating or world.farm.rows("select from Builds where finished = 0 limit 1"):
        if time.monotonic() > began + DRAIN_SECONDS:
            pytest.fail(f"the builds do not finish: {world.farm.rows('select resolver.status()')}")
        time.sleep(0.1)
    return time.monotonic() - began


def figures(world: World, record: Record, seconds: float, recovery: float) -> str:
    """What happened, in words."""
    lost = {event.transaction for event in record.events if event.function == "lose_outputs" and event.output}
    found = {
        "minutes": round(seconds / 60, 1),
        **world.figures,
        "builds": len(record.builds),
        "steps": len(record.steps),
        "events": len(record.events),
        "losses": len(lost),
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
        statuses = [member.stop() for member in world.members]
        record = read(world.farm.conninfo)
        with capsys.disabled():
            print(figures(world, record, raged, recovery), flush=True)
        problems = [*judge(record), *unsettled(record), *wrong_outcomes(world)]
        said = "\n".join(member.said() for member in world.members)
    assert problems == []
    assert statuses == [0, 0, 0]
    for words in ("Traceback", "violates", "deadlock"):
        assert words not in said, said[max(0, said.index(words) - 2000) :][:6000]
