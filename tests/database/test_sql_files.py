"""The files of sql/functions: one function per file, all in the manifest, and the installed functions are theirs."""

import re
from pathlib import Path

import psycopg
import pytest

from hydra_resolver.database.install import function_files, sql_directory

FUNCTIONS = sql_directory() / "functions"
DEFINED = re.compile(r"^create or replace (function|view) resolver\.(\w+)", re.MULTILINE)
CALLED = re.compile(r"\bresolver\.(\w+)")
COMMENT = re.compile(r"--.*|^comment on .*$", re.MULTILINE)
SEVERAL_VIEWS = {"checks.sql"}
OVERLOADS = {"set_resolved_to_one.sql": "set_resolved_to"}


def defined(path: Path) -> list[tuple[str, str]]:
    """Return (function or view, name) for each definition in a file."""
    return DEFINED.findall(path.read_text())


def test_the_manifest_names_every_file_once() -> None:
    listed = function_files()
    assert sorted(listed) == sorted(FUNCTIONS.rglob("*.sql"))
    assert len(set(listed)) == len(listed)


@pytest.mark.parametrize("path", function_files(), ids=lambda path: path.stem)
def test_a_file_defines_the_function_of_its_name(path: Path) -> None:
    found = defined(path)
    if path.parent == FUNCTIONS:
        assert not found, "a file outside of the folders defines nothing"
    elif path.name in SEVERAL_VIEWS:
        assert found
        assert all(kind == "view" for kind, _ in found)
    else:
        assert [name for _, name in found] == [OVERLOADS.get(path.name, path.stem)]
    text = path.read_text()
    assert text.startswith("-- "), "the file begins with its purpose"
    assert text.count("\ncomment on ") == len(found), "each definition has a comment for users of psql"
    if path.name not in SEVERAL_VIEWS:
        assert len(text.splitlines()) <= 100, "the file is short"


def test_the_manifest_lists_one_folder_after_another() -> None:
    listed = [path.parent.name for path in function_files() if path.parent != FUNCTIONS]
    assert listed == sorted(listed, key=listed.index)


def test_functions_call_only_functions_of_their_own_folder_and_of_earlier_folders() -> None:
    rank = {path.parent.name: number for number, path in enumerate(function_files())}
    folder = {name: path.parent.name for path in function_files() for _, name in defined(path)}
    calls = {
        f"{path.parent.name}/{path.name} calls {folder[called]}/{called}"
        for path in function_files()
        if path.parent != FUNCTIONS
        for called in CALLED.findall(COMMENT.sub("", path.read_text()))
        if called in folder and rank[folder[called]] > rank[path.parent.name]
    }
    assert calls == set()


def test_the_installed_functions_and_views_are_those_of_the_files(database: str) -> None:
    expected = sorted(entry for path in function_files() for entry in defined(path))
    with psycopg.connect(database) as connection:
        installed = connection.execute(
            """
            select 'function', proname from pg_proc where pronamespace = 'resolver'::regnamespace
            union all
            select 'view', relname from pg_class where relnamespace = 'resolver'::regnamespace and relkind = 'v'
            """
        ).fetchall()
    assert sorted(installed) == expected
