"""`resolve` works on any store, and asks a database only if one exists."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from hydra_resolver.embedded.state import StateDirectory

from ..support.farm import Farm, open_farm
from ..support.resolving import CASES, Cases, build_cases
from ..support.temporary import temporary_directory


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Cases:
    return build_cases(tmp_path_factory.mktemp("resolve"))


@pytest.fixture(scope="module")
def socket(cases: Cases) -> Iterator[Path]:
    """The socket of a daemon that serves the store of the cases."""
    with temporary_directory() as directory:  # the path of a socket must be short
        path = directory / "socket"
        environment = {**cases.farm.store.child_environment(), "NIX_DAEMON_SOCKET_PATH": str(path)}
        daemon = subprocess.Popen(["nix-daemon"], env=environment, stderr=subprocess.DEVNULL)
        try:
            while not path.exists():
                assert daemon.poll() is None
                time.sleep(0.01)
            yield path
        finally:
            daemon.terminate()
            daemon.wait()


@pytest.fixture
def nowhere(tmp_path: Path) -> Path:
    """A state directory that does not exist, and must not be made."""
    return tmp_path / "nowhere"


def use_store_of(farm: Farm, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in farm.store.environment().items():
        monkeypatch.setenv(name, value)


def assert_resolves(cases: Cases, *words: str | Path) -> None:
    """Assert that `resolve` works with the store's own record alone."""
    drv, resolved = cases.drvs["floating-one"], cases.resolved["floating-one"]
    assert cases.resolve(drv, *words).stdout == resolved + "\n"
    assert cases.resolve(drv, *words, "--write").stdout == resolved + "\n"
    assert resolved in cases.resolve(drv, *words, "--diff").stdout
    assert Path(resolved).name in cases.resolve(drv, *words, "--json").stdout


def test_resolve_works_on_the_daemon_of_the_environment(
    cases: Cases, socket: Path, nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_store_of(cases.farm, monkeypatch)
    monkeypatch.setenv("NIX_DAEMON_SOCKET_PATH", str(socket))
    assert_resolves(cases, "--store", "daemon", "--state", nowhere)
    assert not nowhere.exists()


def test_resolve_works_on_a_daemon_named_by_its_socket(
    cases: Cases, socket: Path, nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NIX_CONF_DIR", str(cases.farm.store.directory / "etc"))
    uri = f"unix://{socket}?store={cases.farm.store.store_dir}"
    assert_resolves(cases, "--store", uri, "--state", nowhere)
    assert not nowhere.exists()


def test_resolve_works_on_a_local_store_named_by_its_directories(
    cases: Cases, nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = cases.farm.store
    monkeypatch.setenv("NIX_CONF_DIR", str(store.directory / "etc"))  # ca-derivations must be on
    uri = f"local?store={store.store_dir}&state={store.directory / 'var'}&log={store.log_dir}"
    assert_resolves(cases, "--store", uri, "--state", nowhere)
    assert not nowhere.exists()


def test_resolve_works_on_the_store_of_the_environment(
    cases: Cases, nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_store_of(cases.farm, monkeypatch)
    assert_resolves(cases, "--store", "", "--state", nowhere)
    assert not nowhere.exists()


@pytest.mark.parametrize("form", ["local?root={root}", "{root}"])
def test_resolve_works_on_a_store_below_another_root(
    cases: Cases, tmp_path: Path, nowhere: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    monkeypatch.setenv("NIX_CONF_DIR", str(cases.farm.store.directory / "etc"))
    root, file = tmp_path / "root", tmp_path / "cases.nix"
    file.write_text(CASES)
    store = ("--store", form.format(root=root))

    def nix(*words: str | Path) -> str:
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()

    def resolve(drv: str, *words: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        return cases.resolve(drv, *words, *store, "--state", nowhere, status=status)

    drv, leaf = (nix("nix-instantiate", *store, file, "-A", name).partition("!")[0] for name in ("deferred", "leaf"))
    assert drv.startswith("/nix/store/")
    assert resolve(drv, status=1).stdout == f"{leaf}^out\n"
    given = ("--realisation", f"{leaf}^out={nix('nix-store', *store, '--add', file)}")
    resolved = resolve(drv, *given, "--write").stdout.strip()
    shown = json.loads(nix("nix", "derivation", "show", *store, resolved))
    assert json.loads(resolve(drv, *given, "--json").stdout) == shown
    # Users may name a file by its real path.
    assert resolve(f"{root}{drv}", *given).stdout.strip() == resolved


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("nonsense://x", "don't know how to open Nix store"),
        ("unix:///no/such/socket", "can't reach the Nix daemon at '/no/such/socket'"),
        ("dummy://", "is not in the store"),
        ("ssh-ng://no-such-host.invalid", "no-such-host.invalid"),
    ],
)
def test_resolve_reports_a_store_that_cannot_be_used(cases: Cases, nowhere: Path, uri: str, reason: str) -> None:
    name = Path(cases.drvs["deferred"]).name
    assert reason in cases.refused(name, "--store", uri, "--state", nowhere)


@pytest.fixture
def without(cases: Cases, tmp_path: Path, nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str | Path, ...]:
    """Arguments that name the store of the cases, for a Nix with content-addressed derivations switched off."""
    use_store_of(cases.farm, monkeypatch)
    (tmp_path / "nix.conf").write_text("experimental-features = nix-command\nbuild-users-group =\nsandbox = false\n")
    monkeypatch.setenv("NIX_CONF_DIR", str(tmp_path))
    return ("--store", "local", "--state", nowhere)


@pytest.mark.parametrize("name", ["leaf", "floating-one", "deferred", "structured"])
def test_resolving_a_content_addressed_derivation_needs_the_feature(
    cases: Cases, without: tuple[str | Path, ...], name: str
) -> None:
    leaf = f"{cases.drvs['leaf']}^out={cases.outputs['leaf.out']}"
    for given in ((), ("--realisation", leaf) * (name == "deferred")):
        said = cases.refused(cases.drvs[name], *without, *given)
        assert "ca-derivations is off" in said
        assert "extra-experimental-features = ca-derivations" in said


@pytest.mark.parametrize("name", ["fixed", "static", "static-on-static"])
def test_a_derivation_that_nix_builds_without_the_feature_resolves_to_itself(
    cases: Cases, without: tuple[str | Path, ...], name: str
) -> None:
    drv = cases.drvs[name]
    assert cases.resolve(drv, *without).stdout == f"{drv}\n"
    assert cases.resolve(drv, *without, "--write").stdout == f"{drv}\n"
    reason = "it is resolved already" if name == "static" else "Nix builds it as it is"
    assert cases.resolve(drv, *without, "--diff").stdout == f"{drv}: {reason}\n"


def test_resolve_reports_a_missing_nix(cases: Cases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    said = cases.refused(cases.drvs["deferred"], "--store", "daemon")
    assert "'nix-instantiate' is not on PATH: install Nix" in said


def test_resolve_makes_no_database(cases: Cases) -> None:
    cases.resolve(cases.drvs["deferred"])
    state = StateDirectory(cases.farm.state)
    assert not state.postgres.exists()


# With a database

THREE = """rec {
  other = floating "other" "echo other > $out" { };
  low = floating "low" "echo low > $out" { };
  middle = floating "middle" "read x < ${low}; echo on $x > $out" { };
  high = floating "high" "cat ${low} ${middle} > $out" { };
}"""


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    with open_farm(tmp_path_factory.mktemp("farm")) as farm:
        yield farm


def test_resolve_finds_outputs_that_only_the_database_knows(
    farm: Farm, nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The worker built middle's resolution, so Nix did not learn that the output is middle's.
    file = farm.write("three.nix", THREE)
    middle = farm.run(file, "-A", "middle")["middle"]
    high = farm.nix("nix-instantiate", file, "-A", "high")
    cases = Cases(farm, {}, {}, {})
    resolved = cases.resolve(high).stdout
    assert middle["outputs"]["out"] in cases.resolve(high, "--diff").stdout

    use_store_of(farm, monkeypatch)
    words = ("--store", "local", "--state", nowhere)
    assert cases.resolve(high, *words, status=1).stdout == f"{middle['drv']}^out\n"
    assert cases.resolve(high, *words, "--database", farm.conninfo).stdout == resolved
    assert not nowhere.exists()


def test_resolve_prefers_valid_paths_of_the_database_to_those_of_the_store(farm: Farm) -> None:
    file = farm.write("three.nix", THREE)
    builds = farm.run(file, "-A", "low", "-A", "middle", "-A", "other")
    high = farm.nix("nix-instantiate", file, "-A", "high")
    low, other = (builds[name]["outputs"]["out"] for name in ("low", "other"))
    cases = Cases(farm, {}, {}, {})
    assert f"out: {low}\n" in cases.resolve(high, "--diff").stdout
    with psycopg.connect(farm.conninfo) as connection:
        for path, found in ((other, other), (other[:-1] + "x", low)):
            connection.execute(
                "update resolver.output o set path = %s from resolver.derivation d"
                " where d.derivation = o.derivation and d.name = 'low'",
                [Path(path).name],
            )
            connection.commit()
            assert f"out: {found}\n" in cases.resolve(high, "--diff").stdout
