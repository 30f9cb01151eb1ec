"""Options and marks of pytest. They are here because it reads its command line before it looks for tests."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let other Nixes be named."""
    nix = "also compare with the Nix in this directory: nix, nix-store, nix-instantiate and nix-daemon; can be repeated"
    parser.addoption("--nix", action="append", default=[], metavar="DIR", help=f"{nix} (write --nix=DIR)")


def pytest_configure(config: pytest.Config) -> None:
    """Say what the marks mean that `tests/nix/conftest.py` looks at."""
    config.addinivalue_line("markers", "since(version): of each Nix, this version and later ones")
    config.addinivalue_line("markers", "before(version): of each Nix, versions before this one")
