"""Problems of a database with the schema, as `db check` reports them."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg

from ..hydra_conf import last_value
from .connections import patience
from .finding import Finding, value
from .installed import Installation, check_connected, exists
from .privileges import lacking_privileges
from .release import NEWEST_HYDRA
from .server_settings import wrong_settings

HEARING_SECONDS = 2.0
"""The time in which a notification has to arrive."""

INDEXES = (
    ("Builds", "id"), ("Builds", "finished"), ("BuildOutputs", "build"), ("BuildSteps", "build"),
    ("BuildSteps", "drvPath"), ("BuildSteps", "busy"), ("BuildStepOutputs", "build"), ("BuildProducts", "build"),
    ("BuildMetrics", "build"), ("JobsetEvalMembers", "build"),
)  # fmt: skip
"""Columns that an index of Hydra's has to begin with: else PostgreSQL scans whole tables under the graph lock."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Versions of a database, the role that checked it, and the findings."""

    postgresql: int
    hydra: int
    role: str
    findings: list[Finding]

    @property
    def ready(self) -> bool:
        """Whether there is no grave finding."""
        return not any(finding.grave for finding in self.findings)


def diagnose(conninfo: str, listen: str | None, hydra_config: Path | None = None) -> Diagnosis:
    """Check everything as the role of this connection.

    `listen`: the database where workers listen, None if they only poll; `hydra_config`: Hydra's configuration file, if
    it is known. Raises as `check` does, if workers can't even start.
    """
    with psycopg.connect(conninfo, autocommit=True, **patience(conninfo)) as connection:
        installed = check_connected(connection, for_writing=True)
        findings = [
            *_version(installed),
            *_privileges(connection),
            *wrong_settings(connection),
            *_hydra(connection, installed),
            *_hydra_conf(hydra_config, installed),
        ]
        version, role = connection.info.server_version // 10000, value(connection, "select current_user")
    if listen is not None:
        findings += _hearing(conninfo, listen)
    return Diagnosis(version, installed.hydra, role, findings)


def _version(installed: Installation) -> Iterator[Finding]:
    if installed.hydra > NEWEST_HYDRA:
        yield Finding(
            "version",
            False,
            f"Hydra's schema has version {installed.hydra}, this release was made for {NEWEST_HYDRA}: "
            "look for a later release.",
        )


def _privileges(connection: psycopg.Connection) -> Iterator[Finding]:
    owner = value(connection, "select pg_get_userbyid(nspowner) from pg_namespace where nspname = 'resolver'")
    lacking = lacking_privileges(connection, owner)
    if lacking:
        yield Finding(
            "privileges",
            True,
            f"the owner of the schema 'resolver', '{owner}', lacks rights to Hydra's tables: {'; '.join(lacking)}.",
        )
    if value(connection, "select rolsuper from pg_roles where rolname = %s", owner):
        yield Finding(
            "privileges",
            False,
            f"the schema 'resolver' belongs to '{owner}', a superuser, with whose rights all procedures run: "
            "uninstall, and install as the role that owns Hydra's tables.",
        )
    refused = value(
        connection,
        "select count(*) from pg_proc p where p.pronamespace = 'resolver'::regnamespace and p.prosecdef"
        " and p.proname = any (array['register_worker', 'heartbeat', 'claim_derivations', 'finish_steps'])"
        " and not has_function_privilege(p.oid, 'execute')",
    )
    if refused:
        role = value(connection, "select current_user")
        yield Finding(
            "privileges",
            False,
            f"the role '{role}' can't run a worker. To let it: hydra-resolver db grant {role} --as worker",
        )
    if value(
        connection,
        "select exists (select from pg_namespace n, aclexplode(n.nspacl) a where n.nspname = 'public'"
        " and a.grantee = 0 and a.privilege_type = 'CREATE')",
    ):
        yield Finding(
            "privileges",
            True,
            "every role may create objects in the schema 'public', where Hydra's own triggers look up names: any role "
            "can act as the owner of the tables. As superuser or owner: revoke create on schema public from public",
        )


def _hydra(connection: psycopg.Connection, installed: Installation) -> Iterator[Finding]:
    if not installed.counts_finished:
        yield Finding(
            "hydra",
            True,
            "NrBuilds has no row 'finished', so finished builds are not counted: "
            "insert into NrBuilds select 'finished', count(*) from Builds where finished = 1",
        )
    triggers = connection.execute(
        "select x from unnest(array['nrbuildsfinished', 'buildsdeleted', 'buildrestarted', 'buildcancelled',"
        " 'buildbumped']) x where not exists (select from pg_trigger t where t.tgrelid = to_regclass('public.builds')"
        " and t.tgname = x and t.tgenabled in ('O', 'A'))"
    ).fetchall()
    for (name,) in triggers:
        consequence = "finished builds are not counted" if name == "nrbuildsfinished" else "workers notice by polling"
        yield Finding(
            "hydra",
            name == "nrbuildsfinished",
            f"Hydra's trigger {name} on Builds is missing or disabled: {consequence}. Run hydra-init.",
        )
    for table, column in INDEXES:
        if exists(connection, f"public.{table.lower()}") and not _has_index(connection, table, column):
            yield Finding(
                "hydra",
                True,
                f"no index of {table} begins with {column}, so all of {table} is read to find a row: "
                f"create index concurrently on {table} ({column})",
            )


def _hydra_conf(file: Path | None, installed: Installation) -> Iterator[Finding]:
    said = last_value(file, "max_unsupported_time") if file else None
    if said is not None and said.isdecimal() and int(said) != installed.max_unsupported_time:
        kept = installed.max_unsupported_time
        yield Finding(
            "hydra.conf",
            False,
            f"{file} has max_unsupported_time = {said}, which workers do not read: derivations that no worker can "
            f"build wait for {'ever' if kept is None else f'{kept:.0f} s'} here. To use Hydra's value: "
            f"update resolver.setting set max_unsupported_time = '{said} seconds'",
        )


def _has_index(connection: psycopg.Connection, table: str, column: str) -> bool:
    query = """
        select exists (select from pg_index i
                         join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
                        where i.indrelid = to_regclass(%s) and a.attname = %s and i.indisvalid and i.indisready
                          and coalesce(pg_get_expr(i.indpred, i.indrelid), '') in ('', '(finished = 0)', '(busy <> 0)'))
    """
    return bool(value(connection, query, f"public.{table.lower()}", column.lower()))


def _hearing(conninfo: str, listen: str) -> Iterator[Finding]:
    try:
        heard = hears(conninfo, listen)
    except psycopg.Error as error:
        yield Finding(
            "pooler", True, f"workers can't listen: {' '.join(str(error).split())}. Workers poll. {_LISTEN_ADVICE}"
        )
        return
    if not heard:
        yield Finding(
            "pooler",
            True,
            "notifications do not arrive, as through a pooler in transaction mode. Workers poll. " + _LISTEN_ADVICE,
        )


_LISTEN_ADVICE = (
    "Set listen_database to an address of the server itself (--listen-database, HYDRA_RESOLVER_LISTEN_DATABASE, or in "
    "the settings file), or to 'none' if workers can only poll."
)


def hears(conninfo: str, listen: str) -> bool:
    """Return whether a listener on one connection gets notifications of the other one. Raises psycopg.Error."""
    channel = f"hydra_resolver_check_{uuid.uuid4().hex}"  # behind a pooler the server session may go on listening
    with psycopg.connect(listen, autocommit=True, **patience(listen)) as listener:
        listener.execute(f"listen {channel}".encode())
        with psycopg.connect(conninfo, autocommit=True, **patience(conninfo)) as sender:
            sender.execute("select pg_notify(%s, '')", [channel])
        heard = any(True for _ in listener.notifies(timeout=HEARING_SECONDS, stop_after=1))
        listener.execute(f"unlisten {channel}".encode())
        return heard
