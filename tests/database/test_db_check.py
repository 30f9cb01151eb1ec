"""`db check` reports problems of a database, with the remedy."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from hydra_resolver.database.diagnosis import INDEXES, Diagnosis, diagnose
from hydra_resolver.embedded.postgres import EmbeddedPostgres

from ..support.databases import execute, name_of


def command(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "hydra_resolver", *words],
        capture_output=True,
        text=True,
        check=False,
        env={name: value for name, value in os.environ.items() if not name.startswith("HYDRA_")} | variables,
    )


def test_the_check_finds_nothing_in_a_sound_database(database: str) -> None:
    found = diagnose(database, database)
    assert found.findings == []
    done = command("db", "check", "--database", database)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("the database is ready (PostgreSQL ")


def findings(found: Diagnosis) -> list[tuple[str, bool]]:
    return [(finding.topic, finding.grave) for finding in found.findings]


WRONG_SETTINGS = [
    ("default_transaction_isolation", "repeatable read", True),
    ("statement_timeout", "20s", True),
    ("lock_timeout", "100ms", False),
    ("idle_session_timeout", "10min", False),
    ("synchronous_commit", "off", False),
    ("standard_conforming_strings", "off", True),
]


@pytest.mark.parametrize(("name", "value", "grave"), WRONG_SETTINGS, ids=[name for name, *_ in WRONG_SETTINGS])
def test_the_check_reports_a_harmful_setting_with_the_statement_that_corrects_it(
    database: str, name: str, value: str, grave: bool
) -> None:
    execute(database, f"alter role hydra in database {name_of(database)} set {name} = '{value}'")
    found = diagnose(database, database)
    assert findings(found) == [("settings", grave)]
    assert found.ready is not grave
    message = found.findings[0].message
    assert message.startswith(f"{name} is {value}: ")
    assert f'alter role "hydra" set {name} = ' in message


def test_the_check_reports_a_server_setting_that_stops_statistics(cluster: EmbeddedPostgres, database: str) -> None:
    execute(cluster.superuser_conninfo(), f"alter database {name_of(database)} set track_counts = off")
    assert findings(diagnose(database, database)) == [("settings", True)]


@pytest.mark.parametrize(("table", "column"), INDEXES, ids=[".".join(pair) for pair in INDEXES])
def test_the_check_reports_a_missing_index_of_hydra(database: str, table: str, column: str) -> None:
    execute(
        database,
        f"""
        do $$
        declare v_index record;
        begin
            for v_index in
                select i.indexrelid::regclass as name, k.conname as key
                  from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
                  left join pg_constraint k on k.conindid = i.indexrelid and k.contype = 'p'
                 where i.indrelid = '{table}'::regclass and a.attname = lower('{column}')
            loop
                if v_index.key is null then
                    execute format('drop index %s', v_index.name);
                else
                    execute format('alter table {table} drop constraint %I cascade', v_index.key);
                end if;
            end loop;
        end
        $$
        """,
    )
    found = diagnose(database, database)
    assert findings(found) == [("hydra", True)]
    assert f"create index concurrently on {table} ({column})" in found.findings[0].message


@pytest.mark.parametrize(
    ("change", "topic", "grave", "words"),
    [
        ("delete from NrBuilds", "hydra", True, "insert into NrBuilds select 'finished'"),
        ("alter table Builds disable trigger NrBuildsFinished", "hydra", True, "finished builds are not counted"),
        ("drop trigger BuildBumped on Builds", "hydra", False, "buildbumped on Builds is missing"),
        ("update SchemaVersion set version = 88", "version", False, "Hydra's schema has version 88"),
        ("revoke insert on BuildSteps from hydra", "privileges", True, "lacks rights to Hydra's tables: INSERT on b"),
    ],
)
def test_the_check_reports_missing_parts_of_hydra(
    database: str, change: str, topic: str, grave: bool, words: str
) -> None:
    execute(database, change)
    found = diagnose(database, database)
    assert findings(found) == [(topic, grave)]
    assert words in found.findings[0].message


def test_the_check_reports_a_public_schema_in_which_every_role_may_create_objects(
    cluster: EmbeddedPostgres, database: str
) -> None:
    execute(cluster.superuser_conninfo(name_of(database)), "grant create on schema public to public")
    found = diagnose(database, database)
    assert findings(found) == [("privileges", True)]
    assert "revoke create on schema public from public" in found.findings[0].message


def test_the_check_reports_a_listening_address_without_notifications(database: str, empty_database: str) -> None:
    assert diagnose(database, None).findings == []
    found = diagnose(database, empty_database)
    assert findings(found) == [("pooler", True)]
    assert "Set listen_database to an address of the server itself" in found.findings[0].message
    found = diagnose(database, "postgresql:///x?host=/nowhere")
    assert findings(found) == [("pooler", True)]
    assert "workers can't listen: " in found.findings[0].message


def test_the_check_has_output_for_programs(database: str, empty_database: str) -> None:
    execute(database, "delete from NrBuilds", "update SchemaVersion set version = 88")
    done = command("db", "check", "--json", "--database", database)
    assert (done.returncode, done.stderr) == (1, "")
    found = json.loads(done.stdout)
    assert (found["ready"], found["hydra"], found["role"]) == (False, 88, "hydra")
    assert [finding["topic"] for finding in found["findings"]] == ["version", "hydra"]
    done = command("db", "check", "--database", database)
    assert [line.split(":")[0] for line in done.stdout.splitlines()[:-1]] == ["wrong", "note"]
    assert done.stdout.splitlines()[-1].startswith("the database is not ready")

    done = command("db", "check", "--json", "--database", empty_database)
    assert done.returncode == 2
    assert json.loads(done.stdout)["ready"] is False
    assert "has no schema 'resolver'" in json.loads(done.stdout)["error"]


@pytest.mark.parametrize(
    ("said", "kept", "differs"),
    [
        ("86400", "1 day", False),
        ("30", "1 day", True),
        ("0", "null", True),
        ("0", "0", False),
        ("soon", "1 day", False),
    ],
)
def test_the_check_reports_a_time_limit_that_differs_from_hydras_with_the_statement_that_adopts_it(
    database: str, tmp_path: Path, said: str, kept: str, differs: bool
) -> None:
    execute(database, f"update resolver.setting set max_unsupported_time = {kept if kept == 'null' else repr(kept)}")
    config = tmp_path / "hydra.conf"
    config.write_text(f"max_unsupported_time = {said}\n")
    found = diagnose(database, database, config)
    assert findings(found) == ([("hydra.conf", False)] if differs else [])
    if differs:
        (statement,) = re.findall(r"update resolver\.setting .*", found.findings[0].message)
        execute(database, statement)
        assert diagnose(database, database, config).findings == []


def test_the_check_finds_hydras_configuration(database: str, tmp_path: Path) -> None:
    (tmp_path / "hydra.conf").write_text("max_unsupported_time = 30\n")
    done = command("db", "check", "--database", database, HYDRA_DATA=str(tmp_path))
    assert done.returncode == 0
    assert f"note: {tmp_path}/hydra.conf has max_unsupported_time = 30" in done.stdout
