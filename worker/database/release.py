"""The SQL files of this release: the migrations and functions of the schema `resolver`, and Hydra's own tables."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

OLDEST_HYDRA = 87
NEWEST_HYDRA = 87
"""The newest schema version of Hydra that this release was made for. Later ones may work."""
OLDEST_POSTGRESQL = 15


@dataclass(frozen=True)
class Migration:
    """One file of sql/migrations."""

    number: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the text, in hex."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def sql_directory() -> Path:
    """Return the directory of the SQL files: inside the installed package, else beside it in the source tree."""
    packaged = Path(str(resources.files("hydra_resolver") / "sql"))
    return packaged if packaged.is_dir() else Path(__file__).resolve().parents[2] / "sql"


def migrations() -> list[Migration]:
    """Return the migrations of this release, in order."""
    found = sorted((sql_directory() / "migrations").glob("[0-9]*.sql"))
    return [Migration(int(path.name[:4]), path.stem, path.read_text()) for path in found]


def function_files() -> list[Path]:
    """Return the files of functions and views, in the order of the manifest."""
    directory = sql_directory() / "functions"
    lines = (directory / "manifest").read_text().splitlines()
    return [directory / line for line in lines if line and not line.startswith("#")]


def functions_digest() -> str:
    """Return the digest of all functions and views: it shows whether the installed ones are those of this release."""
    return hashlib.sha256(b"".join(path.read_bytes() for path in function_files())).hexdigest()


OPTIONAL_TABLES = frozenset({"systemstatus"})
"""Tables of Hydra that a later Hydra may have removed."""

_WRITES = (("INSERT", r"insert into"), ("UPDATE", r"update"), ("DELETE", r"delete from"))


def needed_privileges() -> dict[str, set[str]]:
    """Return the rights to Hydra's tables that the functions need: names of privileges by table, in lower case."""
    text = "".join(path.read_text() for path in function_files())
    needed: dict[str, set[str]] = defaultdict(set)
    for table in re.findall(r"\bpublic\.([A-Z]\w+)", text):
        needed[table.lower()].add("SELECT")
    for privilege, words in _WRITES:
        for table in re.findall(rf"\b{words} public\.([A-Z]\w+)", text):
            needed[table.lower()].add(privilege)
    needed["nrbuilds"].add("UPDATE")  # Hydra's trigger updates it, as the role that ends a build
    return dict(needed)
