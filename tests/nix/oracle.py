"""Asks a real Nix: Nix instantiates and builds, and its debug log contains its resolution of each derivation."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from hydra_resolver.nix.aterm_print import derivation_path, print_derivation
from hydra_resolver.nix.client import Client, Text
from hydra_resolver.nix.derivation import Derivation, InputOutput, Kind
from hydra_resolver.nix.resolve import Resolved, resolve
from hydra_resolver.nix.store import Store
from hydra_resolver.nix.store_path import derivation_name, output_path_name

AT_A_TIME = 20
"""The number of derivations in one ``nix build``: Nix's work and log for each one grow with their total."""

_RESOLVED = re.compile(rb"resolved derivation: '([^']+)' -> '([^']+)'")
_COLOUR = re.compile(rb"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Built:
    """The result of a build by Nix: its resolutions (base names), its whole log, and the errors in the log."""

    resolutions: dict[str, str]
    log: str
    errors: str


def run(store: Store, program: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    """Run a Nix program, whose output need not be text."""
    found = shutil.which(program, path=store.env["PATH"])
    assert found is not None
    return subprocess.run([found, *arguments], env=store.env, capture_output=True, check=False)


def instantiate(store: Store, file: Path) -> set[str]:
    """Instantiate all attributes in ``file``; return the derivations."""
    done = run(store, "nix-instantiate", str(file))
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return {store.base_name(line.partition("!")[0]) for line in done.stdout.decode().split()}


def build(store: Store, drvs: Iterable[str]) -> Built:
    """Let Nix build all outputs of ``drvs``, inputs first; of an input, too, all outputs are built."""
    resolutions: dict[str, str] = {}
    log = ""
    names = [store.full_path(drv) + "^*" for drv in _inputs_first(store, drvs)]
    for start in range(0, len(names), AT_A_TIME):
        # One job at a time: if two jobs register the same realisation at once, Nix may report a conflict.
        options = ("--no-link", "--keep-going", "--log-format", "raw", "--max-jobs", "1")
        done = run(store, "nix", "build", *options, *names[start : start + AT_A_TIME])
        messages = _COLOUR.sub(b"", done.stderr)
        for match in _RESOLVED.finditer(messages):
            original, resolved = (store.base_name(path.decode()) for path in match.groups())
            assert resolutions.setdefault(original, resolved) == resolved
        log += messages.decode(errors="replace")
    errors = [line for line in log.splitlines() if line.lstrip().startswith("error:")]
    return Built(resolutions, log, "\n".join(errors))


def _inputs_first(store: Store, drvs: Iterable[str]) -> list[str]:
    found: dict[str, None] = {}
    pending = sorted(drvs, reverse=True)
    opened = set()
    while pending:
        drv = pending[-1]
        inputs = [] if drv in opened else sorted(store.read_derivation(drv).input_drvs.keys() - found.keys())
        opened.add(drv)
        pending += inputs
        if not inputs:
            found[pending.pop()] = None
    return list(found)


def look_up(store: Store, client: Client, derivation: Derivation) -> dict[InputOutput, str]:
    """Return the paths of all outputs that ``derivation`` needs, from the store."""
    return {wanted: _look_up(store, client, wanted) for wanted in derivation.needed_outputs()}


def _look_up(store: Store, client: Client, wanted: InputOutput) -> str:
    path = wanted.drv_path
    for output in wanted.chain:
        if store.read_derivation(path).kind is Kind.IMPURE:
            # Nix does not record outputs of impure derivations, but in the cases each output has a name of its own.
            assert store.real_dir is not None
            name = output_path_name(derivation_name(path), output)
            (found,) = client.query_valid_paths(file.name for file in store.real_dir.glob("?" * 32 + f"-{name}"))
        else:
            known = client.query_derivation_output_map(path)[output]
            assert known is not None, f"{path}^{output}"
            found = known
        path = found
    return path


def input_kinds(store: Store, derivation: Derivation) -> dict[str, Kind]:
    """Return the kind of each input of ``derivation``."""
    return {drv: store.read_derivation(drv).kind for drv in derivation.input_drvs}


def resolve_as_we_do(store: Store, client: Client, drv: str) -> Resolved:
    """Resolve a derivation ourselves, from the store's record."""
    derivation = store.read_derivation(drv)
    return resolve(
        derivation,
        drv,
        look_up(store, client, derivation),
        version=store.nix_version,
        store_dir=store.store_dir,
        input_kinds=input_kinds(store, derivation),
    )


def differences(store: Store, resolutions: dict[str, str]) -> Iterator[str]:
    """Yield a message for each derivation whose resolution by Nix differs from ours, in path or in bytes."""
    with store.connect() as client:
        written = client.query_valid_paths(resolutions.values())
        for original, expected in resolutions.items():
            ours = resolve_as_we_do(store, client, original)
            if ours.path != expected:
                yield f"{original}: Nix resolves it to {expected}, we to {ours.path}: {ours.text!r}"
            elif expected in written and store.read_derivation_text(expected) != ours.text:
                yield f"{original}: {expected} does not have the content that we gave it: {ours.text!r}"


def not_written(store: Store, resolutions: dict[str, str]) -> set[str]:
    """Return the resolved derivations whose files Nix did not leave in the store: only their paths were compared."""
    with store.connect() as client:
        return set(resolutions.values()) - client.query_valid_paths(resolutions.values())


def add(client: Client, name: str, text: bytes, references: Collection[str] = ()) -> str:
    """Write a ``.drv`` with exactly this text; return its base name."""
    path = client.store_dir.text_path(f"{name}.drv", text, references)
    client.add_text(Text(path, text, tuple(sorted(references))))
    return path


def add_derivation(client: Client, derivation: Derivation) -> str:
    """Write the ``.drv`` of ``derivation``; return its base name."""
    text = print_derivation(derivation, client.store_dir)
    path = derivation_path(derivation, client.store_dir, text)
    client.add_text(Text(path, text, derivation.references))
    return path
