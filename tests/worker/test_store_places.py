"""Stores with files outside of the store directory: a worker finds the files, or says that it cannot find them."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from hydra_resolver.embedded.tools import nix_bin

from ..support.failing import assert_sound, could_not_run
from ..support.farm import Farm, open_farm
from ..support.waiting import wait_until

JOBS = """let
  low = floating "low" ''
    mkdir -p $out/nix-support
    echo low > $out/low
    echo file one $out/low > $out/nix-support/hydra-build-products
  '' { };
in {
  inherit low;
  high = floating "high" "read x < $low/low; mkdir $out; echo $x > $out/high" { inherit low; };
}"""

SETTINGS = {
    "experimental-features": "nix-command ca-derivations",
    "build-users-group": "",
    "sandbox": "true",  # Nix needs the sandbox if the files are not in the store directory
    "sandbox-paths": "/bin /usr /lib /lib64",
    "build-dir": "/tmp",
    "substituters": "",
}


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory outside of /dev, which a sandbox replaces, with a path that is short enough for a socket."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        yield Path(name)


@pytest.fixture
def farm(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Farm]:
    conf = directory / "conf"
    conf.mkdir()
    (conf / "nix.conf").write_text("".join(f"{name} = {value}\n" for name, value in SETTINGS.items()))
    with open_farm(directory) as farm:
        for name in farm.store.environment():
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("NIX_CONF_DIR", str(conf))
        with psycopg.connect(farm.conninfo, autocommit=True) as connection:
            connection.execute("update resolver.setting set max_tries = 1")
        yield farm


@contextmanager
def daemon(farm: Farm, uri: str) -> Iterator[Path]:
    """Run a daemon that serves a store; yield its socket."""
    socket = farm.state / "socket"
    process = subprocess.Popen(
        [nix_bin() / "nix-daemon", "--store", uri],
        env={"PATH": "/usr/bin:/bin", "NIX_CONF_DIR": str(farm.state / "conf"), "NIX_DAEMON_SOCKET_PATH": str(socket)},
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(socket.exists)
        yield socket
    finally:
        process.terminate()
        process.wait()


def all_are_built_once(farm: Farm, uri: str) -> None:
    done = farm.command("run", farm.write("jobs.nix", JOBS), "--store", uri)
    assert done.returncode == 0, done.stderr
    assert "released" not in done.stderr
    steps = farm.rows("select drvPath from BuildSteps where type = 0 and status = 0")
    assert len(steps) == 2
    assert_sound(farm)
    (product,) = farm.rows("select fileSize, path from BuildProducts where name = 'low'")
    assert product["filesize"] == len("low\n")
    assert product["path"].startswith(f"{farm.state}/named/")
    files = {
        file.name: file.read_text() for file in (farm.state / "root" / "nix" / "store").glob("*/*") if file.is_file()
    }
    assert files == {"low": "low\n", "high": "low\n"}


def test_a_worker_builds_in_a_local_store_below_a_root_with_another_store_directory(farm: Farm) -> None:
    all_are_built_once(farm, f"local?root={farm.state}/root&store={farm.state}/named")


def test_a_worker_builds_in_a_daemons_store_below_a_root_with_another_store_directory(farm: Farm) -> None:
    parameters = f"?root={farm.state}/root&store={farm.state}/named"
    with daemon(farm, f"local{parameters}") as socket:
        all_are_built_once(farm, f"unix://{socket}{parameters}")


def test_a_worker_does_not_start_on_a_store_whose_files_are_not_on_this_machine(farm: Farm) -> None:
    with daemon(farm, f"local?root={farm.state}/root&store={farm.state}/named") as socket:
        said = could_not_run(farm, "worker", "--drain", "--store", f"unix://{socket}?store={farm.state}/named")
    assert f"the store's files are not in {farm.state}/named" in said
    assert "name their directory in the store's URI, as real=DIRECTORY" in said


def test_a_valid_output_is_not_deleted_if_the_worker_looks_in_the_wrong_place(farm: Farm) -> None:
    (farm.state / "named").mkdir()
    with daemon(farm, f"local?root={farm.state}/root&store={farm.state}/named") as socket:
        uri = f"unix://{socket}?store={farm.state}/named"
        done = farm.command("run", farm.write("jobs.nix", JOBS), "-A", "low", "--store", uri)
        assert done.returncode == 1
        (step,) = farm.rows("select status, errorMsg from BuildSteps")
        assert step["status"] == 3
        assert f"the store's files are not in {farm.state}/named" in step["errormsg"]
        assert "deleting" not in done.stderr
        (output,) = (farm.state / "root" / "nix" / "store").glob("*-low")
        environment = {"PATH": str(nix_bin()), "NIX_CONF_DIR": str(farm.state / "conf")}
        words = ["nix-store", "--store", uri, "--check-validity", f"{farm.state}/named/{output.name}"]
        assert subprocess.run(words, env=environment, check=False).returncode == 0
        assert_sound(farm)
