"""Notifications are hints: work goes on without them, and a worker notices if it gets none."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from hydra_resolver.cli.target import Options, open_store, store_identity
from hydra_resolver.cli.work import WorkerOptions, running_worker
from hydra_resolver.database.procedures import Claim, Procedures, Verb
from hydra_resolver.loop import build_loop, graph_loop, heartbeat, listener, ticker
from hydra_resolver.loop.worker_state import Observer

from ..support.failing import assert_sound
from ..support.farm import Farm, open_farm
from ..support.proxy import Proxy
from ..support.waiting import wait_until

CHAIN = """rec {
  low = floating "@salt@-low" "echo low > $out" { };
  high = floating "@salt@-high" "cat $low > $out" { inherit low; };
}"""

ALL_FINISHED = "select where not exists (select from Builds where finished = 0)"


class Ear(Observer):
    """Records a worker's messages about listening."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def event(self, kind: str, **details: Any) -> None:
        if kind == "database_error" and details["verb"] == "listen":
            self.said.append(details["message"])


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    with open_farm(tmp_path_factory.mktemp("notifications")) as farm:
        with psycopg.connect(farm.conninfo, autocommit=True) as connection:
            connection.execute("update resolver.setting set lease_time = '2 seconds'")
        yield farm


@pytest.fixture
def proxy(farm: Farm) -> Iterator[Proxy]:
    proxy = Proxy(farm.conninfo)
    yield proxy
    proxy.close()


@contextmanager
def worker(farm: Farm, proxy: Proxy, *, through: Proxy | None = None) -> Iterator[Ear]:
    """Run a worker that listens through a proxy, and perhaps calls procedures through another proxy."""
    options = Options(farm.conninfo, None, farm.state)
    ear = Ear()
    conninfo = through.conninfo if through else farm.conninfo
    wishes = WorkerOptions(listen_database=proxy.conninfo)
    with running_worker(options, conninfo, open_store(options), jobs=2, wishes=wishes, observer=ear):
        yield ear


def builds_all(farm: Farm, salt: str) -> None:
    """Enqueue two builds and wait until they succeed; only the tested mechanism announces them to the worker."""
    farm.command("enqueue", farm.write(f"{salt}.nix", CHAIN.replace("@salt@", salt)))
    farm.wait_for(ALL_FINISHED)
    assert farm.rows("select 1 from Builds where buildStatus <> 0") == []
    assert_sound(farm)


def listening(farm: Farm) -> list[dict[str, Any]]:
    return farm.rows("select pid from pg_stat_activity where query = 'listen worker_beat' and state = 'idle'")


def test_a_worker_finds_work_by_polling_when_notifications_are_lost(
    farm: Farm, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (graph_loop, build_loop):
        monkeypatch.setattr(module, "POLL_SECONDS", 0.5)
    proxy.deaf = True
    with worker(farm, proxy):
        builds_all(farm, "polled")


def test_a_worker_that_gets_no_notifications_listens_again(
    farm: Farm, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (graph_loop, build_loop):
        monkeypatch.setattr(module, "POLL_SECONDS", 600.0)
    monkeypatch.setattr(listener, "UNHEARD_SECONDS", 0.5)
    with worker(farm, proxy) as ear:
        wait_until(lambda: bool(listening(farm)))
        time.sleep(3)
        assert ear.said == []

        proxy.strand()
        wait_until(lambda: len(ear.said) == 1)
        assert "heartbeats were answered, but none of their notifications arrived" in ear.said[0]
        builds_all(farm, "stranded")
        heard = proxy.notified
        wait_until(lambda: proxy.notified > heard + 1)

        # The worker says so once, however long the silence lasts.
        proxy.deaf = True
        wait_until(lambda: len(ear.said) == 2)
        first = listening(farm)
        wait_until(lambda: listening(farm) not in ([], first))
        time.sleep(2)
        assert len(ear.said) == 2
        proxy.deaf = False
        builds_all(farm, "heard-again")


def test_a_worker_looks_for_all_work_after_a_lost_connection(
    farm: Farm, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (graph_loop, build_loop):
        monkeypatch.setattr(module, "POLL_SECONDS", 600.0)
    monkeypatch.setattr(ticker, "TICK_SECONDS", 600.0)
    with worker(farm, proxy):
        wait_until(lambda: bool(listening(farm)))
        proxy.refusing = True
        proxy.cut_all()
        wait_until(lambda: proxy.refused > 0)
        farm.command("enqueue", farm.write("unheard.nix", CHAIN.replace("@salt@", "unheard")), "-A", "low")
        time.sleep(1)
        assert farm.rows("select 1 from Builds where finished = 0")
        proxy.refusing = False
        farm.wait_for(ALL_FINISHED)


def test_a_worker_repeats_calls_on_dead_connections_that_look_healthy(
    farm: Farm, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "LONGEST_CALL_SECONDS", 2.0)
    calls = Proxy(farm.conninfo)
    with worker(farm, proxy, through=calls):
        builds_all(farm, "before")
        calls.strand()
        builds_all(farm, "after")
    calls.close()


WIDE = """
let low = floating "low" "echo low > $out" { };
in builtins.listToAttrs (builtins.genList (n: {
  name = "wide-${toString n}";
  value = floating "wide-${toString n}" "cat $low > $out" { inherit low; };
}) 130)"""


def test_one_notification_suffices_for_more_work_than_one_claim_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More becomes ready at once than fits into a claim: only the worker's own reports tell it that there is room."""
    monkeypatch.setattr(graph_loop, "POLL_SECONDS", 600.0)
    with open_farm(tmp_path) as farm:
        farm.command("enqueue", farm.write("wide.nix", WIDE))
        farm.command("worker", "--drain", "--verb", "load", "--verb", "build")
        assert stages(farm) == {"realised": 1, "resolvable": 130}
        options = Options(None, None, farm.state)
        with running_worker(options, farm.conninfo, open_store(options), verbs=["resolve"]):
            wait_until(lambda: stages(farm) == {"realised": 1, "resolved": 130, "buildable": 130})


TOWER = """
let storey = n: if n == 0 then floating "storey-0" "echo > $out" { } else
  floating "storey-${toString n}" "cat $below > $out" { below = storey (n - 1); };
in { top = storey 20; }
"""


def test_a_worker_does_not_look_again_for_work_that_its_report_has_claimed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of twenty storeys makes one resolution ready, and then one build; the worker that reports claims them."""
    claims: list[str] = []

    def counted(procedures: Procedures, worker: int, verb: Verb, limit: int) -> list[Claim]:
        claims.append(verb)
        return claim(procedures, worker, verb, limit)

    claim = Procedures.claim
    with open_farm(tmp_path) as farm:
        farm.command("enqueue", farm.write("tower.nix", TOWER))
        farm.command("worker", "--drain", "--verb", "load")
        monkeypatch.setattr(Procedures, "claim", counted)
        options = Options(None, None, farm.state)
        with running_worker(options, farm.conninfo, open_store(options)) as worker:
            worker.drain()
        assert farm.rows("select buildStatus from Builds") == [{"buildstatus": 0}]
        assert len(claims) <= 20, claims


def test_a_worker_looks_for_work_that_another_transaction_made_ready(farm: Farm) -> None:
    """A server process counts as having claimed for a verb only if that was the last thing that it did."""
    with (
        closing(Procedures(farm.conninfo, connections=1)) as procedures,
        psycopg.connect(farm.conninfo, autocommit=True) as listening,
    ):
        options = Options(None, None, farm.state)
        own = procedures.register_worker(
            name="w",
            verbs=["resolve"],
            systems=[],
            features=[],
            store_directory=open_store(options).store_dir.path,
            store_identity=store_identity(options),
        )
        [process] = listening.execute("select pid from pg_stat_activity where query ~ 'register_worker[(]'").fetchall()
        assert not procedures.claims_too(process[0], "resolve")
        procedures.report_and_claim("finish_steps", [], own, "resolve", 1)
        assert procedures.claims_too(process[0], "resolve")
        assert not procedures.claims_too(process[0], "build")
        assert not procedures.claims_too(process[0] + 1, "resolve")
        procedures.advance()
        assert not procedures.claims_too(process[0], "resolve")
        procedures.deregister_worker(own)


@pytest.mark.timeout(30)
def test_a_drain_ends_if_the_first_tick_fails(farm: Farm, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> bool:
        raise RuntimeError("no tick")

    monkeypatch.setattr(Procedures, "sync_builds", broken)
    options = Options(None, None, farm.state)
    with running_worker(options, farm.conninfo, open_store(options)) as worker, pytest.raises(RuntimeError):
        worker.drain()


def stages(farm: Farm) -> dict[str, int]:
    rows = farm.rows("select stage, count(*) from resolver.derivation_state group by stage")
    return {row["stage"]: row["count"] for row in rows}
