"""`prune`: forget old records that no build needs."""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import click
from rich.console import Console

from ..database.records import Records
from ..nix.store import Store
from .errors import CouldNotRun, clear_errors
from .target import Options, open_store, store_identity, target_options
from .trace import open_records
from .words import counted

_AGE = re.compile(r"([0-9]{1,5})([hdw])")
_UNITS = {"h": "hours", "d": "days", "w": "weeks"}
_NOUNS = {
    "derivations": "derivation", "realisations": "realisation", "resolutions": "resolution", "failures": "failure",
    "goals": "end of a build", "leases": "claim",
}  # fmt: skip

Tell = Callable[[str], None]


@click.command()
@click.option("--older-than", required=True, metavar="AGE", help="Such as 90d, 12h or 2w.")
@click.option("--dry-run", is_flag=True, help="Change nothing: only print the number of records.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@target_options
@clear_errors
def prune(options: Options, older_than: str, dry_run: bool, as_json: bool) -> None:
    """Forget derivations that are old, not needed by an unfinished build, and not in the store any more.

    A derivation is old if nothing has happened to it for AGE. The command first asks the store which old outputs it
    has, and keeps their realisations. Hydra's own tables do not change. Workers can run meanwhile.
    """
    age = parse_age(older_than)
    store = open_store(options)
    with open_records(options) as records, _progress() as tell:
        records.check_store(directory=store.store_dir.path, identity=store_identity(options))
        gone, released = _withdraw(records, store, age, tell, dry_run=dry_run)
        forgotten = _forget(records, age, tell, dry_run=dry_run)
    if dry_run:
        forgotten["derivations"] += released  # their rows in other tables are not counted
    if as_json:
        click.echo(json.dumps({"dry_run": dry_run, "withdrawn": gone, **forgotten}))
    else:
        for line in in_words(gone, forgotten, dry_run=dry_run):
            click.echo(line)


def parse_age(text: str) -> timedelta:
    """Parse an age such as 90d. Raises CouldNotRun."""
    match = _AGE.fullmatch(text.strip())
    if match is None:
        raise CouldNotRun(
            f"--older-than {text} is not an age: write a number and h, d or w (hours, days, weeks), such as 90d."
        )
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def in_words(gone: int, forgotten: Counter[str], *, dry_run: bool) -> Iterator[str]:
    """Yield lines about what was forgotten, or would be."""
    if gone:
        yield f"{counted(gone, 'path')} of old derivations {'is' if gone == 1 else 'are'} not in the store any more"
    parts = [_counted(forgotten[name], noun) for name, noun in _NOUNS.items() if forgotten[name]]
    yield f"{'would be forgotten' if dry_run else 'forgotten'}: {', '.join(parts) or 'nothing'}"


def _counted(number: int, noun: str) -> str:
    return f"{number} ends of builds" if noun.startswith("end ") and number != 1 else counted(number, noun)


def _withdraw(records: Records, store: Store, age: timedelta, tell: Tell, *, dry_run: bool) -> tuple[int, int]:
    """Withdraw missing paths; return their number, and the number of derivations that have no other path."""
    gone_paths: set[str] = set()
    released, seen = 0, 0
    after: int | None = 0
    with store.connect() as client:
        while after is not None:
            candidates, after = records.prunable_paths(age, after)
            paths = {path for some in candidates.values() for path in some} - gone_paths
            gone = paths - client.query_valid_paths(sorted(paths)) if paths else set()
            if gone and not dry_run:
                records.invalidate_paths(sorted(gone))
            gone_paths |= gone
            released += sum(gone_paths.issuperset(some) for some in candidates.values())
            seen += len(paths)
            tell(f"asked the store for {seen} paths, {len(gone_paths)} are gone")
    return len(gone_paths), released


def _forget(records: Records, age: timedelta, tell: Tell, *, dry_run: bool) -> Counter[str]:
    forgotten: Counter[str] = Counter()
    after: int | None = 0
    while after is not None:
        part, after = records.prune(age, after, dry_run=dry_run)
        forgotten.update(part)
        tell(f"{'would forget' if dry_run else 'forgot'} {forgotten['derivations']} derivations")
    return forgotten


@contextmanager
def _progress() -> Iterator[Tell]:
    """Show a changing line on a terminal; do nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    with Console(stderr=True).status("") as status:
        yield status.update
