"""The documents agree with the code, and their examples work.

With HYDRA_RESOLVER_UPDATE_DOCS set, the tests rewrite the diagram of the stages and the answers of the session.
"""

import ast
import inspect
import json
import os
import pkgutil
import re
import shlex
import subprocess
import sys
import typing
from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import click
import psycopg
import pytest

from hydra_resolver import nix
from hydra_resolver.cli import COMMANDS
from hydra_resolver.cli import main as command_line
from hydra_resolver.database import errors
from hydra_resolver.embedded.session import database_environment
from hydra_resolver.embedded.tools import postgres_bin

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
DOCUMENTS = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
FUNCTIONS = {path: path.read_text() for path in sorted((ROOT / "sql" / "functions").rglob("*.sql"))}
UPDATE = bool(os.environ.get("HYDRA_RESOLVER_UPDATE_DOCS"))


def blocks(text: str, language: str) -> list[str]:
    """Return the fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def prose(text: str) -> str:
    """Return a document without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def section(text: str, heading: str) -> str:
    """Return the text below a heading of the second level, up to the next one."""
    found = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"there is no section {heading}"
    return found[1]


def table(text: str) -> list[list[str]]:
    """Return the rows of all tables in a text, as cells, without the headings."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    rules = [number for number, row in enumerate(rows) if all(re.fullmatch(r":?-+:?", cell) for cell in row)]
    return [row for number, row in enumerate(rows) if number not in rules and number + 1 not in rules]


def quoted(text: str) -> list[str]:
    """Return all texts in backquotes."""
    return re.findall(r"`([^`]+)`", text)


def compare_or_update(document: Path, old: str, new: str) -> None:
    """Compare two texts of a document; write the new one if HYDRA_RESOLVER_UPDATE_DOCS is set."""
    if UPDATE and old != new:
        document.write_text(new)
    else:
        assert old == new, f"{document.name} is not up to date: see docs/development.md, 'These documents'"


# Errors


def test_every_error_code_is_documented_raised_and_mapped() -> None:
    raised = {code for text in FUNCTIONS.values() for code in re.findall(r"errcode = '(\w+)'", text)}
    rows = [row for row in table((DOCS / "errors.md").read_text()) if re.fullmatch(r"NX\d+", row[0])]
    documented = [row[0] for row in rows]
    assert documented == sorted(set(documented))
    assert set(documented) == raised == set(errors.BY_SQLSTATE)
    assert {row[0]: quoted(row[4])[0] for row in rows} == {
        code: kind.__name__ for code, kind in errors.BY_SQLSTATE.items()
    }


def test_every_error_code_names_the_functions_that_raise_it() -> None:
    rows = table((DOCS / "errors.md").read_text())
    raised_by = {row[0]: set(quoted(row[1])) for row in rows if row[0].startswith("NX")}
    for path, text in FUNCTIONS.items():
        for code in re.findall(r"errcode = '(\w+)'", text):
            if path.stem == "raise_report_error":
                callers = {name for name, body in bodies().items() if "resolver.raise_report_error(" in body}
                assert raised_by[code] <= callers, code
            else:
                assert path.stem in raised_by[code], code


def test_every_error_class_of_the_python_side_is_documented() -> None:
    names = set(re.findall(r"^class (\w+)", Path(errors.__file__).read_text(), re.MULTILINE))
    assert names == {name for name in quoted((DOCS / "errors.md").read_text()) if name in names}


def bodies() -> dict[str, str]:
    """Return the functions by name."""
    return {
        name: text
        for text in FUNCTIONS.values()
        for name in re.findall(r"create or replace function resolver\.(\w+)", text)
    }


# Stages


def picture(transitions: Iterable[tuple[str, str, str]], stages: list[str]) -> str:
    """Draw a state diagram in mermaid: a line for each move, with the procedures that make it."""
    moves: dict[tuple[str, str], list[str]] = {}
    for source, target, procedure in transitions:
        moves.setdefault((source, target), []).append(procedure)
    ordered = sorted(moves, key=lambda move: (stages.index(move[0]), stages.index(move[1])))
    lines = [f"    {source} --> {target} : {', '.join(sorted(moves[source, target]))}" for source, target in ordered]
    return "\n".join(["stateDiagram-v2", "    [*] --> unloaded", *lines, ""])


def test_the_diagram_of_the_stages_shows_the_list_of_transitions(database: str) -> None:
    with psycopg.connect(database) as connection:
        transitions = connection.execute("select from_stage, to_stage, procedure from resolver.transition").fetchall()
        known = connection.execute(
            "select pg_get_constraintdef(oid) from pg_constraint where conname = 'state_stage_known'"
        ).fetchone()
    assert known is not None
    stages = re.findall(r"'(\w+)'", known[0])
    document = DOCS / "architecture.md"
    text = document.read_text()
    assert re.findall(r"^\* \*\*(\w+)\*\*: ", section(text, "Stages"), re.MULTILINE) == stages
    (drawn,) = blocks(text, "mermaid")
    fresh = picture(transitions, stages)
    compare_or_update(document, text, text.replace(f"```mermaid\n{drawn}```", f"```mermaid\n{fresh}```"))


def test_every_table_of_the_schema_is_documented(database: str) -> None:
    with psycopg.connect(database) as connection:
        tables = connection.execute("select tablename from pg_tables where schemaname = 'resolver'").fetchall()
    rows = table(section((DOCS / "architecture.md").read_text(), "The tables"))
    named = [name for row in rows for name in quoted(row[1])]
    assert sorted(named) == sorted(name for (name,) in tables)


# Procedures


def public_procedures(connection: psycopg.Connection) -> set[tuple[str, str, str]]:
    """Return name, arguments and result of all functions that callers may use."""
    rows = connection.execute(
        "select proname, pg_get_function_identity_arguments(oid), pg_get_function_result(oid) from pg_proc "
        "where pronamespace = 'resolver'::regnamespace and prosecdef"
    ).fetchall()
    return {(name, re.sub(r"\bp_", "", arguments), result.lower()) for name, arguments, result in rows}


def test_exactly_the_public_procedures_are_documented(database: str) -> None:
    text = prose((DOCS / "sql-api.md").read_text())
    with psycopg.connect(database) as connection:
        procedures = public_procedures(connection)
    described: list[tuple[str, str, str]] = []
    for name, body in re.findall(r"^### (\w+)\n(.*?)(?=^##|\Z)", text, re.MULTILINE | re.DOTALL):
        signatures = re.findall(r"^`(\w+)\((.*?)\)` → `(.*)`$", body, re.MULTILINE)
        assert signatures, f"{name} has no signature"
        assert {signature[0] for signature in signatures} == {name}
        described += signatures
    assert len(described) == len(set(described))
    assert set(described) == procedures


def test_every_outcome_of_a_report_is_documented() -> None:
    rows = table(section((DOCS / "sql-api.md").read_text(), "Rules for callers"))
    judging = ("match_reports", "validate_resolutions", "register_derivations", "finish_steps", "fail_steps")
    given = {word for name in judging for word in re.findall(r"(?:then|else) '([a-z_]+)'", bodies()[name])}
    assert {quoted(row[0])[0] for row in rows} == given - {"open"}


def test_every_json_example_is_valid() -> None:
    examples = [example for document in DOCUMENTS for example in blocks(document.read_text(), "json")]
    assert len(examples) > 5
    for example in examples:
        json.loads(example)


def test_the_views_of_the_schema_are_documented(database: str) -> None:
    with psycopg.connect(database) as connection:
        views = connection.execute("select viewname from pg_views where schemaname = 'resolver'").fetchall()
    described = re.findall(r"`resolver\.(\w+)`", section((DOCS / "sql-api.md").read_text(), "Views"))
    assert described == [view for (view,) in views if not view.startswith("check_")]


# Hydra's tables


def test_exactly_the_written_tables_of_hydra_are_documented() -> None:
    writing = re.compile(r"(?:insert into|update|delete from) public\.(\w+)")
    written = {name for text in FUNCTIONS.values() for name in writing.findall(text)}
    rows = table(section((DOCS / "hydra.md").read_text(), "Rows written"))
    assert {name for row in rows for name in row[0].split(", ")} == written


def test_exactly_the_written_columns_of_builds_are_documented() -> None:
    (row,) = [row for row in table(section((DOCS / "hydra.md").read_text(), "Rows written")) if row[0] == "Builds"]
    written = set()
    for text in FUNCTIONS.values():
        for assignments in re.findall(r"update public\.Builds b\s+set (.*?)\s+where", text, re.DOTALL):
            written |= set(re.findall(r"(?:^|,)\s*(\w+) = ", assignments))
    assert set(quoted(row[1])) == written


def test_exactly_the_notified_channels_are_documented() -> None:
    documented = {
        quoted(row[0])[0]
        for document in ("hydra.md", "sql-api.md")
        for row in table(section((DOCS / document).read_text(), "Notifications"))
    }
    notifying = [text for text in FUNCTIONS.values() if "pg_notify" in text]
    sent = {name for text in notifying for name in re.findall(r"pg_notify\('(\w+)'", text)}
    # Some functions notify several channels from a list.
    sent |= {name for text in notifying for name in re.findall(r"'(\w+_\w+)'", text) if name in documented}
    assert documented == sent


# A session


def session(text: str) -> list[tuple[str, str]]:
    """Return the parts of the session in a section: typed text and answer."""
    part = re.compile(r"^```sql\n(.*?)^```\n+```text\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    parts: list[tuple[str, str]] = part.findall(text)
    assert [typed for typed, _ in parts] == blocks(text, "sql"), "a part has no answer"
    return parts


def with_answers(text: str, parts: list[tuple[str, str]], answers: list[str]) -> str:
    """Return the text with new answers to the parts of a session."""
    for (typed, old), answer in zip(parts, answers, strict=True):
        text = text.replace(f"```sql\n{typed}```\n\n```text\n{old}```", f"```sql\n{typed}```\n\n```text\n{answer}```")
    return text


def test_the_session_in_the_docs_works_in_psql(database: str) -> None:
    document = DOCS / "sql-api.md"
    text = document.read_text()
    parts = session(section(text, "A session"))
    separator = "next part"
    done = subprocess.run(
        [postgres_bin() / "psql", "-X", "--set", "ON_ERROR_STOP=1"],
        input="".join(f"{typed}\\echo {separator}\n" for typed, _ in parts),
        env={**os.environ, **database_environment(database), "LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    answers = [tidy(answer) for answer in done.stdout.split(f"{separator}\n")[:-1]]
    compare_or_update(document, text, with_answers(text, parts, answers))

    with psycopg.connect(database) as connection:
        builds = connection.execute("select finished, buildStatus from Builds").fetchall()
        violations = connection.execute("select * from resolver.invariant_violations()").fetchall()
    assert (builds, violations) == ([(1, 0)], [])


def tidy(answer: str) -> str:
    """Return psql's output without blanks at the ends of lines and empty lines at both ends."""
    return "\n".join(line.rstrip() for line in answer.splitlines()).strip("\n") + "\n"


# Links and commands


def anchors(document: Path) -> set[str]:
    """Return the fragments of a document's headings."""
    headings = re.findall(r"^#+ (.*)$", prose(document.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_in_the_documents_has_a_target(document: Path) -> None:
    links = re.findall(r"\]\(([^)]+)\)", prose(document.read_text()))
    assert links
    for link in links:
        if link.startswith("https://"):
            continue
        name, _, fragment = link.partition("#")
        target = document.parent / name if name else document
        assert target.exists(), link
        assert not fragment or fragment in anchors(target), link


def test_the_readme_links_to_every_document() -> None:
    text = (ROOT / "README.md").read_text()
    assert all(f"(docs/{document.name})" in text for document in DOCUMENTS[1:])


def commands(document: Path) -> Iterator[list[str]]:
    """Yield the words of every command line of ours in a document's blocks."""
    text = document.read_text()
    lines = [line for block in blocks(text, "sh") for line in block.splitlines()]
    lines += re.findall(r"^    (\./dev .*)$", text, re.MULTILINE)
    for line in lines:
        words = shlex.split(line, comments=True)
        while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
            del words[0]
        if words and words[0] in ("./dev", "hydra-resolver"):
            yield words


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_in_the_documents_exists(document: Path) -> None:
    own_words = set(re.findall(r"^    \./dev (\w+)", (ROOT / "dev").read_text(), re.MULTILINE))
    for program, *words in commands(document):
        shown = " ".join([program, *words])
        if program == "./dev" and words[0] in own_words - set(COMMANDS):
            continue
        command: click.Command = command_line
        while isinstance(command, click.Group):
            assert words, shown
            found = command.get_command(click.Context(command), words.pop(0))
            assert found is not None, shown
            command = found
        options = {name for parameter in command.params for name in parameter.opts}
        given = [word.split("=")[0] for word in words if re.match(r"--?[a-zA-Z]", word)]
        if not command.context_settings.get("ignore_unknown_options"):
            assert set(given) <= options, shown


def test_the_readme_shows_every_command() -> None:
    text = (ROOT / "README.md").read_text()
    shown = {words[1] for words in commands(ROOT / "README.md")} | set(re.findall(r"`hydra-resolver (\w+)", text))
    assert set(COMMANDS) <= shown


def test_every_file_in_a_documented_command_exists() -> None:
    for document in DOCUMENTS:
        for words in commands(document):
            for word in words:
                if re.match(r"(examples|tests)/", word):
                    assert (ROOT / word).exists(), word


# The package


def imports(path: Path) -> set[str]:
    """Return the top-level parts of the package, such as `nix` or `loop`, that a module imports."""
    found = set()
    inside = path.relative_to(ROOT / "worker").parts[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            name = (node.module or "").split(".")
            if node.level:
                name = [*inside[: len(inside) - node.level + 1], *name]
            elif name[0] == "hydra_resolver":
                name = name[1:] or [""]
            else:
                continue
            found |= {name[0]} if name[0] else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
            found |= {[*name, ""][1] for name in names if name[0] == "hydra_resolver"}
    return found


@pytest.mark.parametrize(
    ("part", "forbidden"),
    [
        ("loop", {"cli", "embedded"}),
        ("verbs", {"cli", "embedded", "loop"}),
        ("database", {"cli", "embedded", "loop", "verbs", "nix"}),
    ],
)
def test_imports_follow_the_layers_of_the_package(part: str, forbidden: set[str]) -> None:
    for path in (ROOT / "worker" / part).rglob("*.py"):
        assert not imports(path) & forbidden, path


def foreign_imports(path: Path) -> set[str]:
    """Return the imports of a module from outside of the package and the standard library."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add((node.module or "").partition(".")[0])
    return found - sys.stdlib_module_names - {"hydra_resolver"}


def test_the_nix_library_imports_no_other_part_and_no_dependency() -> None:
    for path in (ROOT / "worker" / "nix").rglob("*.py"):
        assert imports(path) <= {"nix"}, path
        assert not foreign_imports(path), path
    assert "psycopg" in foreign_imports(ROOT / "worker" / "database" / "calls.py")


# The Nix library


def nix_modules() -> dict[str, ModuleType]:
    """Return the modules of the library by name."""
    return {
        found.name.removeprefix(f"{nix.__name__}."): import_module(found.name)
        for found in pkgutil.walk_packages(nix.__path__, f"{nix.__name__}.")
    }


def listed_names() -> dict[str, set[str]]:
    """Return the documented names of each module of the library, errors included."""
    library = (DOCS / "nix-library.md").read_text()
    listed: dict[str, set[str]] = {}
    for _, module, names in table(section(library, "Contents")):
        listed.setdefault(module.strip("`"), set()).update(re.findall(r"`(\w+)`", names))  # without `Store.connect`
    for name, module, _ in table(section(library, "Errors")):
        listed.setdefault(module.strip("`"), set()).add(name.strip("-` "))
    return listed


def public_names(module: ModuleType) -> set[str]:
    """Return the names that a module defines without an underscore."""
    found = set()
    for node in ast.parse(Path(str(module.__file__)).read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)}
    return {name for name in found if not name.startswith("_")}


def test_exactly_the_public_names_of_the_nix_library_are_documented() -> None:
    modules, listed = nix_modules(), listed_names()
    for module, names in listed.items():
        public = public_names(modules[module])
        assert names <= public, module
        # These two also have names for other modules of the library.
        assert module == "errors" or module.startswith("protocol.") or names == public, module


def named_in_signatures(thing: object) -> set[tuple[str, str]]:
    """Return the library's classes, as (module, name), in the signatures of a function or of a class's members."""
    signatures = [thing] if callable(thing) else []
    if isinstance(thing, type):
        for name, member in vars(thing).items():
            if not name.startswith("_") or name == "__init__":
                function = getattr(member, "fget", None) or getattr(member, "func", None) or member
                signatures += [function] if inspect.isfunction(function) else []
    found = set()
    pending = [hint for signature in signatures for hint in typing.get_type_hints(signature).values()]
    while pending:
        hint = pending.pop()
        pending += typing.get_args(hint)
        if isinstance(hint, type) and hint.__module__.startswith(nix.__name__):
            found.add((hint.__module__.removeprefix(f"{nix.__name__}."), hint.__name__))
    return found


def test_every_class_in_a_signature_of_the_nix_library_is_documented() -> None:
    modules, listed = nix_modules(), listed_names()
    named = set()
    for module, names in listed.items():
        for name in names:
            named |= named_in_signatures(getattr(modules[module], name))
    unlisted = {(module, name) for module, name in named if name not in listed.get(module, ())}
    # `Store.connect` makes a client from it.
    assert unlisted == {("protocol.transport", "Transport")}


def test_every_error_of_the_nix_library_is_documented() -> None:
    modules, library = nix_modules(), (DOCS / "nix-library.md").read_text()
    defined = {
        (name, module)
        for module, found in modules.items()
        for name, value in vars(found).items()
        if isinstance(value, type) and issubclass(value, Exception) and value.__module__ == found.__name__
    }
    described = []
    above: list[type] = []
    for cell, module, _ in table(section(library, "Errors")):
        name, depth = cell.strip("-` "), cell.count("-")
        error = getattr(modules[module.strip("`")], name)
        assert depth == 0 or issubclass(error, above[depth - 1]), name
        above[depth:] = [error]
        described.append((name, module.strip("`")))
    assert sorted(described) == sorted(defined)
