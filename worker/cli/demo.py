"""`demo`: build the examples, and explain the results."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from .errors import clear_errors
from .run import Session, build_file, open_session, print_json
from .tables import built, cut_off, show, show_builds, show_steps
from .target import Options, target_options
from .words import STATUS_WORDS

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

EXPECTED = {
    "fails": 1, "fails-resolved": 1, "wrong-hash": 1, "on-failed": 2, "on-failed-resolved": 2, "failed-with-output": 6,
    "on-written-failure": 2,
}  # fmt: skip
"""Jobs of demo.nix and dynamic.nix that fail on purpose, with their status; all others have to succeed."""

CHOSEN = ("words-second.report", "words-first.report", "words-second.count", "words-first.count")
"""Jobs of demo.nix of which some are cut off early: the job that is built first is not."""

COMMENT = "Converts temperatures, as it did before this comment was changed."
"""A fixed text, so that the second demo finds the library of the first."""

Reports = list[dict[str, Any]]
Runs = list[tuple[dict[str, int], Reports]]
"""The expected statuses, and the reports."""


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each build, and nothing else.")
@click.option("--dynamic", is_flag=True, help="Build examples/dynamic.nix: derivations that builders write.")
@target_options
@clear_errors
def demo(options: Options, as_json: bool, dynamic: bool) -> None:
    """Build the examples, show the results, and draw how one example was cut off early.

    Some examples fail on purpose. Exit status 0 if every build ended as expected, 1 if not, 2 if the demo could not be
    run.
    """
    with open_session(options) as session:
        if dynamic:
            runs = _run_dynamic(session, as_json)
        elif as_json:
            runs = _run_json(session)
        else:
            runs = _run_in_words(session)
        surprises = [line for expected, reports in runs for line in unexpected(expected, reports)]
        interrupted = session.interrupted()
    if interrupted:
        surprises.append("the demo was interrupted")
    for surprise in surprises:
        click.echo(f"not as expected: {surprise}", err=True)
    if not surprises and not as_json:
        _say("Every build ended as expected, including the builds that fail on purpose.")
    sys.exit(1 if surprises else 0)


def unexpected(expected: dict[str, int], reports: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Yield a line for each build that did not end as expected."""
    for report in reports:
        wanted = expected.get(report["job"], 0)
        found = report["status"] if report["finished"] else None
        if found != wanted:
            ended = "is not finished" if found is None else STATUS_WORDS.get(found, f"status {found}")
            yield f"build {report['build']} ({report['job']}): {ended}, instead of {STATUS_WORDS[wanted]}"


def _run_json(session: Session) -> Runs:
    runs: Runs = [(EXPECTED, _build(session, "demo.nix"))]
    if has_compiler():
        runs += [({}, _build(session, "library.nix", comment)) for comment in (None, COMMENT)]
    for _, reports in runs:
        print_json(reports)
    return runs


def _run_in_words(session: Session) -> Runs:
    reports = _build(session, "demo.nix")
    show_builds(reports)
    jobs = {report["job"]: report for report in reports}
    early = [job for job in CHOSEN if job in jobs and cut_off([_told(session, jobs[job])])]
    if early or reports:
        _say(
            "The words-* jobs write one list in two ways. The derivations differ, their outputs do not: from there on"
            " nothing is built twice. One of these jobs, step by step:"
        )
        _draw(session, jobs[early[0]] if early else reports[-1])
    runs: Runs = [(EXPECTED, reports)]
    if session.interrupted():
        return runs
    if not has_compiler():
        _say("examples/library.nix is left out: there is no C compiler (cc) in /usr/bin.")
        return runs

    _say("A C library and two programs that use it:")
    before = _build(session, "library.nix")
    show_builds(before)
    runs.append(({}, before))
    if session.interrupted():
        return runs
    _say("The same, after a comment in the library's source was changed:")
    after = _build(session, "library.nix", COMMENT)
    show_builds(after)
    _explain_change(session, after)
    return [*runs, ({}, after)]


def _run_dynamic(session: Session, as_json: bool) -> Runs:
    reports = _build(session, "dynamic.nix")
    if as_json:
        print_json(reports)
        return [(EXPECTED, reports)]
    show_builds(reports)
    _say(
        "Builders wrote some derivations of these builds. Below `filled in`, each of these derivations hangs from"
        " the output that contains it: that output was built before the derivation could be loaded."
    )
    for report in reports:
        _draw(session, report)
        show([Text()])
    return [(EXPECTED, reports)]


def _explain_change(session: Session, after: Reports) -> None:
    told = [_told(session, report) for report in after]
    early = cut_off(told)
    rebuilt = ", ".join(report["job"] for report in told if built([report])) or "nothing"
    ended_early = ", ".join(report["job"] for report in early) or "nothing"
    when = "" if told == after else " when this comment was new"
    _say(f"Built again{when}: {rebuilt}. Cut off early: {ended_early}.")
    if early:
        _draw(session, early[0])


def has_compiler() -> bool:
    """Return whether examples/library.nix can be built here: its builders look for `cc` in the same directories."""
    return shutil.which("cc", path="/usr/bin:/bin") is not None


def _build(session: Session, name: str, comment: str | None = None) -> Reports:
    argstrs = [("comment", comment)] if comment is not None else []
    # Cached failures stay: the second demo builds nothing.
    reports, failures = build_file(session, EXAMPLES / name, argstrs=argstrs, cached_failures=True)
    if failures:
        raise click.ClickException(f"{EXAMPLES / name} does not evaluate")
    return reports


def _told(session: Session, report: dict[str, Any]) -> dict[str, Any]:
    """Return the build whose steps made the outputs of this build: itself, or an earlier build."""
    earlier = report.get("known_from")
    return (earlier and session.worker.shared.procedures.build_report(earlier)) or report


def _draw(session: Session, report: dict[str, Any]) -> None:
    show_steps(report)
    told = _told(session, report)
    if told is not report:
        show([Text()])
        show_steps(told)


def _say(words: str) -> None:
    show([Text(), *map(Text, textwrap.wrap(words, 78, break_on_hyphens=False)), Text()])
