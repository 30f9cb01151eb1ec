"""Find the programs of PostgreSQL and Nix."""

import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from .errors import EmbeddedError

MIN_POSTGRES = 15
MIN_NIX = (2, 26)
DEBIAN_POSTGRES = Path("/usr/lib/postgresql")
OLDEST_NIX = "nix-trixie"  # the private Nix of the oldest supported version


def cache_directory() -> Path:
    """Return the user's cache directory for hydra-resolver, which may not exist yet."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hydra-resolver"


def output_of(command: Sequence[str | Path], cwd: Path | None = None, env: Mapping[str, str] | None = None) -> str:
    """Run a program in the C locale without input and return its stdout.

    `env` is added to this process's environment. Raises EmbeddedError with the end of its output if it fails.
    """
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            env={**os.environ, "LC_ALL": "C", **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
    except OSError as error:
        raise EmbeddedError(f"{command[0]} can't be run: {error}") from error
    if done.returncode != 0:
        tail = "\n    ".join((done.stdout + done.stderr).strip().splitlines()[-15:])
        raise EmbeddedError(
            f"a command failed with status {done.returncode}: {' '.join(map(str, command))}\n    {tail}"
        )
    return done.stdout


def postgres_major(bin_dir: Path) -> int | None:
    """Return the major version of the server in that directory, None if there is none, or it does not run."""
    with contextlib.suppress(EmbeddedError):
        found = re.search(r"(\d+)", output_of([bin_dir / "postgres", "--version"]))
        return int(found[1]) if found else None
    return None


def find_postgres(major: int | None = None) -> Path | None:
    """Return the directory of a PostgreSQL server's programs, None if there is none.

    The server on PATH is used if it is recent enough, else the newest of Debian's packages. If `major` is given, only
    that version is used, because a cluster belongs to one version.
    """
    on_path = shutil.which("postgres")
    candidates = [Path(os.path.realpath(on_path)).parent] if on_path else []
    debian = [path.parent for path in DEBIAN_POSTGRES.glob("*/bin/postgres") if path.parts[-3].isdigit()]
    candidates += sorted(debian, key=lambda path: int(path.parent.name), reverse=True)
    for candidate in candidates:
        version = postgres_major(candidate) or 0
        if version >= MIN_POSTGRES and major in (None, version):
            return candidate
    return None


def postgres_bin(major: int | None = None) -> Path:
    """Return the directory of a PostgreSQL server's programs. Raises EmbeddedError if there is none."""
    found = find_postgres(major)
    if found is None and major is None:
        raise EmbeddedError(
            f"no PostgreSQL server of version {MIN_POSTGRES} or newer was found on PATH or in {DEBIAN_POSTGRES}: "
            "install one (./dev setup does so on Debian), or name a database with --database"
        )
    if found is None:
        raise EmbeddedError(
            f"the embedded database was created by PostgreSQL {major}, which is not installed any more: "
            f"install postgresql-{major}, or start with another --state directory"
        )
    return found


def nix_version(program: Path) -> tuple[int, int, int] | None:
    """Return the version of that nix, None if it does not run."""
    with contextlib.suppress(EmbeddedError):
        said = re.sub(r"\([^)]*\)", "", output_of([program, "--version"]))  # the parentheses may have another version
        found = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", said)
        return (int(found[1]), int(found[2]), int(found[3] or 0)) if found else None
    return None


def has_ca_derivations(program: Path) -> bool:
    """Return whether that nix is configured for content-addressed derivations."""
    show = [str(program), "--extra-experimental-features", "nix-command", "config", "show", "experimental-features"]
    with contextlib.suppress(EmbeddedError):
        return "ca-derivations" in output_of(show).split()
    return False


def find_nix(*, configured: bool = False) -> Path | None:
    """Return the directory of a recent Nix's programs: on PATH, else the private one; None if there is neither.

    With `configured`, the Nix on PATH also has to have ca-derivations on in its own configuration, and the private Nix
    has to run; without, the check at its installation is enough.
    """
    on_path = shutil.which("nix")
    own = _private_programs("nix")
    if not configured and (own / "nix").exists() and (on_path is None or Path(on_path).parent == own):
        return own
    if on_path:
        program = Path(on_path)
        recent = (nix_version(program) or (0,)) >= MIN_NIX
        if recent and (not configured or has_ca_derivations(program)):
            return program.parent
    return private_nix()


def private_nix(link: str = "nix") -> Path | None:
    """Return the directory of a private Nix's programs, by the name of its link; None if it is missing."""
    programs = _private_programs(link)
    return programs if nix_version(programs / "nix") else None


def _private_programs(link: str) -> Path:
    return cache_directory() / link / "bin"


def nix_bin() -> Path:
    """Return the directory of a recent Nix's programs. Raises EmbeddedError if there is none."""
    found = find_nix()
    if found is None:
        wanted = ".".join(map(str, MIN_NIX))
        raise EmbeddedError(f"no Nix of version {wanted} or newer was found on PATH: install one, or run ./dev setup")
    return found
