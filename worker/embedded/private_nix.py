"""A Nix in a private directory, from Debian's packages: if the system's Nix is too old, or for tests with another.

The system stays unchanged: another suite's package would replace its C library. No privileges are needed.
"""

import os
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from .errors import EmbeddedError
from .tools import OLDEST_NIX, nix_version, output_of

SUITES = ("testing", "trixie")  # dynamic derivations need 2.30 or newer, which trixie (Debian 13) does not have
LINKS = {"nix": SUITES, OLDEST_NIX: ("trixie",)}  # versions that tests compare: links in one directory, and suites


def install(
    cache: Path, patchelf: Path, say: Callable[[str], None], suites: Sequence[str] = SUITES, link: str = "nix"
) -> None:
    """Create `cache`/`link`/bin/nix, from the first of Debian's `suites` whose Nix can be downloaded and runs.

    The Nix is unpacked under another name, renamed to nix-VERSION when it is complete, and linked when it runs. The
    caller holds a lock on `cache`. Leftovers of an interrupted call are removed. Raises EmbeddedError.
    """
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise EmbeddedError("Nix 2.26 or newer with ca-derivations on is needed: install it and put `nix` on PATH")
    new = cache / "nix.new"
    problems = []
    for suite in suites:
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(parents=True)
        try:
            final = _install(new, cache, suite, patchelf, say)
            _link(final, cache / link)
        except EmbeddedError as error:
            problems.append(f"Debian {suite}: {error}")
        else:
            return
        finally:
            shutil.rmtree(new, ignore_errors=True)
    raise EmbeddedError(
        "a private Nix could not be created. See the reasons (is there a network?), or install Nix 2.26 or newer, "
        "with ca-derivations on, and put it on PATH\n" + "\n".join(problems)
    )


def _private_apt(directory: Path, sources: str | None) -> dict[str, str]:
    """Return the environment of an apt with its own state, in which no package is installed.

    It uses `sources`, or if that is None, the machine's sources.
    """
    for name in ("state/lists/partial", "cache/archives/partial"):
        (directory / name).mkdir(parents=True, exist_ok=True)
    (directory / "status").touch()
    settings = [
        f'Dir::State "{directory}/state"; Dir::State::status "{directory}/status"; Dir::Cache "{directory}/cache";',
        'Acquire::Languages "none"; APT::Install-Recommends "false";',
        "#clear APT::Update::Post-Invoke; #clear APT::Update::Post-Invoke-Success;",
    ]
    if os.geteuid() == 0:  # else apt switches to its own user, which can't enter the directory
        settings.append('APT::Sandbox::User "root";')
    if sources is not None:
        (directory / "debian.sources").write_text(sources)
        settings.append(f'Dir::Etc::sourcelist "{directory}/debian.sources"; Dir::Etc::sourceparts "/dev/null";')
        settings.append('Dir::Etc::preferences "/dev/null"; Dir::Etc::preferencesparts "/dev/null";')
    (directory / "apt.conf").write_text("\n".join(settings) + "\n")
    return {"APT_CONFIG": str(directory / "apt.conf")}


def _mirror(directory: Path) -> str:
    """Return the address of the machine's Debian mirror."""
    targets = ["apt-get", "indextargets", "--format", "$(LABEL) $(COMPONENT) $(REPO_URI)", "Created-By: Packages"]
    found = re.search(r"^Debian main (\S+)$", output_of(targets), re.MULTILINE)
    if not found:  # the machine's lists were removed: fetch private ones
        env = _private_apt(directory, None)
        output_of(["apt-get", "update", "-qq"], env=env)
        found = re.search(r"^Debian main (\S+)$", output_of(targets, env=env), re.MULTILINE)
    if not found:
        raise EmbeddedError("this machine's apt has no Debian source")
    return found[1]


def _install(new: Path, cache: Path, suite: str, patchelf: Path, say: Callable[[str], None]) -> Path:
    """Return the directory of that suite's Nix in `cache`; if it is missing, download it to `new` first."""
    sources = f"Types: deb\nURIs: {_mirror(new / 'machine')}\nSuites: {suite}\nComponents: main\n"
    keyrings = sorted(Path("/usr/share/keyrings").glob("debian-archive-keyring.[gp]*"))
    if keyrings:
        sources += f"Signed-By: {keyrings[0]}\n"
    env = _private_apt(new / suite, sources)
    output_of(["apt-get", "update", "-qq"], env=env)
    plan = output_of(["apt-get", "-s", "install", "nix-bin"], env=env)
    closure: dict[str, str] = dict(re.findall(r"^Inst (\S+) \((\S+)", plan, re.MULTILINE))
    if "nix-bin" not in closure:
        raise EmbeddedError("there is no package nix-bin for this machine")
    final = cache / f"nix-{re.split(r'[^.0-9]', closure['nix-bin'])[0]}"
    if nix_version(final / "bin" / "nix") is None:
        say(f"downloading Nix {closure['nix-bin']} from Debian {suite}, for {cache} only")
        debs = new / suite / "debs"
        debs.mkdir()
        packages = [f"{name}={version}" for name, version in closure.items()]
        output_of(["apt-get", "download", "-qq", *packages], cwd=debs, env=env)
        for deb in sorted(debs.iterdir()):
            output_of(["dpkg-deb", "-x", deb, new / "root"])
        _finish(new / "root", final, patchelf)
    return final


def _finish(root: Path, final: Path, patchelf: Path) -> None:
    """Make an unpacked Nix run from `final` with the C library it came with, and move it there."""
    programs = root / "usr" / "bin"
    loaders = [path for path in (root / "usr/lib").rglob("ld-linux*.so.*") if not path.is_symlink()]
    if not loaders:
        raise EmbeddedError("the C library of this Nix has no dynamic loader in its usual place")
    libraries = final / loaders[0].parent.relative_to(root)
    # Through ld.so, Nix could not start itself again (/proc/self/exe). The old kind of rpath also serves the libraries
    # of its libraries.
    settings = ["--set-interpreter", f"{libraries}/{loaders[0].name}", "--force-rpath", "--set-rpath", str(libraries)]
    output_of([patchelf, *settings, programs / "nix"])
    shutil.rmtree(root / "usr/share", ignore_errors=True)  # manuals and translations, a third of the size
    shutil.rmtree(root / "bin", ignore_errors=True)
    (root / "bin").mkdir()
    for name in ("nix", *(path.name for path in programs.glob("nix-*"))):
        (root / "bin" / name).symlink_to("../usr/bin/nix")
    shutil.rmtree(final, ignore_errors=True)
    root.rename(final)
    if nix_version(final / "bin" / "nix") is None:
        raise EmbeddedError(f"{final}/bin/nix does not run on this machine")


def _link(directory: Path, link: Path) -> None:
    """Point `link`, beside `directory`, to it; a process that follows it meanwhile finds the old or the new target."""
    new = link.with_name("nix.link")
    new.unlink(missing_ok=True)
    new.symlink_to(directory.name)
    new.replace(link)
