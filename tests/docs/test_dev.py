"""./dev: it explains itself, and says what to do if it cannot continue."""

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
from hydra_resolver.embedded.tools import cache_directory, nix_version

ROOT = Path(__file__).resolve().parents[2]


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


def test_dev_help_names_every_subcommand() -> None:
    done = subprocess.run([ROOT / "dev", "--help"], capture_output=True, text=True, check=True)
    for form in ("demo", "test", "bench", "exec", "setup"):
        assert f"./dev {form}" in done.stdout


def test_dev_gives_one_command_to_a_user_who_is_not_root(dev: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(dev.shutil, "which", lambda name: f"/usr/bin/{name}")
    with pytest.raises(dev.SetupError) as raised:
        dev.install_packages(["postgresql", "gcc"])
    (line,) = [line for line in str(raised.value).splitlines() if line.startswith("    ")]
    assert "create_main_cluster = false" in line
    assert line.endswith("apt-get install -y --no-install-recommends postgresql gcc'")


def test_dev_reports_a_python_that_is_too_old(dev: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_a_failed_download_of_nix_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("apt-get", "dpkg-deb"):
        (programs / name).write_text("#!/bin/sh\necho no network >&2\nexit 100\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    with pytest.raises(EmbeddedError, match="no network"):
        private_nix.install(tmp_path / "cache", Path("patchelf"), print)
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.fixture
def fake_debian(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a Debian on PATH whose suites have Nixes of their own; return the file in which downloads are recorded."""
    programs = tmp_path / "bin"
    programs.mkdir()
    scripts = {
        "apt-get": f"""
            case $* in
                indextargets*) echo Debian main mirror: ;;
                *install*)
                    case $(grep Suites: "${{APT_CONFIG%apt.conf}}debian.sources") in
                        *testing) version=2.34.8+dfsg-1 ;;
                        *trixie) version=2.26.3+dfsg-1 ;;
                    esac
                    echo "Inst nix-bin ($version Debian [arch])" ;;
                *download*) echo $3 >> {tmp_path}/downloads; echo ${{3#*=}} > nix.deb ;;
            esac""",
        "dpkg-deb": """
            mkdir -p $3/usr/bin $3/usr/lib
            echo > $3/usr/lib/ld-linux.so.2
            version=$(cat $2)
            printf '#!/bin/sh\\necho "nix (Nix) %s"\\n' ${version%+*} > $3/usr/bin/nix
            chmod +x $3/usr/bin/nix""",
        "patchelf": "",
    }
    for name, script in scripts.items():
        (programs / name).write_text(f"#!/bin/sh\n{script}\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "downloads"


def links() -> dict[str, str]:
    """Return the links in the cache directory, with their targets."""
    return {path.name: str(path.readlink()) for path in cache_directory().iterdir() if path.is_symlink()}


def test_the_nix_of_each_suite_is_downloaded_once(
    dev: ModuleType, fake_debian: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dev, "VENV", fake_debian.parent)
    assert not dev.nix_ready("demo")
    dev.prepare_nix("demo")
    assert links() == {"nix": "nix-2.34.8"}
    assert dev.nix_ready("demo")
    assert not dev.nix_ready("test")
    for _ in range(2):
        dev.prepare_nix("test")
        assert links() == {"nix": "nix-2.34.8", "nix-trixie": "nix-2.26.3"}
        assert dev.nix_ready("test")
    assert fake_debian.read_text().split() == ["nix-bin=2.34.8+dfsg-1", "nix-bin=2.26.3+dfsg-1"]
    assert nix_version(cache_directory() / "nix" / "bin" / "nix") == (2, 34, 8)
    assert nix_version(cache_directory() / "nix-trixie" / "bin" / "nix") == (2, 26, 3)


def test_a_downloaded_nix_is_only_linked(fake_debian: Path) -> None:
    cache = cache_directory()
    private_nix.install(cache, Path("patchelf"), print, ["trixie"])
    private_nix.install(cache, Path("patchelf"), print, ["trixie"], "other")
    assert links() == {"nix": "nix-2.26.3", "other": "nix-2.26.3"}
    private_nix.install(cache, Path("patchelf"), print)
    assert links() == {"nix": "nix-2.34.8", "other": "nix-2.26.3"}
    assert len(fake_debian.read_text().split()) == 2


def test_dev_test_runs_without_the_nix_that_only_tests_need(
    dev: ModuleType, fake_debian: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dev, "VENV", fake_debian.parent)
    dev.prepare_nix("demo")
    monkeypatch.setattr(private_nix.shutil, "which", lambda _name: None)
    dev.prepare_nix("test")
    assert "the Nix of Debian trixie will not run" in capsys.readouterr().err
    assert links() == {"nix": "nix-2.34.8"}


def test_dev_test_accepts_other_nixes_by_any_path(
    dev: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bin").mkdir()
    with pytest.raises(dev.SetupError, match="no nix is in"):
        dev.test_arguments(["--nix", "bin"])
    for name in ("nix", "nix-store", "nix-instantiate", "nix-daemon"):
        (tmp_path / "bin" / name).touch(0o755)
    for words in (["--nix", "bin"], ["--nix=bin"], ["--nix", f"{tmp_path}/bin"]):
        assert dev.test_arguments([*words, "-k", "x"]) == [f"--nix={tmp_path}/bin", "-k", "x"]
    for words in (["--nix"], ["--nix="], ["--nix", ""]):
        with pytest.raises(dev.SetupError, match="--nix wants"):
            dev.test_arguments(words)
