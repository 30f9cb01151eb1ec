"""Everything that ./dev test runs, cheapest first, with a summary at the end; each part runs whatever the others did.

python -m tests.run_all [--storm [SECONDS]] [--only PART]... [PYTEST-ARGS...]
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg

from hydra_resolver.embedded.errors import EmbeddedError
from hydra_resolver.embedded.postgres import EmbeddedPostgres
from hydra_resolver.embedded.session import database_environment
from hydra_resolver.embedded.tools import postgres_bin

from .isolation import run_specs
from .newest_postgres import newest_postgres
from .temporary import create_database, create_installed_database, temporary_cluster

ROOT = Path(__file__).resolve().parent.parent
SQL_TESTS = ROOT / "sql_tests"
DEFAULT_STORM = 60  # seconds
STORM = "storm"


@dataclass(frozen=True)
class Part:
    """One thing to run: its name, what it is, and a function that returns whether it passed."""

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
    """Ruff's rules and its formatting."""
    rules = module("ruff", "check", ".")
    return module("ruff", "format", "--check", ".") and rules


def pgtap(cluster: EmbeddedPostgres, template: str) -> bool:
    """The pgTAP files, in one database: each file is a transaction that is rolled back.

    pgTAP and plpgsql_check are put into the schema `public` by the superuser; the files run as the plain owner.
    """
    files = sorted(SQL_TESTS.glob("*.sql"))
    if not files:
        print("no files in sql_tests/")
        return False
    return prove(cluster, template, files, ("pgtap", "plpgsql_check"))


def pgtap_on_newest() -> bool:
    """The same files on the newest server; but for the catalog's, which needs a plpgsql_check made for the server."""
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
    """Run pgTAP files in a copy of the database that has these extensions."""
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
    """The isolation specs: interleavings of several sessions, each in a copy of a database with the farm they share."""
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
    return run_specs(tester, specs, lambda: cluster.conninfo(create_database(cluster, prepared)))


def in_database(run: Callable[[EmbeddedPostgres, str], bool]) -> Callable[[], bool]:
    """Give a part a server of its own, and the name of a database with the schema installed to copy."""

    def started() -> bool:
        try:
            with temporary_cluster(vacuums=False) as cluster:
                return run(cluster, create_installed_database(cluster))
        except (EmbeddedError, psycopg.Error, ImportError) as error:
            print(f"{type(error).__name__}: {error}")
            return False

    return started


def all_pytest(pytest_arguments: Sequence[str]) -> bool:
    """All of tests/: two processes do half of the files each, since most tests wait for something most of the time.

    The output of the first one comes when both have ended. Whoever names tests, or options, has one process.
    """
    if not all(word.startswith("--nix=") for word in pytest_arguments):
        return module("pytest", *pytest_arguments)
    files = sorted(path for path in (ROOT / "tests").rglob("test_*.py") if "storm" not in path.parts)
    pytest = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *pytest_arguments]
    with tempfile.TemporaryFile() as output:
        with subprocess.Popen([*pytest, *files[::2]], cwd=ROOT, stdout=output, stderr=output) as first:
            passed = command(*pytest, *files[1::2])
            first.wait()
        print("\n-- the other half", flush=True)
        output.seek(0)
        shutil.copyfileobj(output, sys.stdout.buffer)
        sys.stdout.flush()
    return passed and first.returncode == 0


def storm(seconds: int, pytest_arguments: Sequence[str]) -> bool:
    """The tests that are marked `storm`, which the ordinary run leaves out.

    Those that could go on forever do so for HYDRA_RESOLVER_STORM_SECONDS each.
    """
    environment = {"HYDRA_RESOLVER_STORM_SECONDS": str(seconds)}
    return command(sys.executable, "-m", "pytest", *pytest_arguments, "-m", "storm", env=environment)


def parts(pytest_arguments: Sequence[str], storm_seconds: int = DEFAULT_STORM) -> list[Part]:
    """Return all parts, in the order in which they run."""
    return [
        Part("lint", "ruff: rules and formatting", lint),
        Part("types", "mypy --strict on the package", lambda: module("mypy")),
        Part("pgtap", "pgTAP: sql_tests/*.sql", in_database(pgtap)),
        Part("newest", "pgTAP on the newest PostgreSQL", pgtap_on_newest),
        Part("isolation", "isolation specs: sql_tests/isolation", in_database(isolation)),
        Part("pytest", "pytest: tests/", lambda: all_pytest(pytest_arguments)),
        Part(
            STORM,
            f"pytest: storm, {storm_seconds} s for each test without end",
            lambda: storm(storm_seconds, pytest_arguments),
        ),
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the parts, print a summary, return 0 when all passed and 1 otherwise."""
    parser = argparse.ArgumentParser(prog="./dev test", description="Run all tests. Other words are passed to pytest.")
    parser.add_argument(
        "--storm",
        nargs="?",
        type=int,
        const=DEFAULT_STORM,
        metavar="SECONDS",
        help=f"also run the tests that take long, and those without end for that long (default {DEFAULT_STORM} s)",
    )
    parser.add_argument(
        "--only", action="append", choices=[part.name for part in parts([])], help="run this part only; can be repeated"
    )
    options, pytest_arguments = parser.parse_known_args(arguments)
    only = options.only or [part.name for part in parts([]) if part.name != STORM or options.storm is not None]
    results: list[tuple[Part, bool, float]] = []
    for part in parts(pytest_arguments, options.storm or DEFAULT_STORM):
        if part.name not in only:
            continue
        print(f"\n== {part.heading}", flush=True)
        started = time.monotonic()
        passed = part.run()
        results.append((part, passed, time.monotonic() - started))
    print("\n== summary")
    for part, passed, seconds in results:
        print(f"{'passed' if passed else 'FAILED'}  {seconds:6.1f} s  {part.heading}")
    return 0 if all(passed for _, passed, _ in results) else 1


if __name__ == "__main__":
    sys.exit(main())
