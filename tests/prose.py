"""Part of lint: sentences of product files name their actors.

Looks at prose only: documents without their code; comments and COMMENT ON of SQL; comments and docstrings of Python.

python -m tests.prose
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

from .parts import ROOT

PRODUCT = ("README.md", "docs/*.md", "examples/**/*", "sql/**/*.sql", "worker/**/*.py", "dev")
BAD = re.compile(
    r"""
    \b([Nn]obody|[Aa]new|[Ww]hoever)\b
    | \b(is|are|was|were)\ told\ of\b
    | (?:^Who|[.:;,(|]\ +[Ww]ho)\ [a-z]+\b(?![^.]*\?)
    | (?:^|[.:;(|]\ +)What\ (?!this\b|its\b|others\b|builders\b)
      (?:[a-z]+(?:s|ed)|can|could|may|must|will|would)\b(?![^.]*\?)
    """,
    re.VERBOSE,
)
"""A subject that is no noun: the reader has to guess who acts."""
Prose = Iterator[tuple[int, str]]
"""Line numbers, each with the text that stands there."""


def of_markdown(text: str) -> Prose:
    """Lines outside of code blocks, without inline code."""
    in_code = False
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("```"):
            in_code = not in_code
        elif not in_code:
            yield number, re.sub(r"`[^`]*`", "x", line).lstrip("*#| ")


def of_sql(text: str) -> Prose:
    """Comments, and the text of COMMENT ON."""
    for number, line in enumerate(text.splitlines(), 1):
        if found := re.search(r"--\s*(.*)", line):
            yield number, found[1]
    for comment in re.finditer(r"^comment on .*?\bis\s+'((?:[^']|'')*)'", text, re.MULTILINE | re.DOTALL):
        first = text.count("\n", 0, comment.start(1)) + 1
        yield from enumerate(comment[1].splitlines(), first)


def of_python(text: str) -> Prose:
    """Comments and docstrings."""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string.lstrip("#: ")
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            for number, line in enumerate(node.value.value.splitlines(), node.lineno):
                yield number, re.sub(r"`[^`]*`", "x", line).strip()


READERS = {".md": of_markdown, ".sql": of_sql, ".py": of_python, "": of_python}


def problems(path: Path) -> Iterator[str]:
    """What is wrong in a file, each with its line."""
    for number, line in READERS[path.suffix](path.read_text()):
        if found := BAD.search(line):
            yield f"{path.relative_to(ROOT)}:{number}: name the actor instead of '{found[0].strip()}': {line}"


def main() -> int:
    """Print all problems; status 1 if there are any."""
    files = sorted(
        {path for pattern in PRODUCT for path in ROOT.glob(pattern) if path.is_file() and path.suffix in READERS}
    )
    found = [problem for path in files for problem in problems(path)]
    for problem in found:
        print(problem)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
