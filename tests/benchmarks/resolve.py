"""Compares the worker's resolutions per second, through database and store, with what the store alone can take.

The benchmark uses the floating derivations of a real graph, with the outputs of its golden answers. The bare run sends
AddToStore and AddIndirectRoot for the same resolved .drv files, in the same batches, over one connection to a store of
the same kind. Every resolution is compared with the golden one.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psycopg

from hydra_resolver.cli.target import Options, open_store
from hydra_resolver.cli.work import running_worker
from hydra_resolver.database.install import install
from hydra_resolver.database.procedures import Procedures
from hydra_resolver.embedded.postgres import EmbeddedPostgres
from hydra_resolver.embedded.state import StateDirectory
from hydra_resolver.embedded.store import EmbeddedStore
from hydra_resolver.loop.graph_loop import BATCH
from hydra_resolver.nix.client import Text
from hydra_resolver.nix.derivation import Kind
from hydra_resolver.nix.errors import NixError
from hydra_resolver.nix.resolve import Resolved, resolve
from hydra_resolver.nix.roots import RootDirectory
from hydra_resolver.nix.store import Store
from tests.nix.graphs import STORE_DIR, Graph, read_graph

PREPARE = """
    with golden (drv, output, path) as (select * from unnest(%s::text[], %s::text[], %s::text[]))
    insert into resolver.output (derivation, name, path, valid_since)
    select d.derivation, g.output, g.path, resolver.clock() from golden g join resolver.derivation d using (drv)
    on conflict (derivation, name) do update
       set path = excluded.path, valid_since = excluded.valid_since, lost_at = null
"""
READY = """
    update resolver.derivation_state s set stage = 'resolvable'
      from resolver.derivation d where d.derivation = s.derivation and d.drv = any (%s)
"""


def main(words: Sequence[str]) -> int:
    """Run and print; return 1 if the ratio is below one half or a resolution differs."""
    parser = argparse.ArgumentParser(prog="resolve", description=__doc__)
    parser.add_argument("--graph", default="core-medium")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args(words)
    graph = read_graph(options.graph)
    version = open_store(Options(None, None, Path(tempfile.mkdtemp(prefix="hydra-resolver-bench-")))).nix_version
    wanted = {}
    for drv, path in graph.resolutions.items():
        derivation = graph.parse(drv)
        if derivation.kind is Kind.FLOATING:
            wanted[drv] = resolve(derivation, drv, graph.outputs, version=version, store_dir=STORE_DIR)
            assert wanted[drv].path == path, drv
    ratios = []
    for number in range(options.rounds):
        with tempfile.TemporaryDirectory(prefix="hydra-resolver-bench-") as directory:
            prepared = Path(directory) / "prepared"
            _prepare_store(prepared, graph)
            bare = _bare(Path(directory), prepared, graph, list(wanted.values()))
            ours = _with_the_worker(Path(directory), prepared, graph, wanted)
        ratios.append(ours / bare)
        print(f"round {number + 1}: worker {ours:.0f}/s, bare {bare:.0f}/s, ratio {ratios[-1]:.2f}", flush=True)
    print(f"{len(wanted)} resolutions, all golden; median ratio {statistics.median(ratios):.2f}")
    return 0 if statistics.median(ratios) >= 0.5 else 1


def _store(root: Path) -> Store:
    environment = EmbeddedStore(root / "settings")
    environment.prepare()
    names = ("NIX_STORE_DIR", "NIX_STATE_DIR", "NIX_LOG_DIR", "NIX_REMOTE")
    variables = {name: value for name, value in environment.child_environment().items() if name not in names}
    return Store(f"local?root={root}", variables)


def _prepare_store(root: Path, graph: Graph) -> None:
    """Make a store with all .drv files and a stub for every source."""
    sources = {source for drv in graph.texts for source in graph.parse(drv).input_srcs}
    _add_files(root, {**dict.fromkeys(sources - graph.texts.keys(), b""), **graph.texts})


def _add_outputs(root: Path, graph: Graph) -> None:
    _add_files(root, dict.fromkeys(graph.outputs.values(), b""))


def _add_files(root: Path, files: Mapping[str, bytes]) -> None:
    store = _store(root)
    assert store.store_dir == STORE_DIR
    store.connect().close()
    for path, content in files.items():
        Path(f"{root}{STORE_DIR.render(path)}").write_bytes(content)
    lines = [f"{STORE_DIR.render(path)}\n{'0' * 64}\n1\n\n0\n" for path in files]
    subprocess.run(
        ["nix-store", *store.arguments, "--load-db"], env=store.env, input="".join(lines), text=True, check=True
    )


def _bare(directory: Path, prepared: Path, graph: Graph, resolved: Sequence[Resolved]) -> float:
    root = directory / "bare"
    shutil.copytree(prepared, root)
    _add_outputs(root, graph)
    texts = [Text(one.path, one.text, one.derivation.references) for one in resolved]
    roots = RootDirectory(directory / "bare-roots")
    with _store(root).connect() as client:
        began = time.perf_counter()
        for start in range(0, len(texts), BATCH):
            batch = texts[start : start + BATCH]
            for answer in client.add_texts(batch):
                assert not isinstance(answer, NixError), answer
            roots.add_many(client, [text.path for text in batch])
        return len(texts) / (time.perf_counter() - began)


def _with_the_worker(directory: Path, prepared: Path, graph: Graph, wanted: dict[str, Resolved]) -> float:
    root = directory / "ours"
    shutil.copytree(prepared, root)
    store = _store(root)
    options = Options(None, store.uri, directory / "state")
    with EmbeddedPostgres(StateDirectory(options.state).postgres) as server:
        conninfo = server.conninfo()
        install(conninfo)
        with running_worker(options, conninfo, store, verbs=["load"]) as loading:
            _enqueue(loading.shared.procedures, graph)
            loading.drain()
        _add_outputs(root, graph)
        with psycopg.connect(conninfo) as connection:
            connection.execute("truncate resolver.watch")
            drvs, outputs, paths = zip(
                *((key.drv_path, key.chain[0], path) for key, path in graph.outputs.items()), strict=True
            )
            connection.execute(PREPARE, [list(drvs), list(outputs), list(paths)])
            connection.execute(READY, [list(wanted)])
        with psycopg.connect(conninfo, autocommit=True) as connection:
            connection.execute("vacuum analyze")
        began = time.perf_counter()
        with running_worker(options, conninfo, store, verbs=["resolve"]) as worker:
            worker.drain()
            seconds = time.perf_counter() - began
        with psycopg.connect(conninfo) as connection:
            found = dict(
                connection.execute(
                    "select o.drv, r.drv from resolver.resolution x join resolver.derivation o using (derivation) "
                    "join resolver.derivation r on r.derivation = x.resolved"
                ).fetchall()
            )
    assert found == {drv: one.path for drv, one in wanted.items()}
    return len(wanted) / seconds


def _enqueue(procedures: Procedures, graph: Graph) -> None:
    """Enqueue one build for each derivation without dependents."""
    used = {input_drv for drv in graph.texts for input_drv in graph.parse(drv).input_drvs}
    procedures.enqueue(
        project="bench",
        jobset="graph",
        file="graph",
        jobs=[
            {
                "job": drv,
                "drv": STORE_DIR.render(drv),
                "system": "x86_64-linux",
                "nix_name": drv,
                "outputs": dict.fromkeys(graph.parse(drv).outputs),
            }
            for drv in sorted(graph.texts.keys() - used)
        ],
        errors=None,
        retry=True,
    )
