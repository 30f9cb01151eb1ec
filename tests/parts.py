"""The parts of ./dev test. tests/run_all.py runs them side by side.

python -m tests.parts PART STORM-SECONDS [PYTEST-ARGS...]
"""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import psycopg

from hydra_resolver.embedded.errors import EmbeddedError
from hydra_resolver.embedded.postgres import EmbeddedPostgres
from hydra_resolver.embedded.session import database_environment
from hydra_resolver.embedded.tools import postgres_bin

from .support.isolation import run_specs
from .support.newest_postgres import newest_postgres
from .support.temporary import create_database, create_installed_database, temporary_cluster

ROOT = Path(__file__).resolve().parent.parent
SQL_TESTS = ROOT / "sql_tests"
PYTEST, STORM = "pytest", "storm"
CORES = len(os.sched_getaffinity(0))
PYTEST_PROCESSES = min(2 * CORES, 12)
DEFAULT_STORM = 60  # seconds


@dataclass(frozen=True)
class Part:
    """One part: its name, its heading, and a function that returns whether it passed."""

    name: str
    heading: str
    run: Callable[[], bool]


def command(*words: str | Path, env: Mapping[str, str] | None = None) -> bool:
    """Run a program in the clone's root and return whether it succeeded."""
    try:
        return subprocess.run(words, cwd=ROOT, env={**os.environ, **(env or {})}, check=False).returncode == 0
    except FileNotFoundError:
        print(f"{words[0]} is missing: run the tests through ./dev test")
        return False


def module(name: str, *words: str) -> bool:
    """Run a Python module of this environment as a program."""
    return command(sys.executable, "-m", name, *words)


def lint() -> bool:
    """Run ruff: rules and formatting."""
    rules = module("ruff", "check", ".")
    return module("ruff", "format", "--check", ".") and rules


def pgtap(cluster: EmbeddedPostgres, template: str) -> bool:
    """Run the pgTAP files in one database; each file is a transaction that is rolled back.

    The superuser puts pgTAP and plpgsql_check into the schema `public`; the files run as the plain owner.
    """
    files = sorted(SQL_TESTS.glob("*.sql"))
    if not files:
        print("no files in sql_tests/")
        return False
    return prove(cluster, template, files, ("pgtap", "plpgsql_check"))


def pgtap_on_newest() -> bool:
    """Run the pgTAP files on the newest server, except the catalog's, which needs a plpgsql_check for that server."""
    extensions = Path("/usr/share/postgresql") / postgres_bin().parent.name
    files = sorted(path for path in SQL_TESTS.glob("*.sql") if path.name != "00_catalog.sql")

    def proved(cluster: EmbeddedPostgres, template: str) -> bool:
        with psycopg.connect(cluster.superuser_conninfo(), autocommit=True) as connection:
            print(f"PostgreSQL {connection.execute('show server_version').fetchall()[0][0]}", flush=True)
            connection.execute(f"alter system set extension_control_path = '{extensions}:$system'".encode())
            connection.execute("select pg_reload_conf()")
        return prove(cluster, template, files, ("pgtap",))

    with newest_postgres():
        return in_database(proved)()


def prove(cluster: EmbeddedPostgres, template: str, files: Sequence[Path], extensions: Sequence[str]) -> bool:
    """Run pgTAP files in a copy of the database with these extensions."""
    name = create_database(cluster, template)
    with psycopg.connect(cluster.superuser_conninfo(name), autocommit=True) as connection:
        for extension in extensions:
            try:
                connection.execute(f"create extension {extension} schema public".encode())
            except psycopg.errors.FeatureNotSupported as error:
                print(f"the extension {extension} is not installed: {error}. Run the tests through ./dev test")
                return False
    env = database_environment(cluster.conninfo(name))
    return command("pg_prove", "--ext", ".sql", "--failures", *files, env=env)


def isolation(cluster: EmbeddedPostgres, template: str) -> bool:
    """Run the isolation specs: interleavings of several sessions, each in a copy of one database."""
    specs = sorted((SQL_TESTS / "isolation" / "specs").glob("*.spec"))
    if not specs:
        print("no specs in sql_tests/isolation/specs/")
        return False
    tester = postgres_bin().parent / "lib/pgxs/src/test/isolation/isolationtester"
    if not tester.exists():
        print(
            f"{tester} is missing: install the package of Debian that has it, postgresql-client of the server's version"
        )
        return False
    prepared = create_database(cluster, template)
    with psycopg.connect(cluster.conninfo(prepared), autocommit=True) as connection:
        connection.execute((SQL_TESTS / "isolation" / "farm.sql").read_bytes())
    with ThreadPoolExecutor(CORES) as threads:
        return run_specs(tester, specs, lambda: cluster.conninfo(create_database(cluster, prepared)), threads)


def in_database(run: Callable[[EmbeddedPostgres, str], bool]) -> Callable[[], bool]:
    """Give a part a server of its own, and the name of a database with the schema installed, to copy from."""

    def started() -> bool:
        try:
            with temporary_cluster(vacuums=False) as cluster:
                return run(cluster, create_installed_database(cluster))
        except (EmbeddedError, psycopg.Error, ImportError) as error:
            print(f"{type(error).__name__}: {error}")
            return False

    return started


def all_pytest(pytest_arguments: Sequence[str]) -> NoReturn:
    """Run tests/ in several processes, since most tests wait most of the time.

    Each process takes one file after another, so that fixtures of a module are made once. If the arguments name tests
    or options, there is one process.
    """
    if not runs_all(pytest_arguments):
        become_pytest(*pytest_arguments)
    several = ["--numprocesses", str(PYTEST_PROCESSES), "--dist", "loadfile", "--no-loadscope-reorder"]
    become_pytest("-p", "no:cacheprovider", *several, *pytest_arguments)


def become_pytest(*words: str) -> NoReturn:
    """Replace this process by pytest, so that pytest gets an interrupt itself and has time to stop its servers."""
    os.chdir(ROOT)
    os.execv(sys.executable, [sys.executable, "-m", "pytest", *words])


def runs_all(pytest_arguments: Sequence[str]) -> bool:
    """Whether the arguments name no tests, and no options that need a single process."""
    return all(word.startswith("--nix=") for word in pytest_arguments)


def storm(seconds: int, pytest_arguments: Sequence[str]) -> NoReturn:
    """Run the tests that are marked `storm`, which the ordinary run leaves out.

    Tests without an end run for HYDRA_RESOLVER_STORM_SECONDS each.
    """
    os.environ["HYDRA_RESOLVER_STORM_SECONDS"] = str(seconds)
    become_pytest(*pytest_arguments, "-m", STORM)


def parts(pytest_arguments: Sequence[str] = (), storm_seconds: int = DEFAULT_STORM) -> list[Part]:
    """Return all parts, cheapest first."""
    return [
        Part("lint", "ruff: rules and formatting; sentences", lint),
        Part("types", "mypy --strict on the package", lambda: module("mypy")),
        Part("pgtap", "pgTAP: sql_tests/*.sql", in_database(pgtap)),
        Part("newest", "pgTAP on the newest PostgreSQL", pgtap_on_newest),
        Part("isolation", "isolation specs: sql_tests/isolation", in_database(isolation)),
        Part(PYTEST, "pytest: tests/", lambda: all_pytest(pytest_arguments)),
        Part(
            STORM,
            f"pytest: storm, {storm_seconds} s for each test without end",
            lambda: storm(storm_seconds, pytest_arguments),
        ),
    ]


def main(arguments: Sequence[str]) -> int:
    """Run one part; return 0 if it passed and 1 otherwise."""
    name, storm_seconds, *pytest_arguments = arguments
    (part,) = [part for part in parts(pytest_arguments, int(storm_seconds)) if part.name == name]
    return 0 if part.run() else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
