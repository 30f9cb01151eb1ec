"""Measures early cut-off of a whole package set after a change of one derivation far down and of its output.

The package set goes through the database twice: unchanged, and with the change. Golden answers replace the builder.
Dependents of the changed output are built, with the same outputs as before; everything above them is a memo hit. The
benchmark counts how many derivations are resolved again and how many of them are memo hits, and measures what a memo
hit costs the database.

Then a worker with a real store resolves derivations whose resolutions are known; the benchmark measures the CPU time of
each memo hit beyond parsing and resolving.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import psycopg

from hydra_resolver.cli.target import Options
from hydra_resolver.cli.work import running_worker
from hydra_resolver.database.install import install
from hydra_resolver.database.procedures import Procedures
from hydra_resolver.embedded.postgres import EmbeddedPostgres
from hydra_resolver.embedded.state import StateDirectory
from hydra_resolver.nix.aterm import parse_derivation
from hydra_resolver.nix.derivation import Kind
from hydra_resolver.nix.resolve import resolve
from hydra_resolver.nix.store import Store
from hydra_resolver.nix.store_path import derivation_name
from tests.nix.graphs import STORE_DIR, Graph, NoData, read_graph
from tests.support.changing import VERSION, ChangedDriver, change
from tests.support.driving import Driver
from tests.support.temporary import create_database, create_installed_database, temporary_cluster

from . import resolve as resolving

WANTED_DATABASE = 1.0  # ms for a memo hit
WANTED_WORKER = 0.3  # ms of CPU for a memo hit, beyond parsing and resolving
KNOWN = """
    with golden (drv, resolved) as (select * from unnest(%s::text[], %s::text[])), new as (
        insert into resolver.derivation (drv, name, system, kind)
        select distinct g.resolved, substr(g.resolved, 34), 'x86_64-linux', 'floating' from golden g
        returning derivation, drv
    ), state as (
        insert into resolver.derivation_state (derivation, stage) select derivation, 'realised' from new
    )
    insert into resolver.output (derivation, name, path, valid_since, is_wanted)
    select distinct on (n.derivation, o.name) n.derivation, o.name, o.path, resolver.clock(), true
      from new n join golden g on g.resolved = n.drv
      join resolver.derivation d on d.drv = g.drv join resolver.output o on o.derivation = d.derivation
"""
"""Makes the resolved derivations realised; the derivations of the graph have their outputs already."""


def main(words: Sequence[str]) -> int:
    """Run and print; return 1 if a target is missed or a result is wrong."""
    parser = argparse.ArgumentParser(prog="memo", description=__doc__)
    parser.add_argument("--graph", default="core-large", help="for the database")
    parser.add_argument("--leaf", help="the .drv that is changed; default: the one with the most above it")
    parser.add_argument("--worker-graph", default="core-medium", help="for the worker")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args(words)
    try:
        graph, worker_graph = read_graph(options.graph), read_graph(options.worker_graph)
    except NoData as error:
        print(error)
        return 2
    fast = [_database(options.graph, graph, options.leaf), _worker(options.worker_graph, worker_graph, options.rounds)]
    return 0 if all(fast) else 1


# Database


def _database(name: str, graph: Graph, leaf: str | None) -> bool:
    changed = change(graph, leaf)
    with temporary_cluster() as cluster:
        conninfo = cluster.conninfo(create_database(cluster, create_installed_database(cluster)))
        procedures = Procedures(conninfo, connections=1)
        first = Driver(procedures, graph)
        first.enqueue()
        first.drive()
        with psycopg.connect(conninfo, autocommit=True) as connection:
            connection.execute("vacuum analyze")
        second = ChangedDriver(procedures, graph, changed)
        began = time.perf_counter()
        second.enqueue()
        second.drive()
        seconds = time.perf_counter() - began
        procedures.close()
        with psycopg.connect(conninfo) as connection:
            kinds = connection.execute(
                "select d.kind, count(*), count(*) filter (where r.is_cut_off) from resolver.resolution r "
                "join resolver.derivation d on d.derivation = r.derivation where d.drv = any (%s) group by 1",
                [list(changed.names.values())],
            ).fetchall()
            broken = connection.execute("select * from resolver.invariant_violations()").fetchall()
    found = {kind: (resolved, cut_off) for kind, resolved, cut_off in kinds}
    floating = sum(_is_floating(graph, drv) for drv in graph.texts)
    resolved, cut_off = found.get("floating", (0, 0))
    others = sum(count for kind, (count, _) in found.items() if kind != "floating")
    hits = sum(count for count, _, _ in second.reports_of_hits)
    wall, cpu = (1000 * sum(one[column] for one in second.reports_of_hits) / hits for column in (1, 2))
    claiming = 1000 * sum(second.seconds["claim resolve"]) / (resolved + others)
    print(
        f"{name}: {changed.leaf} is changed, and so are "
        f"{len(changed.names) - 1} derivations above it\n"
        f"  of {floating} floating derivations, {resolved} are resolved anew: {cut_off} end by the memo,"
        f" {resolved - cut_off} are built; {others} others are resolved; all took {seconds:.1f} s\n"
        f"  a memo hit takes the database {wall:.2f} ms, {cpu:.2f} ms of CPU ({hits} in {len(second.reports_of_hits)}"
        f" reports; wanted: below {WANTED_DATABASE:g} ms{' (MISSED)' if cpu >= WANTED_DATABASE else ''}),"
        f" and {claiming:.2f} ms to claim it\n"
        f"  broken invariants: {broken or 'none'}",
        flush=True,
    )
    return cpu < WANTED_DATABASE and not broken


# Worker


def _worker(name: str, graph: Graph, rounds: int) -> bool:
    # Without the roots: the worker also inspects the outputs of roots, and ends their builds.
    inner = {source for drv in graph.texts for source in graph.parse(drv).input_drvs}
    wanted = {drv: graph.resolutions[drv] for drv in inner & graph.resolutions.keys() if _is_floating(graph, drv)}
    beyond = []
    with tempfile.TemporaryDirectory(prefix="hydra-resolver-bench-") as directory:
        prepared = Path(directory) / "store"
        resolving._prepare_store(prepared, graph)
        for number in range(rounds):
            bare = _cpu(lambda: [_parse_and_resolve(prepared, graph, drv, wanted[drv]) for drv in wanted])
            root = Path(directory) / f"store-{number}"
            shutil.copytree(prepared, root)
            whole = _resolve_known(Path(directory) / f"state-{number}", root, graph, wanted)
            beyond.append(1000 * (whole - bare) / len(wanted))
            print(
                f"{name}, round {number + 1}: worker {1000 * whole / len(wanted):.2f} ms of CPU for a memo hit, "
                f"parsing and resolving {1000 * bare / len(wanted):.2f} ms, beyond that {beyond[-1]:.2f} ms",
                flush=True,
            )
    found = statistics.median(beyond)
    print(
        f"  {len(wanted)} memo hits, wanted: below {WANTED_WORKER:g} ms{' (MISSED)' if found >= WANTED_WORKER else ''}"
    )
    return found < WANTED_WORKER


def _is_floating(graph: Graph, drv: str) -> bool:
    return graph.parse(drv).kind is Kind.FLOATING


def _cpu(run: Callable[[], object]) -> float:
    began = time.process_time()
    run()
    return time.process_time() - began


def _parse_and_resolve(root: Path, graph: Graph, drv: str, expected: str) -> None:
    text = Path(f"{root}{STORE_DIR.render(drv)}").read_bytes()
    derivation = parse_derivation(text, derivation_name(drv), STORE_DIR)
    assert resolve(derivation, drv, graph.outputs, version=VERSION, store_dir=STORE_DIR).path == expected


def _resolve_known(state: Path, root: Path, graph: Graph, wanted: dict[str, str]) -> float:
    """Return the CPU seconds that a worker needs for the memo hits, without those that it needs when idle."""
    store = resolving._store(root)
    options = Options(None, store.uri, state)
    with EmbeddedPostgres(StateDirectory(state).postgres) as server:
        conninfo = server.conninfo()
        install(conninfo)
        with running_worker(options, conninfo, store, verbs=["load"]) as loading:
            resolving._enqueue(loading.shared.procedures, graph)
            loading.drain()
        resolving._add_outputs(root, graph)
        idle = _resolving(options, conninfo, store)
        drvs, outputs, paths = zip(
            *((key.drv_path, key.chain[0], path) for key, path in graph.outputs.items()), strict=True
        )
        with psycopg.connect(conninfo) as connection:
            connection.execute("truncate resolver.watch")
            connection.execute(resolving.PREPARE, [list(drvs), list(outputs), list(paths)])
            connection.execute(KNOWN, [list(wanted), list(wanted.values())])
            connection.execute(resolving.READY, [list(wanted)])
        with psycopg.connect(conninfo, autocommit=True) as connection:
            connection.execute("vacuum analyze")
        seconds = _resolving(options, conninfo, store)
        with psycopg.connect(conninfo) as connection:
            rows = connection.execute("select is_cut_off from resolver.resolution").fetchall()
    assert Counter(rows) == {(True,): len(wanted)}, Counter(rows)
    return seconds - idle


def _resolving(options: Options, conninfo: str, store: Store) -> float:
    began = time.process_time()
    with running_worker(options, conninfo, store, verbs=["resolve"]) as worker:
        worker.drain()
    return time.process_time() - began
