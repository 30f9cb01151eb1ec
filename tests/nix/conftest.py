"""Real Nix stores for the tests of hydra_resolver.nix: of the Nix at hand, and of each other Nix on this machine."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from hydra_resolver.embedded.tools import MIN_NIX, OLDEST_NIX, find_nix, nix_version, private_nix
from hydra_resolver.nix.client import Client
from hydra_resolver.nix.store import Store
from hydra_resolver.nix.version import NixVersion, parse_nix_version

FEATURES = "nix-command ca-derivations dynamic-derivations impure-derivations git-hashing recursive-nix blake3-hashes"
RECENT = (2, 31)
"""Nix reads structured attributes since this version."""


class Nix(NamedTuple):
    """A Nix to compare with: its version, and the directory of its programs, or `None` if it is missing."""

    version: str
    programs: Path | None

    @property
    def number(self) -> NixVersion:
        return parse_nix_version(self.version)


@cache
def nixes(given: tuple[str, ...]) -> list[Nix]:
    """Return one Nix of each version: the Nix at hand, other private ones, and those in the given directories.

    The list always has the oldest supported version and a recent one, even if they are missing here.
    """
    found: dict[str, Nix] = {}
    for directory in (find_nix(), private_nix(), private_nix(OLDEST_NIX), *map(Path, given)):
        version = nix_version(directory / "nix") if directory is not None else None
        if version is not None and directory is not None:
            name = ".".join(map(str, version))
            found.setdefault(name, Nix(name, directory.absolute()))
        elif directory is not None:
            raise pytest.UsageError(f"--nix: there is no nix that runs in '{directory}'")
    numbers = {nix.number for nix in found.values()}
    wanted = list(found.values())
    if MIN_NIX not in numbers:
        wanted.append(Nix("{}.{}".format(*MIN_NIX), None))
    if max(numbers, default=MIN_NIX) < RECENT:
        wanted.append(Nix("{}.{} or newer".format(*RECENT), None))
    return wanted


def programs_or_skip(nix: Nix) -> Path:
    """Return the directory of the programs. If it is missing, skip the test; under CI, fail."""
    if nix.programs is not None:
        return nix.programs
    problem = f"there is no Nix {nix.version} here: run the tests through ./dev test"
    if os.environ.get("CI"):
        pytest.fail(problem)
    pytest.skip(problem)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run tests that take ``nix`` once with each Nix, limited by the markers `since` and `before`."""
    if "nix" not in metafunc.fixturenames:
        return
    given = tuple(metafunc.config.getoption("--nix", default=[]))
    wanted = nixes(given)
    for marker in metafunc.definition.iter_markers():
        if marker.name in ("since", "before"):
            limit = parse_nix_version(marker.args[0])
            wanted = [nix for nix in wanted if (nix.number >= limit) is (marker.name == "since")]
    metafunc.parametrize("nix", wanted, ids=lambda nix: nix.version, indirect=True, scope="session")


@pytest.fixture(scope="session")
def nix(request: pytest.FixtureRequest) -> Nix:
    """Each Nix in turn."""
    programs_or_skip(request.param)
    return request.param  # type: ignore[no-any-return]


def make_store(directory: Path, programs: Path) -> Store:
    """Make a store below ``directory``, without sandbox and substituters."""
    root = directory.resolve()
    for name in ("conf", "home"):
        (root / name).mkdir(parents=True)
    # There are no remote builders, so the build hook would only cost time.
    (root / "conf" / "nix.conf").write_text(
        f"experimental-features = {FEATURES}\nbuild-users-group =\nsandbox = false\nsubstituters =\nmax-jobs = 2\n"
        "build-hook =\nfsync-metadata = false\n"
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
    """Return a function that makes stores of the Nix at hand."""
    programs = programs_or_skip(nixes(())[0])
    return lambda: make_store(tmp_path_factory.mktemp("nix"), programs)


@pytest.fixture(scope="session")
def store(new_store: Callable[[], Store]) -> Store:
    """One store for all tests that do not disturb each other."""
    return new_store()


@pytest.fixture
def client(store: Store) -> Iterator[Client]:
    with store.connect() as client:
        client.set_options(store.settings)
        yield client


@pytest.fixture(scope="module")
def nix_store(nix: Nix, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store of each Nix in turn, new for each module of tests."""
    return make_store(tmp_path_factory.mktemp(f"nix-{nix.version}"), programs_or_skip(nix))


@pytest.fixture
def nix_client(nix_store: Store) -> Iterator[Client]:
    """A connection to ``nix_store``."""
    with nix_store.connect() as client:
        client.set_options(nix_store.settings)
        yield client
