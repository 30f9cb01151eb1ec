"""Remote builders: the setting ``builders`` of nix.conf, and the files that it names.

Source: the Nix manual, "Remote Builds", for the columns; ``parseBuilders`` in the source of Nix for the details.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class RemoteBuilder:
    """A machine that Nix sends builds to: its URI, as Nix names it, and how many builds it runs at a time.

    It builds derivations that require no other features than these. A derivation that does not require all of
    ``mandatory_features`` is not sent there.
    """

    uri: str
    systems: tuple[str, ...]
    jobs: int = 1
    features: tuple[str, ...] = ()
    mandatory_features: tuple[str, ...] = ()


def parse_builders(text: str, system: str) -> tuple[RemoteBuilder, ...]:
    """Return the machines in the value of ``builders``; ``system``: the system of machines whose line names none.

    Files that can't be read, and lines that can't be parsed, are left out: Nix can't use them either.
    """
    return tuple(builder for line in _lines(text) if (builder := _parse(line.split(), system)) is not None)


def _lines(text: str) -> Iterator[str]:
    for part in text.replace(";", "\n").splitlines():
        line = part.partition("#")[0].strip()
        if line.startswith("@"):
            try:
                yield from _lines(Path(line[1:].strip()).read_text(errors="replace"))
            except OSError:
                continue
        elif line:
            yield line


def _parse(columns: list[str], system: str) -> RemoteBuilder | None:
    """Parse URI, systems, SSH key, jobs, speed, features, mandatory features, public key; ``-`` is the default."""
    uri, systems, _, jobs, _, features, mandatory = (["" if word == "-" else word for word in columns] + [""] * 7)[:7]
    if jobs and not jobs.isdecimal():
        return None
    return RemoteBuilder(uri, _words(systems) or (system,), int(jobs or 1), _words(features), _words(mandatory))


def _words(column: str) -> tuple[str, ...]:
    return tuple(word for word in column.split(",") if word)
