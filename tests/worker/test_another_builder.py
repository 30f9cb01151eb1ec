"""Workers that only load and resolve, with another component that builds: the session of docs/sql-api.md."""

from __future__ import annotations

import platform
import re
import signal
import subprocess
from pathlib import Path

from hydra_resolver.embedded.session import database_environment
from hydra_resolver.embedded.tools import postgres_bin

from ..docs.test_docs import DOCS, blocks, compare_or_update, section, session, tidy, with_answers
from ..support.failing import assert_sound
from ..support.farm import Farm, open_farm
from ..support.waiting import PATIENCE
from .test_workers import start_worker

SETTLED = """
    select from resolver.derivation_state
    having 'buildable' = any (array_agg(stage)) and not array_agg(stage) && '{unloaded,resolvable}'
"""
"""Has a row if the worker has nothing left to do and the builder has work."""


SEPARATOR = "next part\n"


def test_the_session_of_another_builder_in_the_docs_works_in_psql(tmp_path: Path) -> None:
    document = DOCS / "sql-api.md"
    text = document.read_text()
    shown = section(text, "Another builder")
    with open_farm(tmp_path / "state") as farm:
        jobs = tmp_path / "jobs.nix"
        (expression,) = blocks(shown, "nix")
        jobs.write_text(expression)
        farm.command("enqueue", jobs)
        worker = start_worker(farm, "--verb", "load", "--verb", "resolve")
        try:
            parts = session(shown)
            answers = typed_into_psql(farm, [typed for typed, _ in parts], tmp_path)
        finally:
            worker.send_signal(signal.SIGTERM)
            said, _ = worker.communicate(timeout=PATIENCE)
        assert worker.returncode == 0, said
        new = with_answers(text, parts, answers)
        compare_or_update(document, text, text if without_hashes(text) == without_hashes(new) else new)
        assert_sound(farm)
        assert farm.rows(
            "select verb, name from resolver.lease join resolver.worker using (worker) where verb = 'build'"
            " group by 1, 2"
        ) == [{"verb": "build", "name": "a builder"}]
        assert farm.rows("select from resolver.worker where gone_at is null") == []
        assert farm.built_by_nix() == farm.built_by_rows()


def without_hashes(text: str) -> str:
    """Replace all hashes by one, since the hashes of a store depend on its directory."""
    return re.sub(r"\b[0-9a-z]{32}-", f"{'0' * 32}-", text)


def typed_into_psql(farm: Farm, parts: list[str], directory: Path) -> list[str]:
    """Type the parts into psql, with the farm's names instead of the page's; return psql's answers."""
    (identity,) = farm.wait_for("select identity from resolver.store")
    names = {
        "/nix/store": str(farm.store.store_dir),
        "buildhost daemon": identity["identity"],
        "x86_64-linux": f"{platform.machine()}-linux",
    }
    psql = subprocess.Popen(
        [postgres_bin() / "psql", "-X", "--set", "ON_ERROR_STOP=1"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=directory,
        env={**farm.store.child_environment(), **database_environment(farm.conninfo), "LC_ALL": "C"},
    )
    assert psql.stdin
    assert psql.stdout
    answers = []
    with psql:
        for part in parts:
            if "claim_derivations" in part:
                farm.wait_for(SETTLED)
            for name, here in names.items():
                part = part.replace(name, here)
            psql.stdin.write(f"{part}\\echo {SEPARATOR}")
            psql.stdin.flush()
            lines = []
            while (line := psql.stdout.readline()) != SEPARATOR:
                assert line, f"psql ended after {lines}"
                lines.append(line)
            answers.append(tidy("".join(lines)))
    assert psql.returncode == 0
    return answers
