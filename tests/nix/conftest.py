"""Real Nix stores for the tests of hydra_resolver.nix, and real derivation graphs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hydra_resolver.embedded.tools import find_nix
from hydra_resolver.nix.client import Client
from hydra_resolver.nix.store import Store

FEATURES = "nix-command ca-derivations dynamic-derivations impure-derivations git-hashing recursive-nix"


def make_store(directory: Path, programs: Path) -> Store:
    """A new store below ``directory``, without sandbox and substituters."""
    root = directory.resolve()
    for name in ("conf", "home"):
        (root / name).mkdir(parents=True)
    (root / "conf" / "nix.conf").write_text(
        f"experimental-features = {FEATURES}\nbuild-users-group =\nsandbox = false\nsubstituters =\nmax-jobs = 2\n"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NIX_")}
    return Store(
        environment={
            **environment,
            "NIX_STORE_DIR": f"{root}/store",
            "NIX_STATE_DIR": f"{root}/state",
            "NIX_LOG_DIR": f"{root}/log",
            "NIX_CONF_DIR": f"{root}/conf",
            "HOME": f"{root}/home",
            "PATH": f"{programs}:{os.environ['PATH']}",
        }
    )


@pytest.fixture(scope="session")
def new_store(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Store]:
    programs = find_nix()
    if programs is None:
        problem = "there is no recent Nix: run the tests through ./dev test"
        if os.environ.get("CI"):
            pytest.fail(problem)
        pytest.skip(problem)
    return lambda: make_store(tmp_path_factory.mktemp("nix"), programs)


@pytest.fixture(scope="session")
def store(new_store: Callable[[], Store]) -> Store:
    """One store for all tests that don't mind each other."""
    return new_store()


@pytest.fixture
def client(store: Store) -> Iterator[Client]:
    with store.connect() as client:
        client.set_options(store.settings)
        yield client
