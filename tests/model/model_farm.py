"""The database under test, for the tests against the model: procedures, Hydra's side, and a snapshot to compare."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from hashlib import md5
from typing import Any

import psycopg
from psycopg.rows import args_row
from psycopg.types.json import Jsonb

from hydra_resolver.database.procedures import Answer

from .model_types import Node

Report = dict[str, Any]

TABLES = (
    "resolver.propagation",
    "resolver.lost_path",
    "resolver.build_request",
    "resolver.interrupted_step",
    "resolver.watch",
    "resolver.lease",
    "resolver.history",
    "resolver.goal",
    "resolver.failure",
    "resolver.resolution",
    "resolver.realisation",
    "resolver.output",
    "resolver.chain",
    "resolver.dependency",
    "resolver.derivation_state",
    "resolver.derivation",
    "resolver.machine_type",
    "resolver.jobset_use",
    "resolver.worker",
    "resolver.store",
    "BuildStepOutputs",
    "BuildSteps",
    "BuildProducts",
    "BuildMetrics",
    "BuildOutputs",
    "Builds",
)
"""The tables that an example may fill, in an order in which they can be emptied."""

CLOCK = """
create or replace function resolver.clock() returns timestamptz
    language sql volatile set search_path = pg_catalog, pg_temp
as $$
    select to_timestamp(current_setting('t.now')::double precision)
$$;
create or replace function public.named(text) returns text language sql immutable as $$
    select substring($1 from '[0-9a-z]{32}-(.*?)(?:[.]drv)?$')
$$;
insert into Users (userName, emailAddress, password) values ('someone', '', '') on conflict do nothing;
insert into Projects (name, displayName, owner) values ('project', 'project', 'someone')
    on conflict do nothing;
insert into Jobsets (project, name, nixExprInput, nixExprPath, emailOverride) values ('project', 'jobset', '', '', '')
    on conflict do nothing;
"""

SNAPSHOT = """
select jsonb_build_object(
    'derivations', (
        select coalesce(jsonb_object_agg(named(d.drv), jsonb_build_array(
                   s.stage, named(r.drv), s.stage = 'failed' or s.failed_dependency is not null,
                   (select coalesce(jsonb_object_agg(o.name, substr(o.path, 34)), '{}') from resolver.output o
                     where o.derivation = s.derivation and o.valid_since is not null))), '{}')
          from resolver.derivation_state s
          join resolver.derivation d using (derivation)
          left join resolver.derivation r on r.derivation = s.resolved_to),
    'claims', (
        select coalesce(jsonb_object_agg(l.lease, jsonb_build_array(named(d.drv), l.verb, l.worker)), '{}')
          from resolver.lease l join resolver.derivation d using (derivation) where l.closed_at is null),
    'failed', (
        select coalesce(jsonb_object_agg(named(d.drv), f.build), '{}')
          from resolver.failure f join resolver.derivation d using (derivation) where f.cleared_at is null),
    'goals', (
        select coalesce(jsonb_object_agg(g.build, jsonb_build_array(
                   named(d.drv), g.recorded_at is not null,
                   case when g.ended_at is not null then jsonb_build_array(g.status, g.is_cached) end)), '{}')
          from resolver.goal g join resolver.derivation d on d.derivation = g.root),
    'causes', (
        select coalesce(jsonb_object_agg(g.build, named(d.drv)), '{}')
          from resolver.goal g join resolver.derivation d on d.derivation = g.cause),
    'builds', (
        select coalesce(jsonb_object_agg(b.id, case when b.finished = 1 then jsonb_build_array(
                   b.buildStatus, b.isCachedBuild = 1) end), '{}')
          from Builds b),
    'aborted', (select coalesce(jsonb_agg(named(drvPath)), '[]') from BuildSteps where type = 0 and status = 3),
    'busy', (select count(*) from BuildSteps where busy <> 0),
    'uncounted', (
        select n.count - (select count(*) from Builds where finished = 1) from NrBuilds n where n.what = 'finished'),
    'violations', (select coalesce(jsonb_agg(v.check_view), '[]') from resolver.invariant_violations() v))
"""


def hashed(name: str) -> str:
    """Return a base name of a store path; `x.drv` gets the hash of the derivation `x`."""
    return f"{md5(name.removesuffix('.drv').encode()).hexdigest()}-{name}"


def drv(name: str) -> str:
    return f"{hashed(name)}.drv"


def named(base_name: str) -> str:
    return base_name[33:]


@dataclass
class Claim:
    """A claim as claim_derivations() returns it, and its report."""

    lease: int
    name: str
    build: int
    root: bool
    inputs: Any
    known: Mapping[str, str]
    verb: str = ""
    worker: int = 0
    deadline: int | None = None
    report: Report | None = None  # the report that closed it

    def samples(self) -> list[list[str]]:
        """Return (input, output, path) of each input output."""
        return [[name, output, path] for name, outputs in self.inputs.items() for output, path in outputs.items()]


class Farm:
    """One database for all examples in turn. Its clock stands still."""

    def __init__(self, conninfo: str) -> None:
        self._connection = psycopg.connect(conninfo, autocommit=True, prepare_threshold=2)
        self._connection.execute(CLOCK.encode())
        there = self.value("select array_agg(x) from unnest(%s::text[]) x where to_regclass(x) is not null", [*TABLES])
        self._tables = [table for table in TABLES if table in there]
        self._sequences = self.value(
            "select array_agg(c.oid::regclass::text) from pg_class c where c.relkind = 'S' and c.relnamespace in "
            "('public'::regnamespace, 'resolver'::regnamespace) and c.relname not like 'jobset%%'"
        )

        # The function's body instead of the function: the body is planned once, the function at every call.
        checks = self.value("select prosrc from pg_proc where proname = 'invariant_violations'")
        self._snapshot = SNAPSHOT.replace("resolver.invariant_violations() v", f"({checks}) v (check_view, n)")

    def close(self) -> None:
        self._connection.close()

    def reset(self) -> None:
        """Remove everything of the example before. This is faster than a copy of a database, and than truncating."""
        with self._connection.transaction():
            for table in self._tables:
                self._connection.execute(f"delete from {table}".encode())
            self._connection.execute("update resolver.build_scan set complete = null, position = null")
            self.value("select count(setval(x, 1, false)) from unnest(%s::text[]) x", self._sequences)

    def value(self, statement: str, *parameters: Any) -> Any:
        row = self._connection.execute(statement.encode(), parameters or None).fetchone()
        return row[0] if row else None

    def at(self, now: int) -> None:
        self.value("select set_config('t.now', %s, false)", str(now))

    # Workers.

    def register_worker(self) -> int:
        verbs, systems = ["load", "resolve", "build"], ["x86_64-linux"]
        arguments = ["worker", verbs, systems, [], "/nix/store", "one"]
        return int(self.value("select resolver.register_worker(%s, %s, %s, %s, %s, %s)", *arguments))

    def claim(self, worker: int, verb: str, limit: int) -> list[Claim]:
        columns = "lease, public.named(drv), build, root, inputs, known"
        with self._connection.cursor(row_factory=args_row(Claim)) as cursor:
            cursor.execute(
                f"select {columns} from resolver.claim_derivations(%s, %s, %s)".encode(), [worker, verb, limit]
            )
            return cursor.fetchall()

    def heartbeat(self, worker: int) -> list[int]:
        return list(self.value("select array(select resolver.heartbeat(%s))", worker))

    def report(self, procedure: str, reports: Sequence[Report]) -> list[str]:
        """Send reports; return the outcome of each."""
        with self._connection.cursor(row_factory=args_row(Answer)) as cursor:
            cursor.execute(f"select lease, outcome, detail from resolver.{procedure}(%s)".encode(), [Jsonb(reports)])
            answers = cursor.fetchall()
        assert [answer.lease for answer in answers] == [report["lease"] for report in reports if report["lease"]]
        return [answer.outcome for answer in answers]

    def find_output(self, name: str, output: str, path: str) -> int:
        found = [{"drv": drv(name), "name": output, "path": hashed(path)}]
        return int(self.value("select resolver.register_local_outputs(%s)", Jsonb(found)))

    def prune(self) -> tuple[set[str], set[int]]:
        """Prune everything that may be forgotten; return the remaining derivations and goals."""
        after: int | None = 0
        while after is not None:
            after = self.value("select resolver.prune('0', %s) -> 'after'", after)
        names = self.value("select array(select named(drv) from resolver.derivation)")
        return {*names}, {*self.value("select array(select build from resolver.goal)")}

    # Hydra's programs.

    def add_build(self, root: Node) -> int:
        return int(
            self.value(
                "with b as (insert into Builds (finished, timestamp, jobset_id, job, drvPath, system) "
                "select 0, 1, j.id, 'job', %s, 'x86_64-linux' from Jobsets j returning id), "
                "o as (insert into BuildOutputs (build, name) select b.id, o from b, unnest(%s::text[]) o) "
                "select id from b",
                f"/nix/store/{drv(root.name)}",
                list(root.outputs),
            )
        )

    def change_build(self, build: int, change: str, root: Node) -> None:
        statement = {
            "cancel": "update Builds set finished = 1, buildStatus = 4, isCachedBuild = 0, startTime = 1, stopTime = 1",
            "restart": "update Builds set finished = 0, isCachedBuild = 0",
            "delete": "delete from Builds",
            "bump": "update Builds set globalPriority = globalPriority + 1",
            "evaluate": f"update Builds set drvPath = '/nix/store/{drv(root.name)}', finished = 0, buildStatus = null",
        }[change]
        self.value(f"{statement} where id = %s returning id", build)

    def sync_builds(self, retry: Collection[int], accept: Collection[int]) -> None:
        while self.value("select resolver.sync_builds(%s, %s)", list(retry), list(accept)):
            pass

    def look(self) -> Any:
        """Do a worker's tick; return the snapshot to compare."""
        while self.value("select resolver.advance()"):
            pass
        return self.value(self._snapshot)
