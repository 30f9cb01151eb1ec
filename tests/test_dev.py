"""./dev: it explains itself, and says what to do when it can't go on."""

import os
import re
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import pytest

from hydra_resolver.embedded import EmbeddedError, private_nix

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def dev(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    loader = SourceFileLoader("dev", str(ROOT / "dev"))
    spec = spec_from_loader("dev", loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


def test_help_names_every_form() -> None:
    done = subprocess.run([ROOT / "dev", "--help"], capture_output=True, text=True, check=True)
    for form in ("demo", "test", "bench", "exec", "setup"):
        assert f"./dev {form}" in done.stdout


def test_who_is_not_root_gets_one_command_to_run(dev: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(dev.shutil, "which", lambda name: f"/usr/bin/{name}")
    with pytest.raises(dev.SetupError) as raised:
        dev.install_packages(["postgresql", "gcc"])
    (line,) = [line for line in str(raised.value).splitlines() if line.startswith("    ")]
    assert "create_main_cluster = false" in line
    assert line.endswith("apt-get install -y --no-install-recommends postgresql gcc'")


def test_a_python_that_is_too_old_is_said(dev: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 0))
    monkeypatch.setattr(dev.shutil, "which", lambda _name: None)
    with pytest.raises(dev.SetupError, match=r"3\.11, 3\.12 or 3\.13"):
        dev.use_supported_python()


def test_every_locked_package_has_hashes_and_no_address() -> None:
    text = (ROOT / "requirements.lock").read_text()
    requirements = re.split(r"\n(?=[a-z])", text)[1:]
    assert len(requirements) > 10
    assert all("--hash=sha256:" in requirement for requirement in requirements)
    assert "://" not in text


def test_a_nix_that_cannot_be_downloaded_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("apt-get", "dpkg-deb"):
        (programs / name).write_text("#!/bin/sh\necho no network >&2\nexit 100\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    with pytest.raises(EmbeddedError, match="no network"):
        private_nix.install(tmp_path / "cache", Path("patchelf"), print)
    assert list((tmp_path / "cache").iterdir()) == []
