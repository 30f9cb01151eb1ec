"""The table of builds and the drawing of one build: readable in 80 columns, complete in a pipe."""

from __future__ import annotations

from typing import Any

import pytest
from rich.text import Text

from hydra_resolver.cli.demo import EXPECTED, unexpected
from hydra_resolver.cli.drawing import draw_steps
from hydra_resolver.cli.status import STAGES, status_in_words
from hydra_resolver.cli.tables import build_details, builds_table, built, cut_off, resolved, show_builds, summary
from hydra_resolver.cli.words import duration, first_line, message_lines, printable, short_name

from ..docs.test_examples import FAILING

STORE = "/home/somebody/.local/state/hydra-resolver/nix/store"
COUNT = "95vh440j33328xzayxlrmib8dhvmgnnh-count-of-words.drv"
RESOLVED = "5qp2zl0bykx1x5amrp0jxj8axhymwl9v-count-of-words.drv"
LIST = "ad2vcfiqiijyg5ji89marnw8i7nixdx3-list-of-words.drv"
LIST_OUT = "7gmv4jb6wnki0i1i0lqbdmhj1282v7n9-list-of-words"
OUT = f"{STORE}/y2i2qp3nqkjzg9am9wfhrq3h5rdk4w0y-count-of-words"
FAILS = "v093d4blh3f730jjir0067l2fkn0amsw-builder-that-fails.drv"
REASON = f"Cannot build '{STORE}/{FAILS}'.\nReason: builder failed with exit code 1."


def step(stepnr: int, drv: str, status: int | None, **others: Any) -> dict[str, Any]:
    return {
        "stepnr": stepnr, "type": 0, "drv": f"{STORE}/{drv}", "status": status, "busy": 0, "resolved": None,
        "message": None, "propagated_from": None, "seconds": 0, "filled_in": None, "built_by": None,
    } | others  # fmt: skip


def report(build: int, job: str, status: int | None = 0, **others: Any) -> dict[str, Any]:
    return {
        "build": build, "job": job, "drv": f"{STORE}/{COUNT}", "finished": status is not None, "status": status,
        "cached": False, "system": "x86_64-linux", "held_up": None, "message": None,
        "outputs": {"out": OUT if status == 0 else None}, "steps": [], "known_from": None,
    } | others  # fmt: skip


RESOLVED_STEP = step(1, COUNT, 13, resolved=RESOLVED, filled_in=[[LIST, "out", LIST_OUT]])
CUT_OFF = report(24, "words.count", cached=True, steps=[RESOLVED_STEP, step(2, RESOLVED, 0, type=1, built_by=21)])
BUILT = report(25, "words.again", steps=[RESOLVED_STEP, step(2, RESOLVED, 0, seconds=3)])
FAILED = report(6, "fails", 1, message=REASON, steps=[step(1, FAILS, 1, message=REASON)])
DEPENDENT = report(13, "on-failed", 2, message=REASON, steps=[step(1, FAILS, 1, message=REASON, propagated_from=6)])
QUEUED = report(14, "elsewhere", None, held_up={"drv": LIST, "stage": "buildable", "reason": "no worker for mips"})
ALL = [CUT_OFF, BUILT, FAILED, DEPENDENT, QUEUED]


def plain(lines: list[Text]) -> list[str]:
    return [line.plain for line in lines]


def test_every_build_has_one_line_with_whole_paths_in_a_pipe() -> None:
    head, *lines = plain(builds_table(ALL, None))
    assert head.split()[:3] == ["build", "job", "status"]
    assert [line.split()[:2] for line in lines] == [
        ["24", "words.count"], ["25", "words.again"], ["6", "fails"], ["13", "on-failed"], ["14", "elsewhere"],
    ]  # fmt: skip
    assert lines[0].endswith(f"succeeded          cached  {OUT}")
    assert lines[1].endswith(f"succeeded          built   {OUT}")
    assert lines[2].endswith("failed             -       builder failed with exit code 1.")
    assert lines[3].endswith(f"dependency failed  -       {FAILS} failed in build 6: builder failed with exit code 1.")
    assert lines[4].endswith(f"queued:            -       {LIST}: no worker for mips")


def test_the_table_of_builds_fits_into_80_columns() -> None:
    long = report(7, "long", 1, message="the builder " + "said many words, " * 12)
    lines = plain(builds_table([*ALL, long], 80))
    assert max(map(len, lines)) <= 80
    assert "       y2i2qp3nqkjzg9am9wfhrq3h5rdk4w0y-count-of-words" in lines
    assert lines[-1] == f"Outputs are in {STORE}"


def test_a_wide_terminal_shows_whole_paths_on_the_line_of_the_build() -> None:
    lines = plain(builds_table(ALL, 200))
    assert lines[1].endswith(f"cached  {OUT}")
    assert "Outputs are in" not in "\n".join(lines)


def test_all_outputs_of_a_build_are_shown_out_first() -> None:
    outputs = {"dev": f"{OUT}-dev", "out": OUT}
    assert build_details(report(1, "outputs", outputs=outputs), short=False) == [OUT, f"{OUT}-dev"]
    line = plain(builds_table([report(1, "outputs", outputs=outputs)], None))[1]
    assert line.endswith(f"{OUT} {OUT}-dev")


def test_a_failed_build_shows_no_path_even_if_its_path_was_known() -> None:
    assert OUT not in "".join(build_details(report(1, "wrong-hash", 1, outputs={"out": OUT}), short=False))


def test_the_table_of_builds_has_no_colours_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    show_builds(ALL)
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert OUT in out


def test_the_summary_counts_each_derivation_once() -> None:
    assert plain(summary([*ALL, FAILED])) == [
        "6 builds: 2 succeeded (1 cached), 2 failed, 1 dependency failed, 1 queued",
        "Derivations: 1 built, 1 failed, 1 resolved, 1 cut off early",
    ]
    assert built([CUT_OFF, FAILED, DEPENDENT]) == set()
    assert cut_off(ALL) == [CUT_OFF]


def test_a_cached_failure_counts_as_no_work() -> None:
    known = report(9, "known", 1, cached=True, steps=[RESOLVED_STEP, step(2, RESOLVED, 8, propagated_from=6)])
    assert plain(summary([known]))[1] == "Derivations: 0 built, 0 failed, 0 resolved, 0 cut off early"
    assert resolved([known]) == set()


def test_a_cut_off_is_drawn_below_the_resolved_derivation() -> None:
    assert plain(draw_steps(CUT_OFF, None)) == [
        "words.count: build 24, succeeded, cached",
        "├─ step 1  95vh440-count-of-words.drv",
        "│  ├─ filled in",
        "│  │  └─ ad2vcfi-list-of-words.drv^out is 7gmv4jb-list-of-words",
        "│  └─ resolved to 5qp2zl0-count-of-words.drv",
        "│     └─ step 2  not built: the same as built by build 21",
        f"└─ out {OUT}",
    ]


def test_a_narrow_terminal_shows_outputs_without_their_directory() -> None:
    assert plain(draw_steps(CUT_OFF, 80))[-1] == "└─ out y2i2qp3nqkjzg9am9wfhrq3h5rdk4w0y-count-of-words"


def test_a_drawing_for_a_terminal_without_boxes_is_ascii() -> None:
    assert all(line.isascii() for line in plain(draw_steps(CUT_OFF, None, ascii_only=True)))


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ([step(1, LIST, 0, seconds=3)], "ad2vcfi-list-of-words.drv built in 3.0 s"),
        ([step(1, LIST, None, busy=30)], "ad2vcfi-list-of-words.drv is being built"),
        ([step(1, LIST, 0, type=1)], "ad2vcfi-list-of-words.drv not built: its outputs were in the store already"),
        ([step(1, LIST, 0, type=1, built_by=3)], "ad2vcfi-list-of-words.drv not built: built before, by build 3"),
        (FAILED["steps"], "v093d4b-builder-that-fails.drv failed: builder failed with exit code 1."),
        (DEPENDENT["steps"], "v093d4b-builder-that-fails.drv failed, in build 6: builder failed with exit code 1."),
        (
            [step(1, FAILS, 8, message=REASON, propagated_from=6)],
            "v093d4b-builder-that-fails.drv known to fail since build 6: builder failed with exit code 1.",
        ),
    ],
)
def test_a_drawn_step_shows_how_it_ended(steps: list[dict[str, Any]], words: str) -> None:
    assert plain(draw_steps(report(1, "job", None, steps=steps), None)) == [
        "job: build 1, queued",
        f"└─ step 1  {words}",
    ]


def test_a_resolution_without_a_build_is_drawn_as_not_ended() -> None:
    assert plain(draw_steps(report(1, "job", None, steps=[RESOLVED_STEP]), None))[-1] == "      └─ not ended yet"


def test_a_build_without_steps_names_the_build_that_has_them() -> None:
    lines = plain(draw_steps(report(30, "job", cached=True, known_from=24), None))
    assert lines[1] == "├─ no step was needed: its outputs are known from build 24"


def test_output_of_builders_cannot_send_commands_to_the_terminal() -> None:
    evil = "red \x1b[31mand\x1b[0m \x9b2Jgone\r\nsecond\x07"
    assert printable(evil) == "red and 2Jgone\nsecond"
    lines = plain(builds_table([report(1, "\x1b]0;title", 1, message=evil)], 80))
    assert not any(ord(character) < 32 for line in lines for character in line)


def test_messages_are_shortened_for_reading() -> None:
    assert message_lines(REASON) == ["builder failed with exit code 1."]
    mismatch = f"hash mismatch in '{STORE}/{FAILS}':\n  specified: sha256-a\n     got:    sha256-b"
    assert first_line(mismatch) == (
        "hash mismatch in 'v093d4b-builder-that-fails.drv': specified: sha256-a got: sha256-b"
    )
    assert first_line(None) == "no reason given"
    assert first_line("see https://example.org/nix/store, it says") == "see https://example.org/nix/store, it says"
    assert short_name("no-store-path") == "no-store-path"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-1, "0.0 s"), (0.04, "0.0 s"), (9.94, "9.9 s"), (9.96, "10 s"), (61, "1 min 01 s"), (7322, "2 h 02 min")],
)
def test_durations_have_one_or_two_units(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_the_status_is_shown_as_text() -> None:
    status = {
        "stages": {"waiting": 2, "realised": 40},
        "running": [{"build": 3, "stepnr": 1, "drv": LIST, "worker": "host:1", "seconds": 12.3}],
        "workers": [
            {"worker": 1, "name": "host:1", "verbs": ["load"], "systems": ["x86_64-linux"], "silent_seconds": 2}
        ],
        "builds": [
            {"build": 3, "job": "here", "drv": LIST, "held_up": {"drv": LIST, "reason": "is being built"}},
            {"build": 4, "job": "there", "drv": COUNT, "held_up": {"drv": LIST, "reason": "no worker"}},
        ],
        "unsupported": [
            {"system": "mips-linux", "features": [], "reason": "no worker builds for mips-linux", "seconds": 7322,
             "limit_seconds": 86400}
        ],
        "unfinished_builds": 150,
        "failures": 0,
    }  # fmt: skip
    lines = plain(status_in_words(status))
    assert lines[:4] == [
        "150 unfinished builds",
        "  3  here   is being built",
        "  4  there  ad2vcfi-list-of-words.drv: no worker",
        "  and 148 more",
    ]
    assert "  12 s  ad2vcfi-list-of-words.drv  build 3 step 1  host:1" in lines
    assert lines[lines.index("No machine yet, failure after 24 h 00 min") + 1] == (
        "  2 h 02 min  no worker builds for mips-linux"
    )
    assert "  40  realised  have all wanted outputs" in lines


def test_the_status_of_an_idle_database_is_shown_as_text() -> None:
    nothing = {
        "stages": {},
        "running": [],
        "workers": [],
        "unsupported": [],
        "builds": [],
        "unfinished_builds": 0,
        "failures": 0,
    }
    assert plain(status_in_words(nothing)) == [
        "No unfinished builds", "", "No worker is running", "", "0 known derivations",
    ]  # fmt: skip


def test_every_stage_has_a_description() -> None:
    assert set(STAGES) == {
        "unloaded", "waiting", "resolvable", "resolved", "buildable", "building", "realised", "failed",
    }  # fmt: skip


def test_the_demo_expects_the_failures_of_the_examples() -> None:
    assert {job for job, status in EXPECTED.items() if status != 6} == FAILING | {"on-written-failure"}


def test_the_demo_reports_a_build_with_an_unexpected_status() -> None:
    assert list(unexpected({"fails": 1, "on-failed": 2}, [CUT_OFF, FAILED, DEPENDENT])) == []
    assert list(unexpected({}, [FAILED, QUEUED])) == [
        "build 6 (fails): failed, instead of succeeded",
        "build 14 (elsewhere): is not finished, instead of succeeded",
    ]
