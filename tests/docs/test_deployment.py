"""The systemd unit and the NixOS module start existing commands, with existing settings."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from hydra_resolver.embedded.store import EmbeddedStore
from hydra_resolver.embedded.tools import nix_bin
from hydra_resolver.settings_file import BY_NAME, parse_settings_file

ROOT = Path(__file__).resolve().parents[2]
UNIT = ROOT / "docs" / "hydra-resolver.service"
NIX_FILES = sorted((ROOT / "nix").glob("*.nix"))


def evaluate(store: EmbeddedStore, **arguments: Any) -> dict[str, Any]:
    """Evaluate tests/nixos.nix with these arguments."""
    words = [
        word
        for name, value in arguments.items()
        for word in ("--arg", name, f"builtins.fromJSON ''{json.dumps(value)}''")
    ]
    done = subprocess.run(
        [nix_bin() / "nix-instantiate", "--eval", "--strict", "--json", ROOT / "tests" / "nixos.nix", *words],
        env=store.child_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize("file", NIX_FILES, ids=lambda file: file.name)
def test_nix_parses_the_nix_files(nix_store: EmbeddedStore, file: Path) -> None:
    command = [nix_bin() / "nix-instantiate", "--parse", file]
    done = subprocess.run(command, env=nix_store.child_environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_module_replaces_hydras_queue_runner(nix_store: EmbeddedStore) -> None:
    found = evaluate(nix_store, hydra=True)
    services = found["services"]
    assert services["hydra-queue-runner"] == {"enable": False}
    worker = services["hydra-resolver"]
    assert worker["serviceConfig"]["ExecStart"] == "/packages/hydra-resolver/bin/hydra-resolver worker"
    assert worker["serviceConfig"]["User"] == "hydra-queue-runner", "both services have the shared settings"
    assert services["hydra-resolver-init"]["serviceConfig"]["ExecStart"].endswith(" db install")
    assert "hydra-resolver-init.service" in worker["requires"]
    settings = worker["environment"]["HYDRA_RESOLVER_CONFIG"]["value"]
    assert settings == {
        "database": "dbi:Pg:dbname=hydra;user=hydra;",
        "store": "daemon",
        "state": "/var/lib/hydra-resolver",
        "hydra_data": "/var/lib/hydra",
    }
    assert set(settings) <= set(BY_NAME)
    assert all(assertion["assertion"] for assertion in found["assertions"])


def test_the_module_replaces_the_queue_runner_of_hydras_own_modules(nix_store: EmbeddedStore) -> None:
    found = evaluate(nix_store, hydra=True, dev=True)
    off = {"enable": False}
    assert found["services"]["hydra-queue-runner-dev"] == found["services"]["hydra-queue-runner-check-space"] == off
    assert found["sockets"] == {"hydra-queue-runner-dev-grpc": off, "hydra-queue-runner-dev-rest": off}
    settings = found["services"]["hydra-resolver"]["environment"]["HYDRA_RESOLVER_CONFIG"]["value"]
    assert settings["database"] == "postgres://hydra@%2Frun%2Fpostgresql:5432/hydra"
    assert found["services"]["hydra-resolver-init"]["wants"] == ["hydra-init.service"]


def test_the_module_works_without_hydra_on_the_same_machine(nix_store: EmbeddedStore) -> None:
    found = evaluate(
        nix_store,
        hydra=False,
        options={"installSchema": False, "environmentFile": "/run/secrets/hydra-resolver"},
        settings={"jobs": 4, "database": None, "verbs": ["load"]},
    )
    services = found["services"]
    assert services["hydra-queue-runner"] == services["hydra-resolver-init"] == {}
    assert services["hydra-queue-runner-dev"] == found["sockets"]["hydra-queue-runner-dev-rest"] == {}
    worker = services["hydra-resolver"]
    assert worker["requires"] == []
    assert worker["serviceConfig"]["EnvironmentFile"] == ["/run/secrets/hydra-resolver"]
    settings = worker["environment"]["HYDRA_RESOLVER_CONFIG"]["value"]
    assert (settings["jobs"], settings["verbs"], "database" in settings) == (4, ["load"], False)


def test_every_option_of_the_module_is_a_setting() -> None:
    text = (ROOT / "nix" / "module.nix").read_text()
    named = re.findall(r"^          (\w+) = mkOption", text, re.MULTILINE)
    assert len(named) > 3
    assert set(named) <= set(BY_NAME)


def test_the_nix_package_has_the_version_and_the_dependencies_of_the_project(nix_store: EmbeddedStore) -> None:
    package = evaluate(nix_store, hydra=False)["package"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert (package["pname"], package["version"]) == (project["name"], project["version"])
    needed = {re.split(r"[\[><=]", requirement)[0] for requirement in project["dependencies"]}
    assert set(package["dependencies"]) == needed


def test_the_unit_uses_existing_commands_and_settings() -> None:
    text = UNIT.read_text()
    assert re.findall(r"^Exec\w+=-?/\S+/hydra-resolver (.*)$", text, re.MULTILINE) == ["db check", "worker"]
    example = "\n".join(re.findall(r"^#     (.*)$", text, re.MULTILINE))
    assert set(parse_settings_file(example, UNIT)) == {"database", "store", "state", "hydra_data"}


def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd on this machine")
    unit = tmp_path / UNIT.name
    unit.write_text(re.sub(r"/\S+/hydra-resolver (?=db|worker)", "/bin/true ", UNIT.read_text()))
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    complaints = [line for line in (done.stdout + done.stderr).splitlines() if UNIT.name in line]
    assert complaints == []
