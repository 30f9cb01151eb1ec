"""Real Nix stores for the tests of hydra_resolver.nix: of the Nix at hand, and of each that can be had."""

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
"""Since this version Nix reads structured attributes."""


class Nix(NamedTuple):
    """A Nix to compare with: its version, and the directory of its programs unless there is none to be had."""

    version: str
    programs: Path | None

    @property
    def number(self) -> NixVersion:
        return parse_nix_version(self.version)


@cache
def nixes(given: tuple[str, ...]) -> list[Nix]:
    """The Nix at hand, other private ones, those in the directories that are given: of each version one.

    There is always one of the oldest version that is supported, and one of a recent version.
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
    """The directory of its programs; without one, the test is skipped, or fails where nothing may be skipped."""
    if nix.programs is not None:
        return nix.programs
    problem = f"there is no Nix {nix.version} here: run the tests through ./dev test"
    if os.environ.get("CI"):
        pytest.fail(problem)
    pytest.skip(problem)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Tests that take ``nix`` run once with each, or with each since and before the versions they are marked with."""
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
    """A new store below ``directory``, without sandbox and substituters."""
    root = directory.resolve()
    for name in ("conf", "home"):
        (root / name).mkdir(parents=True)
    # Without remote builders the build hook only costs time.
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
    """Makes stores of the Nix at hand."""
    programs = programs_or_skip(nixes(())[0])
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


@pytest.fixture(scope="module")
def nix_store(nix: Nix, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store of each Nix in turn, one for each module of tests."""
    return make_store(tmp_path_factory.mktemp(f"nix-{nix.version}"), programs_or_skip(nix))


@pytest.fixture
def nix_client(nix_store: Store) -> Iterator[Client]:
    """A connection to ``nix_store``."""
    with nix_store.connect() as client:
        client.set_options(nix_store.settings)
        yield client
