"""Hostile callers of procedures: with objects of their own in the search path, and with SQL in arguments."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from hydra_resolver.database.privileges import OWNER_ONLY, grant
from hydra_resolver.embedded.postgres import EmbeddedPostgres

from ..support.databases import DRV, INFO, OUTPUT, execute, name_of, role_of, rows

KINDS = ("text", "integer", "bigint", "jsonb", "boolean", "interval", "timestamptz", "text[]", "integer[]", "bigint[]")
CAPTURED = "captured by the caller"


@pytest.fixture
def caller(cluster: EmbeddedPostgres, database: str) -> Iterator[str]:
    """The URL of a worker's role that may create schemas and temporary tables in the database."""
    with role_of(cluster, "caller") as role:
        grant(database, role, "worker")
        execute(database, f"grant create, temporary on database {name_of(database)} to {role}")
        yield cluster.conninfo(name_of(database), role)


# Objects in the search path


def words_used(database: str) -> tuple[set[str], set[str]]:
    """Return the names of functions and the operators that our functions and views may use, from their texts."""
    texts = [str(text) for (text,) in rows(
        database,
        "select prosrc from pg_proc where pronamespace = 'resolver'::regnamespace"
        " union all select definition from pg_views where schemaname = 'resolver'",
    )]  # fmt: skip
    words = {word.lower() for text in texts for word in re.findall(r"\b([a-zA-Z_]\w*)\s*\(", text)}
    symbols = {symbol for text in texts for symbol in re.findall(r"(?<=[\s)])([-+*/<>=~!@#%^&|?]{1,3})(?=[\s(])", text)}
    return words, symbols


def put_in_the_way(connection: psycopg.Connection, database: str) -> tuple[int, int, int]:
    """Make a schema with functions, operators and tables of the names that ours use; return how many of each."""
    functions, operators = words_used(database)
    connection.execute("create schema evil")
    overloads = connection.execute(
        "select p.proname, array(select t::regtype::text from unnest(proargtypes) t),"
        " p.prorettype::regtype::text from pg_proc p where p.pronamespace = 'pg_catalog'::regnamespace"
        " and p.prokind in ('f', 'a', 'w') and not p.proretset and p.proname = any (%s)",
        [sorted(functions)],
    ).fetchall()
    made = sum(
        _created(connection, f"create function evil.{name}({', '.join(kinds)}) returns {result} volatile {_BODY}")
        for name, kinds, result in overloads
    )
    # Functions that pg_catalog has for any type can be made for these types: a better match.
    general = {name for name, kinds, _ in overloads if any(re.search("any", kind) for kind in kinds)}
    for name in general:
        for left in KINDS:
            made += _created(connection, f"create function evil.{name}({left}) returns text volatile {_BODY}")
            for right in KINDS:
                made += _created(
                    connection, f"create function evil.{name}({left}, {right}) returns text volatile {_BODY}"
                )
    tricks = 0
    for left in KINDS:
        for right in KINDS:
            connection.execute(f"create function evil.trick({left}, {right}) returns boolean volatile {_BODY}".encode())
            for symbol in operators:
                tricks += _created(
                    connection,
                    f"create operator evil.{symbol} (leftarg = {left}, rightarg = {right}, function = evil.trick)",
                )
    tables = rows(
        database,
        "select relname, array(select quote_ident(attname) || ' ' || format_type(atttypid, atttypmod) from pg_attribute"
        " where attrelid = c.oid and attnum > 0 and not attisdropped order by attnum) from pg_class c"
        " where relkind in ('r', 'v') and relnamespace in ('resolver'::regnamespace, 'public'::regnamespace)",
    )
    for name, columns in tables:
        assert isinstance(columns, list)
        columns = [re.sub(r" resolver\..*", " text", column) for column in columns]
        connection.execute(f"create table evil.{name} ({', '.join(columns)})".encode())
        connection.execute(f"create temporary table {name} ({', '.join(columns)})".encode())
        connection.execute(f"grant all on {name} to public".encode())
    # Procedures run as another role: without the grants, PostgreSQL would skip the schema.
    connection.execute("grant all on schema evil to public")
    connection.execute("grant all on all tables in schema evil to public")
    return made, tricks, len(tables)


_BODY = f"language plpgsql as $$ begin raise exception '{CAPTURED}'; end $$"


def _created(connection: psycopg.Connection, statement: str) -> bool:
    try:
        with connection.transaction():
            connection.execute(statement.encode())
    except psycopg.Error:
        return False  # for example pseudo-types, which PL/pgSQL does not have
    return True


def live(connection: psycopg.Connection) -> None:
    """Do everything that a worker does with one build, in one session."""

    def one(procedure: str, *arguments: Any) -> Any:
        places = ", ".join(["%s"] * len(arguments))
        found = connection.execute(f"select * from resolver.{procedure}({places})".encode(), arguments).fetchall()
        return found[0] if found else None

    (worker,) = one("register_worker", "w", ["load", "resolve", "build"], ["any"], ["big"], "/nix/store", "tests")
    jobs = [{"job": "job", "drv": f"/nix/store/{DRV}", "system": "any", "nix_name": "job", "outputs": {"out": None}}]
    ((build,),) = one("enqueue", "p", "j", "f", Jsonb(jobs), "an error", True)
    library = "3" * 32 + "-library.drv"
    resolved = "4" * 32 + "-job.drv"
    common = {"system": "any", "kind": "floating", "features": ["big"], "prefer_local": False, "info": None}
    outputs = [{"name": "out", "path": None, "valid": False}]

    def loaded(drv: str, inputs: list[dict[str, Any]]) -> None:
        lease = one("claim_derivations", worker, "load", 1)[0]
        report = {**common, "lease": lease, "drv": drv, "name": drv[33:-4], "must_resolve": bool(inputs)}
        answer = one("register_derivations", Jsonb([{**report, "outputs": outputs, "inputs": inputs}]))
        assert answer == (lease, "done", None)

    def built(path: str) -> None:
        lease = one("claim_derivations", worker, "build", 1)[0]
        assert one("finish_steps", Jsonb([{"lease": lease, "outputs": {"out": path}, "info": INFO}]))[1] == "done"

    loaded(DRV, [{"drv": library, "outputs": ["out"]}])
    loaded(library, [])
    lease = one("claim_derivations", worker, "build", 1)[0]
    one("release_claims", worker, [lease], "released")
    built("5" * 32 + "-library")
    lease = one("claim_derivations", worker, "resolve", 1)[0]
    report = {
        "lease": lease,
        "samples": [[library, "out", "5" * 32 + "-library"]],
        "resolved": {**common, "drv": resolved, "name": "job", "confirmed": [], "outputs": outputs},
    }
    assert one("set_resolved_to", Jsonb([report])) == (lease, "done", None)
    lease = one("claim_derivations", worker, "build", 1)[0]
    failure = {"lease": lease, "class": "transient", "status": 3, "message": "x"}
    assert one("fail_steps", Jsonb([failure]))[1] == "retried"
    one("enqueue", "p", "j", "f", Jsonb(jobs), None, True)  # the retry ends the back-off
    built(OUTPUT)
    for procedure in ("sync_builds", "advance", "sweep", "end_builds", "status", "invariant_violations", "installed"):
        one(procedure)
    one("heartbeat", worker)
    one("has_work", worker)
    assert one("build_report", build)[0]["status"] == 0
    assert one("output_paths", DRV) == ({"out": OUTPUT},)
    one("trace", DRV)
    one("invalidate_paths", [OUTPUT])
    one("register_local_outputs", Jsonb([{"drv": DRV, "name": "out", "path": OUTPUT}]))
    one("restart_build", build)
    one("cancel_build", build)
    one("unneeded_roots", [DRV, OUTPUT])
    one("deregister_worker", worker)


def test_a_hostile_search_path_captures_nothing(database: str, caller: str) -> None:
    with psycopg.connect(caller, autocommit=True) as connection:
        functions, operators, tables = put_in_the_way(connection, database)
        assert functions > 300
        assert operators > 500
        assert tables > 30
        connection.execute("set search_path = evil, pg_temp, pg_catalog, public")
        with pytest.raises(psycopg.errors.RaiseException, match=CAPTURED):
            connection.execute("select jsonb_array_length('[]'::jsonb)")
        with pytest.raises(psycopg.errors.RaiseException, match=CAPTURED):
            connection.execute("select 'a'::text = 'a'::text")
        live(connection)
        # Only the search path of each function, which 00_catalog.sql demands, prevents the capture.
        execute(database, "alter function resolver.output_paths(text) reset search_path")
        with pytest.raises((psycopg.errors.RaiseException, psycopg.errors.InvalidFunctionDefinition)):
            connection.execute("select resolver.output_paths(%s)", [DRV])
    assert rows(database, "select * from resolver.invariant_violations()") == []


def test_a_monitor_reads_the_same_under_a_hostile_search_path(
    cluster: EmbeddedPostgres, database: str, caller: str
) -> None:
    with psycopg.connect(caller, autocommit=True) as connection:
        live(connection)
        put_in_the_way(connection, database)
    with role_of(cluster, "watcher") as role:
        grant(database, role, "monitor")
        readers = rows(
            database,
            "select oid::regclass::text from pg_class where relnamespace = 'resolver'::regnamespace and relkind = 'v'",
        )
        queries = [f"select count(*) from {view}" for (view,) in readers]
        queries += [f"select resolver.{call}" for call in ("invariant_violations()", f"trace('{DRV}')", "installed()")]
        with psycopg.connect(cluster.conninfo(name_of(database), role), autocommit=True) as connection:
            before = [connection.execute(query.encode()).fetchall() for query in queries]
            connection.execute("set search_path = evil, pg_temp, pg_catalog, public")
            # The caller's own count() is captured; the views must not be.
            queries = [query.replace("count(*)", "pg_catalog.count(*)") for query in queries]
            assert [connection.execute(query.encode()).fetchall() for query in queries] == before


# Arguments that contain SQL

HOSTILE = (
    "'; drop schema resolver cascade; --",
    "'); delete from public.Builds; --",
    '"; drop table Builds; --',
    "$$; drop table Builds; $$",
    "\\'; drop table Builds; --",
    "%s%I%L%n",
    "{}",
    "x" * 100_000,
    "../../../etc/passwd",
    "a\tb\nc",
    "\N{RIGHT-TO-LEFT OVERRIDE}\N{GRINNING FACE}",
    "",
)
NUMBERS = (0, -1, 2**31 - 1, -(2**31))
ALLOWED = ("00", "22", "23", "NX", "54")
"""SQLSTATE classes: success, invalid data, a constraint, an error of ours, a limit such as that of a key's length."""


def hostile_values(kind: str) -> list[Any]:
    if kind.endswith("[]"):
        return [[value] for value in hostile_values(kind[:-2])] + [[], [None]]
    match kind:
        case "text":
            return [*HOSTILE, None]
        case "integer":
            return [*NUMBERS, None]
        case "bigint":
            return [*NUMBERS, 2**63 - 1, None]
        case "interval":
            return [timedelta(0), timedelta(days=-999_999), timedelta(days=999_999), None]
        case "boolean":
            return [True, False, None]
        case "jsonb":
            fields = ("lease", "drv", "name", "path", "job", "system", "outputs", "inputs", "class", "message", "kind")
            whole: list[Any] = [[dict.fromkeys(fields, text)] for text in HOSTILE]
            whole += [[{"lease": number, "outputs": {text: text}}] for number in (1, None) for text in HOSTILE[:6]]
            whole += [[], {}, [[]], [None], "text", 1, None, {"a": 1}, [{}], [{"lease": "1 or 1=1"}]]
            return [Jsonb(value) for value in whole]
    raise AssertionError(f"no hostile values of type {kind}")


def test_no_procedure_executes_a_hostile_argument(database: str, caller: str) -> None:
    found = rows(
        database,
        "select proname, array(select t::regtype::text from unnest(proargtypes) t) from pg_proc"
        f" where pronamespace = 'resolver'::regnamespace and prosecdef and proname <> all (array{OWNER_ONLY})",
    )
    shape = rows(database, "select oid, relname from pg_class order by oid")
    called, wrong = 0, []
    with psycopg.connect(caller, autocommit=True) as connection:
        for name, kinds in found:
            assert isinstance(kinds, list)
            statement = f"select * from resolver.{name}({', '.join(f'%s::{kind}' for kind in kinds)})".encode()
            values = [hostile_values(kind) for kind in kinds]
            for turn in range(max((len(choices) for choices in values), default=1)):
                arguments = [choices[turn % len(choices)] for choices in values]
                called += 1
                try:
                    connection.execute(statement, arguments).fetchall()
                except psycopg.Error as error:
                    if not (error.sqlstate or "").startswith(ALLOWED):
                        wrong.append((name, arguments, str(error)))
    assert wrong == []
    assert called > 200
    assert rows(database, "select oid, relname from pg_class order by oid") == shape
    assert rows(database, "select * from resolver.invariant_violations()") == []


@pytest.mark.parametrize("text", [text for text in HOSTILE if text and len(text) < 1000], ids=json.dumps)
def test_hostile_names_are_stored_unchanged(database: str, caller: str, text: str) -> None:
    jobs = [{"job": text, "drv": f"/nix/store/{DRV}", "system": text, "nix_name": text, "outputs": {text: None}}]
    with psycopg.connect(caller, autocommit=True) as connection:
        connection.execute("select resolver.enqueue(%s, %s, %s, %s, %s, true)", [text, text, text, Jsonb(jobs), text])
        arguments = [text, ["load"], [text], [text], text, text]
        connection.execute("select resolver.register_worker(%s, %s, %s, %s, %s, %s)", arguments)
    assert rows(
        database, "select b.job, b.system, b.nixName, o.name from Builds b join BuildOutputs o on o.build = b.id"
    ) == [(text, text, text, text)]
    assert rows(database, "select project, name, errorMsg from Jobsets") == [(text, text, text)]
    assert rows(database, "select name, systems, features from resolver.worker") == [(text, [text], [text])]
