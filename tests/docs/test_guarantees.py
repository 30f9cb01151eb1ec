"""The page of guarantees names only existing tests and rules."""

from __future__ import annotations

import re
from pathlib import Path

from ..support.legality import RULES
from .test_docs import DOCS, quoted, section, table

ROOT = Path(__file__).resolve().parents[2]
TEXT = (DOCS / "guarantees.md").read_text()


def test_the_tests_on_the_page_exist() -> None:
    defined = {
        name
        for file in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", file.read_text(), re.MULTILINE)
    }
    defined |= {file.name for file in (ROOT / "sql_tests").glob("*.sql")}
    defined |= {file.name for file in (ROOT / "sql_tests" / "isolation" / "specs").glob("*.spec")}
    named = {name for name in quoted(TEXT) if name.startswith("test_") or name.endswith((".spec", ".sql"))}
    assert len(named) > 40
    assert named <= defined


def test_the_rules_of_a_legal_history_on_the_page_are_those_of_the_checker() -> None:
    rows = table(section(TEXT, "How it is shown"))
    assert [quoted(rule)[0] for rule, _ in rows] == [rule.__name__ for rule in RULES]
