"""The files of a store on this machine are where a real Nix writes them, however the store is named."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hydra_resolver.nix.store import Store

from ..support.failing import wait_until
from .conftest import FEATURES, Nix, programs_or_skip

PLACED = [
    "local?root={place}/root",
    "local?root={place}/root&store={place}/named",
    "local?root={place}/root&store={place}/named&state={place}/state",
    "local?root={place}/root&real={place}/real",
    "local?root={place}/root&store={place}/named&real={place}/real",
    "local?store={place}/named&state={place}/state&log={place}/log",
    "local?store={place}/named&real={place}/real&state={place}/state",
    "local?root={place}/a%20place+%3Fof&root={place}/second",
    "local?root=&store={place}/named&state={place}/state",
    "local://{place}/root%20of",
    "{place}/root%20of",
    "{place}/root?store={place}/named",
    "{place}/root?root={place}/other",
    "auto?root={place}/root&store={place}/named",
    "?root={place}/root&store={place}/named",
]
OF_ITSELF = "local", "", "local?root={place}/root", "local?root={place}/root&store={place}/named", "{place}/root"


def environment(nix: Nix, place: Path, **variables: str) -> dict[str, str]:
    """Make an environment for this Nix; only a URI, or these variables, name the store."""
    (place / "conf").mkdir()
    settings = f"experimental-features = {FEATURES}\nbuild-users-group =\nsandbox = false\nsubstituters =\n"
    (place / "conf" / "nix.conf").write_text(settings)
    return {
        "HOME": str(place),
        "NIX_CONF_DIR": str(place / "conf"),
        "PATH": f"{programs_or_skip(nix)}:/usr/bin:/bin",
        **variables,
    }


def assert_files_are_there(store: Store, place: Path) -> None:
    """Let Nix add a file to the store; assert that the file is where `Store` says."""
    file = place / "file"
    file.write_text("here")
    words = ["nix-store", *store.arguments, "--add", str(file)]
    path = subprocess.run(words, env=store.env, check=True, capture_output=True, text=True).stdout.strip()
    assert path == store.full_path(Path(path).name)
    assert store.real_path(Path(path).name).read_text() == "here"
    (found,) = [made for made in place.rglob("*-file") if made.is_file()]
    assert found == store.real_path(Path(path).name)


@pytest.mark.parametrize("uri", PLACED)
def test_files_are_where_nix_writes_them(nix: Nix, tmp_path: Path, uri: str) -> None:
    assert_files_are_there(Store(uri.format(place=tmp_path), environment(nix, tmp_path)), tmp_path)


@pytest.mark.parametrize("uri", OF_ITSELF)
def test_files_are_where_nix_writes_them_with_another_store_directory(nix: Nix, tmp_path: Path, uri: str) -> None:
    variables = {"NIX_STORE_DIR": f"{tmp_path}/own", "NIX_STATE_DIR": f"{tmp_path}/own-state"}
    assert_files_are_there(Store(uri.format(place=tmp_path), environment(nix, tmp_path, **variables)), tmp_path)


def test_files_are_where_nix_writes_them_for_a_store_of_the_environment(nix: Nix, tmp_path: Path) -> None:
    remote = f"local?root={tmp_path}/root&store={tmp_path}/named"
    assert_files_are_there(Store("", environment(nix, tmp_path, NIX_REMOTE=remote)), tmp_path)


@contextmanager
def daemon(nix: Nix, place: Path, uri: str) -> Iterator[Path]:
    """Run a daemon that serves a store; yield its socket."""
    socket = place / "socket"
    program = str(programs_or_skip(nix) / "nix-daemon")
    env = environment(nix, place, NIX_DAEMON_SOCKET_PATH=str(socket))
    process = subprocess.Popen([program, "--store", uri], env=env, stderr=subprocess.DEVNULL)
    try:
        wait_until(socket.exists)
        yield socket
    finally:
        process.terminate()
        process.wait()


@pytest.mark.parametrize("uri", ["unix://{socket}", "daemon"])
def test_files_of_a_daemons_store_are_where_the_daemon_writes_them(nix: Nix, tmp_path: Path, uri: str) -> None:
    parameters = f"?root={tmp_path}/root&store={tmp_path}/named"
    with daemon(nix, tmp_path, f"local{parameters}") as socket:
        env = {"NIX_DAEMON_SOCKET_PATH": str(socket), "PATH": f"{programs_or_skip(nix)}:/usr/bin:/bin"}
        env |= {"HOME": str(tmp_path), "NIX_CONF_DIR": str(tmp_path / "conf")}
        assert_files_are_there(Store(uri.format(socket=socket) + parameters, env), tmp_path)
