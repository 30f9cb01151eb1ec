"""Runs Nix's command line programs, and shortens their error messages for display. Uses no database."""

from __future__ import annotations

import re
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

_COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_ERROR = re.compile(r"^ *error: ", re.MULTILINE)
_LONGEST_MESSAGE = 4000
_PATHS_A_PROCESS = 500


class NixProgramError(Exception):
    """A Nix program failed; the message is Nix's own, without its trace."""


class NixPrograms:
    """Runs programs in the given environment, on the given store. An evaluation substitutes and builds nothing."""

    def __init__(self, env: Mapping[str, str], store: str | None = None) -> None:
        self._env = dict(env)
        self._options = ["--option", "substitute", "false", "--option", "allow-import-from-derivation", "false"]
        self._options += ["--store", store] if store else []

    def run(self, program: str, *words: str, stdin: str = "", hide: str | None = None) -> str:
        """Return the program's standard output. Raises NixProgramError; `hide`: a file whose positions are cut out."""
        try:
            done = subprocess.run(
                [program, *words, *self._options],
                input=stdin,
                env=self._env,
                capture_output=True,
                encoding="utf-8",
                errors="surrogateescape",
                check=False,
            )
        except FileNotFoundError:
            raise NixProgramError(f"{program} is not on PATH: install Nix, or put its programs there") from None
        if done.returncode == 0:
            return done.stdout
        message = nix_message(done.stderr, hide)
        if done.returncode < 0:
            message = f"{program} was killed by signal {-done.returncode}\n{message}".strip()
        raise NixProgramError(message or f"{program} ended with exit code {done.returncode} and said nothing")


def add_roots(nix: NixPrograms, drvs: Sequence[str], directory: Path) -> None:
    """Register a root for each of these .drv files, valid or not: a symbolic link in the directory.

    One process registers all: nix-instantiate creates a root for every set that looks like a derivation. It has no
    option that does so for .drv files, and nix-store would build them. Raises NixProgramError, OSError.
    """
    directory.mkdir(parents=True, exist_ok=True)
    fields = '{ type = "derivation"; name = "root"; outputName = "out"; inherit drvPath; }'
    expression = f"map (drvPath: {fields}) [ {' '.join(map(nix_string, drvs))} ]"
    link = directory.absolute() / f"evaluation-{uuid.uuid4().hex}"
    nix.run("nix-instantiate", "--add-root", str(link), "--indirect", "-", stdin=expression)


def invalid_paths(nix: NixPrograms, paths: Sequence[str]) -> set[str]:
    """Return the store paths among these that the store does not have. Raises NixProgramError."""
    invalid: set[str] = set()
    for start in range(0, len(paths), _PATHS_A_PROCESS):
        some = paths[start : start + _PATHS_A_PROCESS]
        invalid.update(nix.run("nix-store", "--check-validity", "--print-invalid", *some).split())
    return invalid


def nix_string(text: str) -> str:
    """Return a string literal of the Nix language."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("${", "\\${")
    return f'"{escaped}"'


def nix_message(stderr: str, hide: str | None = None) -> str:
    """Return Nix's last error without colours, the trace before it, and positions in the file `hide`."""
    text = _COLOUR.sub("", stderr).encode("utf-8", "replace").decode("utf-8")
    starts = list(_ERROR.finditer(text))
    if starts:
        text = text[starts[-1].end() :]
    lines = [line.strip() if number == 0 else line.rstrip() for number, line in enumerate(text.split("\n"))]
    if hide is not None:
        shown = next((n for n, line in enumerate(lines) if line.lstrip().startswith(f"at {hide}:")), len(lines))
        lines = lines[:shown]
    margin = min((len(line) - len(line.lstrip()) for line in lines[1:] if line), default=0)
    text = "\n".join([lines[0], *(line[margin:] for line in lines[1:])]).strip()
    return text if len(text) <= _LONGEST_MESSAGE else text[:_LONGEST_MESSAGE] + " ..."
