"""Removes the safeguards of the database one at a time, and runs tests until one of them fails.

python -m tests.mutations [WORD...]     only mutations whose names contain a word; by default all, in some minutes

Safeguards are the CHECK constraints and unique indexes of the schema, the graph lock wherever it is taken, and the
fences in tests/support/fences.py. For each safeguard the program prints the test that failed. The exit status is 1 if
no test fails for a safeguard: either a test is missing, or the safeguard is not needed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import psycopg

from hydra_resolver.embedded.postgres import EmbeddedPostgres
from hydra_resolver.embedded.session import database_environment
from hydra_resolver.embedded.tools import postgres_bin

from .support.fences import FENCES, LOCK_KILLER, LOCKS, Fence
from .support.isolation import as_expected
from .support.temporary import create_database, create_installed_database, drop_database, temporary_cluster

ROOT = Path(__file__).resolve().parent.parent
FUNCTIONS = ROOT / "sql" / "functions"
SQL_TESTS = ROOT / "sql_tests"
MODEL = "model"
EXAMPLES = 20
PARALLEL = 2
LONGEST_STATEMENT = "2min"
READS_SOURCE = ("00_catalog.sql", "lock_graph.sql")
"""These tests read the source of functions. A missing lock must also be noticed by a test that observes behaviour."""


@dataclass(frozen=True)
class Mutation:
    """A change of the database, and the tests that are expected to fail, cheapest first."""

    name: str
    statement: str
    killers: Sequence[str]
    blind: Sequence[str] = ()  # tests that do not count


def catalog_mutations(conninfo: str) -> Iterator[Mutation]:
    """Yield a mutation for every CHECK constraint and unique index of the schema, primary keys included."""
    with psycopg.connect(conninfo) as connection:
        rows = connection.execute(
            "select k.conname, format('alter table %s drop constraint %I cascade', k.conrelid::regclass, k.conname) "
            "from pg_constraint k where k.connamespace = 'resolver'::regnamespace and k.contype in ('c', 'u', 'p') "
            "union all select c.relname, format('drop index %s', i.indexrelid::regclass) "
            "from pg_index i join pg_class c on c.oid = i.indexrelid "
            "where c.relnamespace = 'resolver'::regnamespace and i.indisunique "
            "and not exists (select from pg_constraint k where k.conindid = i.indexrelid and k.contype in ('u', 'p')) "
            "order by 1"
        ).fetchall()
    for name, statement in rows:
        yield Mutation(name, statement, ["constraints.sql"])


def mutated(fence: Fence) -> str:
    """Return the file of a function without the fence. Raises ValueError unless the text occurs exactly once."""
    text = (FUNCTIONS / f"{fence.file}.sql").read_text()
    if text.count(fence.old) != 1:
        raise ValueError(f"{fence.file}.sql has {text.count(fence.old)} times: {fence.old}")
    return text.replace(fence.old, fence.new)


def function_mutations() -> Iterator[Mutation]:
    """Yield a mutation for every place where the graph lock is taken, and for every fence."""
    for file in LOCKS:
        lock = Fence(file, "perform resolver.lock_graph();", "null;", LOCK_KILLER)
        yield Mutation(f"{file}: the lock", mutated(lock), [LOCK_KILLER], READS_SOURCE)
    for fence in FENCES:
        name = f"{fence.file}: {' '.join(fence.old.split())} -> {' '.join(fence.new.split())}"
        yield Mutation(name, mutated(fence), [fence.killer], [test for test in READS_SOURCE if test != fence.killer])


class Laboratory:
    """A server with databases to copy: as installed, with pgTAP, and with the farm of the isolation specs."""

    def __init__(self, cluster: EmbeddedPostgres) -> None:
        self._cluster = cluster
        self._tester = postgres_bin().parent / "lib/pgxs/src/test/isolation/isolationtester"
        self.installed = create_installed_database(cluster)
        self._templates = {name: create_database(cluster, self.installed) for name in (".sql", ".spec")}
        with psycopg.connect(cluster.superuser_conninfo(self._templates[".sql"]), autocommit=True) as connection:
            for extension in ("pgtap", "plpgsql_check"):
                connection.execute(f"create extension {extension} schema public".encode())
        with psycopg.connect(cluster.conninfo(self._templates[".spec"]), autocommit=True) as connection:
            connection.execute((SQL_TESTS / "isolation" / "farm.sql").read_bytes())

    def conninfo(self) -> str:
        return self._cluster.conninfo(self.installed)

    def find_killer(self, mutation: Mutation) -> str | None:
        """Return the first test that fails in a mutated database."""
        others = [test for test in all_tests() if test not in mutation.killers]
        for test in [*(killer for killer in mutation.killers if killer in all_tests()), *others]:
            # Interleavings depend on timing: on a busy machine a spec must fail twice to count.
            tries = 2 if test.endswith(".spec") else 1
            if test not in mutation.blind and not any(self._passes(mutation.statement, test) for _ in range(tries)):
                return test
        return None

    def _passes(self, statement: str, test: str) -> bool:
        name = create_database(self._cluster, self._templates.get(Path(test).suffix, self.installed))
        conninfo = self._cluster.conninfo(name)
        try:
            with psycopg.connect(conninfo, autocommit=True) as connection:
                connection.execute(statement.encode())
                # The timeout turns an endless loop into a failure.
                connection.execute(f"alter database {name} set statement_timeout = '{LONGEST_STATEMENT}'".encode())
            if test.endswith(".sql"):
                return succeeds(["pg_prove", "--ext", ".sql", str(SQL_TESTS / test)], database_environment(conninfo))
            if test.endswith(".spec"):
                return as_expected(self._tester, SQL_TESTS / "isolation" / "specs" / test, conninfo)
            return succeeds([sys.executable, "-m", "tests.model.test_model", conninfo, str(EXAMPLES)], {})
        finally:
            drop_database(self._cluster, name)


def succeeds(command: Sequence[str], environment: dict[str, str]) -> bool:
    with tempfile.TemporaryFile() as output:
        done = subprocess.run(
            command, cwd=ROOT, env={**os.environ, **environment}, stdout=output, stderr=output, check=False
        )
    return done.returncode == 0


def all_tests() -> list[str]:
    """Return all tests, cheapest first."""
    files = [*sorted(SQL_TESTS.glob("*.sql")), *sorted((SQL_TESTS / "isolation" / "specs").glob("*.spec"))]
    return [*(file.name for file in files), MODEL]


def main(words: Sequence[str]) -> int:
    with temporary_cluster(vacuums=False) as cluster:
        laboratory = Laboratory(cluster)
        mutations = [*catalog_mutations(laboratory.conninfo()), *function_mutations()]
        chosen = [mutation for mutation in mutations if not words or any(word in mutation.name for word in words)]
        nothing = Mutation("nothing", "select", [])

        def examine(mutation: Mutation) -> tuple[Mutation, str | None, float]:
            began = time.monotonic()
            return mutation, laboratory.find_killer(mutation), time.monotonic() - began

        survivors = 0
        with ThreadPoolExecutor(PARALLEL) as pool:
            for done in as_completed([pool.submit(examine, mutation) for mutation in [nothing, *chosen]]):
                mutation, killer, seconds = done.result()
                wrong = (killer is None) != (mutation is nothing)
                survivors += wrong
                print(f"{'SURVIVES' if killer is None else killer:28} {seconds:6.1f} s  {mutation.name}", flush=True)
    print(f"{len(chosen)} mutations, {survivors} unnoticed")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
