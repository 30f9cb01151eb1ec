"""Nix is asked: what it resolved each derivation of oracle.nix to is compared with ours, path and bytes."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from hydra_resolver.nix.aterm import MalformedDerivation, parse_derivation
from hydra_resolver.nix.client import Client, Text
from hydra_resolver.nix.derivation import Derivation, InputOutput, Kind
from hydra_resolver.nix.errors import NixError
from hydra_resolver.nix.resolve import resolve, should_resolve
from hydra_resolver.nix.store import Store

CASES = Path(__file__).with_name("oracle.nix")


def run(store: Store, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    found = shutil.which(program, path=store.env["PATH"])
    assert found is not None
    return subprocess.run([found, *arguments], env=store.env, capture_output=True, text=True, check=False)


def look_up(client: Client, derivation: Derivation) -> dict[InputOutput, str]:
    """The paths of all inputs, as the store knows them."""
    found = {}
    for wanted in derivation.needed_outputs():
        path: str | None = wanted.drv_path
        for output in wanted.chain:
            assert path is not None
            path = client.query_derivation_output_map(path)[output]
        assert path is not None
        found[wanted] = path
    return found


@pytest.fixture(scope="module")
def built(new_store: Callable[[], Store]) -> tuple[Store, set[str], dict[str, str]]:
    """A store in which Nix built all cases; their .drv files; what Nix resolved, and to what."""
    store = new_store()
    instantiated = run(store, "nix-instantiate", str(CASES))
    assert instantiated.returncode == 0, instantiated.stderr
    drvs = {store.base_name(line.partition("!")[0]) for line in instantiated.stdout.split()}
    realised = run(store, "nix-store", "--realise", "-vvvvv", *map(store.full_path, sorted(drvs)))
    assert realised.returncode == 0, realised.stderr[-5000:]
    logged = re.findall(r"resolved derivation: '(\S+)' -> '(\S+?)'", realised.stderr)
    return store, drvs, {store.base_name(original): store.base_name(resolved) for original, resolved in logged}


def test_we_resolve_what_nix_resolves(built: tuple[Store, set[str], dict[str, str]]) -> None:
    store, drvs, resolutions = built
    ours = {drv for drv in drvs if should_resolve(store.read_derivation(drv), store.nix_version)}
    assert ours <= resolutions.keys()
    assert resolutions.keys() & drvs == ours
    kinds = {store.read_derivation(drv).kind for drv in ours}
    assert kinds == {Kind.FLOATING, Kind.DEFERRED, Kind.FIXED}


def test_path_and_bytes_are_those_of_nix(built: tuple[Store, set[str], dict[str, str]]) -> None:
    store, _, resolutions = built
    compared = 0
    with store.connect() as client:
        for original, expected in resolutions.items():
            derivation = store.read_derivation(original)
            outputs = look_up(client, derivation)
            resolved = resolve(derivation, original, outputs, version=store.nix_version, store_dir=store.store_dir)
            assert resolved.path == expected, resolved.text
            # Nix writes the file when it builds, not when somebody built the same before.
            if client.query_valid_paths([expected]):
                assert store.read_derivation_text(expected) == resolved.text
                compared += 1
    assert compared >= len(resolutions) - 1


def test_nix_accepts_what_we_resolve_to_and_has_built_it_already(
    built: tuple[Store, set[str], dict[str, str]],
) -> None:
    store, drvs, _ = built
    with store.connect() as client:
        client.set_options(store.settings)
        for drv in sorted(drvs):
            derivation = store.read_derivation(drv)
            if not should_resolve(derivation, store.nix_version):
                continue
            outputs = look_up(client, derivation)
            resolved = resolve(derivation, drv, outputs, version=store.nix_version, store_dir=store.store_dir)
            client.add_text(Text(resolved.path, resolved.text, resolved.derivation.references))
            assert client.query_derivation_output_map(resolved.path) == client.query_derivation_output_map(drv)


def test_derivations_with_equal_inputs_resolve_to_one(built: tuple[Store, set[str], dict[str, str]]) -> None:
    _, _, resolutions = built
    same = [resolved for original, resolved in resolutions.items() if original.endswith("-on-same.drv")]
    assert len(same) == 2
    assert len(set(same)) == 1


@pytest.mark.parametrize(
    ("change", "accepted"),
    [
        (lambda text: text + b"\nwhat follows is ignored", True),
        (lambda text: text.replace(b'["-c"', b'[,"-c"'), True),
        (lambda text: text.replace(b'["-c",', b'["-c"'), True),
        (lambda text: text.replace(b'"\\n"]', b'"\\n",]'), False),
        (lambda text: text.replace(b"r:sha256", b"q:sha256"), False),
        (lambda text: text.replace(b"r:sha256", b"r:SHA256"), False),
        (lambda text: text.replace(b"Derive(", b'DrvWithVersion("xp-dyn-drv",'), True),
        (lambda text: text.replace(b"Derive(", b'DrvWithVersion("later",'), False),
        (lambda text: text.replace(b'"r:sha256",""', b'"r:sha256","00"'), False),
        (lambda text: text.replace(b'"","r:sha256"', b'"/x","r:sha256"'), False),
        (lambda text: text[:-1], False),
    ],
)
def test_nix_reads_what_we_read(store: Store, client: Client, change: Callable[[bytes], bytes], accepted: bool) -> None:
    text = change(b'Derive([("out","","r:sha256","")],[],[],"x","/bin/sh",["-c","\\n"],[("a","b")])')
    path = store.store_dir.text_path("strange.drv", text, [])
    if accepted:
        client.add_text(Text(path, text, []))
        parse_derivation(text, "strange", store.store_dir)
    else:
        with pytest.raises(NixError):
            client.add_text(Text(path, text, []))
        with pytest.raises(MalformedDerivation):
            parse_derivation(text, "strange", store.store_dir)
