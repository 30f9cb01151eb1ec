"""How long the graph lock is held at most, while a package set goes through the database. Golden answers, no Nix."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

import psycopg

from hydra_resolver.database.procedures import Procedures
from tests.driving import Driver
from tests.nix.graphs import read_graph
from tests.temporary import create_database, create_installed_database, temporary_cluster


def main(words: Sequence[str]) -> int:
    """Run and print; status 1 when an invariant is broken."""
    parser = argparse.ArgumentParser(prog="lock", description=__doc__)
    parser.add_argument("--graph", default="core-large")
    options = parser.parse_args(words)
    graph = read_graph(options.graph)
    with temporary_cluster() as cluster:
        conninfo = cluster.conninfo(create_database(cluster, create_installed_database(cluster)))
        procedures = Procedures(conninfo, connections=1)
        driver = Driver(procedures, graph)
        began = time.perf_counter()
        builds = driver.enqueue()
        driver.drive()
        seconds = time.perf_counter() - began
        procedures.close()
        with psycopg.connect(conninfo) as connection:
            finished = connection.execute("select count(*) from Builds where finished = 1").fetchone()
            broken = connection.execute("select * from resolver.invariant_violations()").fetchall()
    done = finished[0] if finished else 0
    print(f"{len(graph.texts)} derivations, {len(builds)} builds ({done} finished) in {seconds:.1f} s")
    for name, times in sorted(driver.seconds.items()):
        times.sort()
        print(
            f"  {name:22} {len(times):6} calls  median {1000 * times[len(times) // 2]:7.2f} ms  "
            f"99 % {1000 * times[int(len(times) * 0.99)]:7.2f} ms  longest {1000 * times[-1]:7.2f} ms"
        )
    print(f"broken invariants: {broken or 'none'}")
    return 1 if broken else 0
