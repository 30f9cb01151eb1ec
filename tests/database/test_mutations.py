"""The mutations fit the current code: each replaced text exists, and each mutated function is valid."""

from __future__ import annotations

import re

import psycopg
import pytest

from hydra_resolver.embedded.postgres import EmbeddedPostgres

from ..mutations import FUNCTIONS, all_tests, function_mutations
from ..support.fences import FENCES, LOCK_KILLER, LOCKS
from ..support.temporary import create_database, drop_database

LOCK = "perform resolver.lock_graph();"


def test_every_function_that_takes_the_graph_lock_is_on_the_list() -> None:
    taking = {str(f.relative_to(FUNCTIONS).with_suffix("")) for f in FUNCTIONS.rglob("*.sql") if LOCK in f.read_text()}
    assert taking == {*LOCKS}


def test_every_test_that_is_expected_to_notice_a_mutation_exists() -> None:
    assert {LOCK_KILLER, *(fence.killer for fence in FENCES)} <= {*all_tests()}


def test_no_mutation_is_on_the_list_twice() -> None:
    names = [mutation.name for mutation in function_mutations()]
    assert len(names) == len({*names})


def test_every_mutated_function_is_still_valid(cluster: EmbeddedPostgres, database_template: str) -> None:
    """Any test would notice an invalid one."""
    name = create_database(cluster, database_template)
    try:
        with psycopg.connect(cluster.superuser_conninfo(name), autocommit=True) as connection:
            try:
                connection.execute("create extension plpgsql_check schema public")
            except psycopg.errors.FeatureNotSupported:
                pytest.skip("the extension plpgsql_check is not installed: run the tests through ./dev test")
            for mutation in function_mutations():
                with connection.transaction(force_rollback=True):
                    connection.execute(mutation.statement.encode())
                    (signature,) = re.findall(r"create or replace function (resolver\.\w+)\(", mutation.statement)
                    errors = connection.execute(
                        "select c.lineno, c.message from pg_proc p cross join plpgsql_check_function_tb(p.oid) c "
                        "where p.pronamespace = 'resolver'::regnamespace and p.prosrc = %s and c.level = 'error'",
                        [mutation.statement.split("$$")[1]],
                    ).fetchall()
                    assert errors == [], (signature, mutation.name)
    finally:
        drop_database(cluster, name)
