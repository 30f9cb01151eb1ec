"""The parts of Hydra's own configuration file that concern workers: limits, and settings that workers don't support.

The file is read as Perl's Config::General reads it: `key = value` or `key value`, comments, blocks in angle brackets,
included files.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

_LOCAL_STORES = ("", "auto", "daemon", "local")
_OFF = ("", "0", "false", "no", "off")
_LINE = re.compile(r"\s*([\w-]+)\s*(?:=|\s)\s*(.*?)\s*$")
_INCLUDE = re.compile(r"\s*(?:<<\s*include\s+(.+?)\s*>>|include\s+(.+?))\s*$", re.IGNORECASE)
_DEEPEST = 10


class UploadError(Exception):
    """hydra.conf asks for uploads, which workers don't support."""


def refuse_uploads(file: Path | None) -> None:
    """Raise UploadError if Hydra's queue runner would upload build results; OSError if the file can't be read.

    The message leaves out the values, since they may contain secrets. A file that does not exist sets nothing.
    """
    if file is None or not file.exists():
        return
    found = [name for name, value in top_level(file) if _uploads(name.lower(), value.strip("\"'").lower())]
    if found:
        names = ", ".join(dict.fromkeys(found))
        raise UploadError(
            f"{file} sets {names}: Hydra would upload build results, and hydra-resolver can't upload yet. "
            "Remove the setting, or keep Hydra's own queue runner."
        )


def _uploads(name: str, value: str) -> bool:
    if name == "store_uri":
        return value not in _LOCAL_STORES
    if name == "upload_logs_to_binary_cache":
        return value not in _OFF
    return (name == "binary_cache_dir" or name.startswith("binary_cache_s3_")) and value != ""


def last_value(file: Path, name: str) -> str | None:
    """Return the last value that the file sets for a name; `None`: the file sets none, or can't be read."""
    try:
        values = [value.strip("\"'") for key, value in top_level(file) if key.lower() == name]
    except OSError:
        return None
    return values[-1] if values else None


def top_level(file: Path, depth: int = 0) -> Iterator[tuple[str, str]]:
    """Yield names and values outside of blocks, including those of included files."""
    inside = 0
    for line in _lines(file):
        include = _INCLUDE.match(line)
        if include is not None:
            included = file.parent / (include[1] or include[2]).strip("\"'")
            if inside == 0 and depth < _DEEPEST and included.is_file():
                yield from top_level(included, depth + 1)
        elif line.lstrip().startswith("</"):
            inside -= 1
        elif line.lstrip().startswith("<"):
            inside += not line.rstrip().endswith("/>")
        elif inside == 0 and (found := _LINE.match(line)):
            yield found[1], found[2]


def _lines(file: Path) -> Iterator[str]:
    """Yield lines without comments; a line that ends in a backslash is joined with the next line."""
    text = file.read_text(errors="replace").replace("\\\n", " ")
    for line in text.splitlines():
        yield re.sub(r"(?<!\\)#.*", "", line)
