"""Helpers for tests of a database: statements, roles, open transactions, a build that runs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from hydra_resolver.database.procedures import Claim, Procedures
from hydra_resolver.embedded.postgres import EmbeddedPostgres

DRV = "1" * 32 + "-job.drv"
OUTPUT = "2" * 32 + "-job"
INFO = {"size": 1, "closure_size": 1, "failed": False, "release_name": None, "products": [], "metrics": []}


def execute(database: str, *statements: str) -> None:
    """Execute each statement in a transaction of its own."""
    with psycopg.connect(database, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def rows(database: str, query: str) -> list[tuple[object, ...]]:
    """Return the rows of a query."""
    with psycopg.connect(database) as connection:
        return connection.execute(query.encode()).fetchall()


def name_of(database: str) -> str:
    """Return the name of the database in a URL."""
    return str(conninfo_to_dict(database)["dbname"])


@contextmanager
def open_transaction(database: str, *statements: str) -> Iterator[psycopg.Connection]:
    """Hold a transaction open after these statements; roll it back in the end."""
    with psycopg.connect(database) as connection:
        for statement in statements:
            connection.execute(statement.encode())
        yield connection
        connection.rollback()


@contextmanager
def role_of(cluster: EmbeddedPostgres, name: str = "somebody") -> Iterator[str]:
    """Create a plain role that owns nothing. In the end the role is dropped, with its grants in all databases."""
    role = f"{name}_{os.getpid()}"
    superuser = cluster.superuser_conninfo()
    with psycopg.connect(superuser, autocommit=True) as connection:
        connection.execute(sql.SQL("create role {} login").format(sql.Identifier(role)))
    try:
        yield role
    finally:
        names = rows(superuser, "select datname from pg_database where datallowconn and datname like 'test%'")
        for (database,) in names:
            with psycopg.connect(cluster.superuser_conninfo(str(database)), autocommit=True) as connection:
                connection.execute(sql.SQL("drop owned by {} cascade").format(sql.Identifier(role)))
        with psycopg.connect(superuser, autocommit=True) as connection:
            connection.execute(sql.SQL("drop role {}").format(sql.Identifier(role)))


def force_upgrade(database: str) -> None:
    """Make the next installation create all functions again."""
    execute(database, "update resolver.installation set functions = 'of another release'")


def enqueue(procedures: Procedures) -> int:
    """Enqueue a build of the one derivation; return its number."""
    job = {"job": "job", "drv": f"/nix/store/{DRV}", "system": "any", "nix_name": "job", "outputs": {"out": None}}
    (build,) = procedures.enqueue(project="p", jobset="j", file="f", jobs=[job], errors=None, retry=True)
    return build


def claim_build(procedures: Procedures) -> Claim:
    """Register a worker that loads the derivation and claims it to build; return the claim."""
    worker = procedures.register_worker(
        name="tests",
        verbs=["load", "resolve", "build"],
        systems=["any"],
        features=[],
        store_directory="/nix/store",
        store_identity="tests",
    )
    (claim,) = procedures.claim(worker, "load", 10)
    report = {
        "lease": claim.lease, "drv": DRV, "name": "job", "system": "any", "kind": "floating", "features": [],
        "prefer_local": False, "must_resolve": False, "info": None, "inputs": [],
        "outputs": [{"name": "out", "path": None, "valid": False}],
    }  # fmt: skip
    assert [answer.outcome for answer in procedures.register_derivations([report])] == ["done"]
    (claim,) = procedures.claim(worker, "build", 1)
    return claim


def finish(procedures: Procedures, claim: Claim) -> None:
    """Report that the claimed derivation was built."""
    report = {"lease": claim.lease, "outputs": {"out": OUTPUT}, "machine": "localhost", "info": INFO}
    assert [answer.outcome for answer in procedures.finish_steps([report])] == ["done"]


def running_build(database: str) -> int:
    """Enqueue a build whose one step is claimed by worker 1, which sends no heartbeats; return the build's number."""
    procedures = Procedures(database, connections=1)
    try:
        build = enqueue(procedures)
        assert claim_build(procedures).build == build
        return build
    finally:
        procedures.close()
