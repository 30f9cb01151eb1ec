"""Runs isolation specs with PostgreSQL's isolationtester, and compares their output with the expected output."""

import difflib
import os
import subprocess
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from pathlib import Path

TIMEOUT = 120  # seconds a spec


def run_specs(tester: Path, specs: Sequence[Path], new_database: Callable[[], str], threads: Executor) -> bool:
    """Run each spec in a fresh database, on these threads; print a diff for each failure. Return whether all passed.

    If a spec's output differs, it is kept beside the expected file as NAME.out.new.
    """
    passed = []
    for spec, (actual, wanted) in zip(
        specs, threads.map(lambda spec: _compared(tester, spec, new_database()), specs), strict=True
    ):
        passed.append(_tell(spec, actual, wanted))
    print(f"{sum(passed)} of {len(passed)} specs as expected", flush=True)
    return all(passed)


def as_expected(tester: Path, spec: Path, database: str) -> bool:
    """Run a spec in a database; return whether it prints the expected output."""
    actual, wanted = _compared(tester, spec, database)
    return actual == wanted


def _expected(spec: Path) -> Path:
    return spec.parent.parent / "expected" / f"{spec.stem}.out"


def _compared(tester: Path, spec: Path, database: str) -> tuple[str, str]:
    """Return the output of a spec, and the expected output."""
    expected = _expected(spec)
    return _normal(_output(tester, spec, database)), _normal(expected.read_text()) if expected.exists() else ""


def _tell(spec: Path, actual: str, wanted: str) -> bool:
    """Print the result of a spec; return whether the spec passed."""
    rejected = _expected(spec).with_suffix(".out.new")
    if actual == wanted:
        rejected.unlink(missing_ok=True)
        print(f"ok      {spec.stem}", flush=True)
        return True
    rejected.write_text(actual)
    print(f"FAILED  {spec.stem}: it printed {rejected}")
    print("".join(difflib.unified_diff(wanted.splitlines(True), actual.splitlines(True), "expected", "printed")))
    return False


def _output(tester: Path, spec: Path, database: str) -> str:
    """Run one spec as pg_isolation_regress does, with the output independent of dates, versions and languages."""
    env = {
        **os.environ,
        "PGDATESTYLE": "Postgres, MDY",
        "PGTZ": "PST8PDT",
        "LC_ALL": "C",
        "PGOPTIONS": "-c intervalstyle=postgres_verbose",
    }
    with spec.open() as text:
        try:
            done = subprocess.run(
                [tester, database],
                stdin=text,
                env=env,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
                timeout=TIMEOUT,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            return f"{(error.stdout or b'').decode()}\nisolationtester did not end within {TIMEOUT} s\n"
    return done.stdout + (f"isolationtester ended with status {done.returncode}\n" if done.returncode else "")


def _normal(text: str) -> str:
    """Strip blanks at the ends of lines, since editors remove them."""
    return "\n".join(line.rstrip() for line in text.splitlines()).strip() + "\n"
