"""Derivations in JSON: as the Nix at hand shows them, and as other versions do."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from hydra_resolver.nix.aterm import parse_derivation
from hydra_resolver.nix.client import Client, Text
from hydra_resolver.nix.derivation import (
    Deferred,
    Derivation,
    Fixed,
    Floating,
    Impure,
    InputAddressed,
    InputNode,
    Method,
)
from hydra_resolver.nix.derivation_json import NotInJSON, derivation_to_json, show_derivations
from hydra_resolver.nix.placeholder import output_placeholder
from hydra_resolver.nix.store import Store
from hydra_resolver.nix.store_path import StoreDir
from hydra_resolver.nix.structured_attrs import InvalidStructuredAttributes
from hydra_resolver.nix.version import NixVersion

from ..support.resolving import CASES

STORE_DIR = StoreDir("/nix/store")
OLD, PARSING, BASE_NAMES, NEW = NixVersion(2, 29), NixVersion(2, 30), NixVersion(2, 32), NixVersion(2, 33)
VERSIONS = [OLD, PARSING, BASE_NAMES, NEW]
SOURCE, INPUT, MADE = (f"{digit * 32}-{name}" for digit, name in (("0", "source"), ("1", "input.drv"), ("2", "made")))
OWN = output_placeholder("out").encode()

TEXTS = {
    "controls": rb'Derive([("out","","r:sha256","")],[],[],"x","/b",["' + bytes(range(1, 9)) + b'\x0b\x7f",""],[])',
    "escapes": rb'Derive([("out","","r:sha256","")],[],[],"x","/b",["\"\\\n\r\t"],[("a\"\n","\x1b[0m/")])',
    "letters": 'Derive([("out","","r:sha256","")],[],[],"x","/é",["😀\u2028\u0085"],[("ü","€")])'.encode(),
    "zero": b'Derive([("out","","r:sha256","")],[],[],"x","/b",[],[("a","\0")])',
    "impure": b'Derive([("lib","","r:sha256","impure"),("out","","r:sha256","impure")],[],[],"x","/b",[],[])',
    "flat": b'Derive([("out","","sha1","")],[],[],"x","/b",[],[])',
    "text": b'Derive([("out","","text:sha256","")],[],[],"x","/b",[],[])',
    "git": b'Derive([("out","","git:sha1","")],[],[],"x","/b",[],[])',
    "numbers": rb'Derive([("out","","r:sha256","")],[],[],"x","/b",[],[("__json","{\"b\":[1e5,-0,2.5e22,-0.0,'
    rb'18446744073709551615,18446744073709551616],\"a\":\"\\u00e9\\/\"}")])',
    "self": b'Derive([("out","","r:sha256","")],[],[],"x","/b",["%b"],[("out","%b")])' % (OWN, OWN),
}


def run(store: Store, *words: str) -> subprocess.CompletedProcess[bytes]:
    program = shutil.which(words[0], path=store.env["PATH"])
    assert program is not None
    return subprocess.run([program, *words[1:]], env=store.env, capture_output=True, check=False)


def add(store: Store, client: Client, name: str, text: bytes) -> str:
    path = store.store_dir.text_path(f"{name}.drv", text, [])
    client.add_text(Text(path, text, []))
    return path


def assert_shown_as_nix_does(store: Store, drv_paths: list[str]) -> None:
    done = run(store, "nix", "derivation", "show", *map(store.full_path, drv_paths))
    assert done.returncode == 0, done.stderr
    shown = done.stdout.removesuffix(b"\n")
    derivations = {path: store.read_derivation(path) for path in drv_paths}
    ours = show_derivations(derivations, store.nix_version, store.store_dir)
    assert json.loads(ours) == json.loads(shown)
    if b"\n" not in shown:  # old versions always indent
        assert ours == shown


def test_all_kinds_of_derivations_are_shown_as_nix_shows_them(nix_store: Store, tmp_path: Path) -> None:
    store, file = nix_store, tmp_path / "cases.nix"
    file.write_text(CASES)
    instantiated = run(store, "nix-instantiate", str(file))
    assert instantiated.returncode == 0, instantiated.stderr
    drv_paths = sorted({store.base_name(line.partition("!")[0]) for line in instantiated.stdout.decode().split()})
    derivations = [store.read_derivation(path) for path in drv_paths]
    assert {derivation.kind for derivation in derivations} >= {"floating", "deferred", "fixed", "input-addressed"}
    assert any(derivation.has_dynamic_inputs for derivation in derivations)
    assert any(b"__json" in derivation.env for derivation in derivations)
    assert_shown_as_nix_does(store, drv_paths)


@pytest.mark.parametrize("name", TEXTS)
def test_strange_derivations_are_shown_as_nix_shows_them(nix_store: Store, nix_client: Client, name: str) -> None:
    assert_shown_as_nix_does(nix_store, [add(nix_store, nix_client, name, TEXTS[name])])


@pytest.mark.parametrize(
    ("text", "where"),
    [
        (b'"x","/b",["a","\xff"],[]', "its argument 2 is not UTF-8 at byte 0"),
        (b'"x","/b",[],[("a","b\xed\xa0\x80")]', "the value of 'a' is not UTF-8 at byte 1"),
        (b'"x","/b",[],[("\xc0\xaf","")]', "a name in its environment is not UTF-8"),
        (b'"x","/\xf8",[],[]', "its builder is not UTF-8"),
    ],
)
def test_a_derivation_that_is_not_utf8_has_no_json_form_here_or_in_nix(
    nix_store: Store, nix_client: Client, text: bytes, where: str
) -> None:
    store = nix_store
    path = add(store, nix_client, "bytes", b'Derive([("out","","r:sha256","")],[],[],' + text + b")")
    assert b"invalid UTF-8" in run(store, "nix", "derivation", "show", store.full_path(path)).stderr
    with pytest.raises(NotInJSON, match=where):
        show_derivations({path: store.read_derivation(path)}, store.nix_version, store.store_dir)


def derivation(**changes: object) -> Derivation:
    fields: dict[str, object] = {
        "name": "name",
        "outputs": {"out": Floating(Method.NAR, "sha256")},
        "input_drvs": {},
        "input_srcs": (),
        "platform": b"x86_64-linux",
        "builder": b"/bin/sh",
        "args": (),
        "env": {},
    }
    return Derivation(**(fields | changes))  # type: ignore[arg-type]


def test_inputs_are_written_as_each_nix_version_writes_them() -> None:
    one = derivation(input_srcs=(SOURCE,), input_drvs={INPUT: InputNode(("dev", "out"), {"drv": InputNode(("out",))})})
    old, parsing, base_names, new = (derivation_to_json(one, version, STORE_DIR) for version in VERSIONS)
    node = {"outputs": ["dev", "out"], "dynamicOutputs": {"drv": {"outputs": ["out"], "dynamicOutputs": {}}}}
    common = {
        "name": "name",
        "outputs": {"out": {"method": "nar", "hashAlgo": "sha256"}},
        "system": "x86_64-linux",
        "builder": "/bin/sh",
        "args": [],
        "env": {},
    }
    full = {"inputSrcs": [f"/nix/store/{SOURCE}"], "inputDrvs": {f"/nix/store/{INPUT}": node}}
    assert old == parsing == common | full
    assert base_names == common | {"inputSrcs": [SOURCE], "inputDrvs": {INPUT: node}, "version": 3}
    assert new == common | {"inputs": {"srcs": [SOURCE], "drvs": {INPUT: node}}, "version": 4}


FIXED_PATH = "qdk8rk26xkp820b8bd1ja3dprf3nfd0i-name"


@pytest.mark.parametrize(
    ("output", "old", "base_names", "new"),
    [
        (InputAddressed(MADE), {"path": f"/nix/store/{MADE}"}, {"path": MADE}, {"path": MADE}),
        (
            Fixed(Method.NAR, "sha256", b"\1" * 32),
            {"method": "nar", "hashAlgo": "sha256", "hash": "01" * 32, "path": f"/nix/store/{FIXED_PATH}"},
            {"method": "nar", "hashAlgo": "sha256", "hash": "01" * 32},
            {"method": "nar", "hash": "sha256-AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="},
        ),
        (Floating(Method.TEXT, "sha256"), *[{"method": "text", "hashAlgo": "sha256"}] * 3),
        (Floating(Method.FLAT, "sha512"), *[{"method": "flat", "hashAlgo": "sha512"}] * 3),
        (Deferred(), *[{}] * 3),
        (Impure(Method.GIT, "sha1"), *[{"method": "git", "hashAlgo": "sha1", "impure": True}] * 3),
    ],
    ids=lambda value: type(value).__name__,
)
def test_outputs_are_written_as_each_nix_version_writes_them(
    output: object, old: dict[str, object], base_names: dict[str, object], new: dict[str, object]
) -> None:
    one = derivation(outputs={"out": output})
    shown = [derivation_to_json(one, version, STORE_DIR)["outputs"]["out"] for version in VERSIONS]
    assert shown == [old, old, base_names, new]


def test_structured_attributes_are_an_object_for_versions_that_show_one() -> None:
    one = derivation(env={b"__json": b'{"b": 1, "a": [2.0]}', b"out": b"x"})
    old, *others = (derivation_to_json(one, version, STORE_DIR) for version in [*VERSIONS, NixVersion(2, 31)])
    assert old["env"] == {"__json": '{"b": 1, "a": [2.0]}', "out": "x"}
    assert "structuredAttrs" not in old
    for described in others:
        assert described["env"] == {"out": "x"}
        assert described["structuredAttrs"] == {"a": [2.0], "b": 1}
    broken = derivation(env={b"__json": b"["})
    assert derivation_to_json(broken, OLD, STORE_DIR)["env"] == {"__json": "["}
    for version in (PARSING, NEW):
        with pytest.raises(InvalidStructuredAttributes):
            derivation_to_json(broken, version, STORE_DIR)


def test_derivations_are_shown_in_one_object_keyed_by_path() -> None:
    text = b'Derive([("out","","r:sha256","")],[],[],"x","/b",[],[("e","\xc3\xa9")])'
    one = parse_derivation(text, "input", STORE_DIR)
    old, _, base_names, new = (show_derivations({INPUT: one}, version, STORE_DIR) for version in VERSIONS)
    assert json.loads(old).keys() == {f"/nix/store/{INPUT}"}
    assert json.loads(base_names).keys() == {INPUT}
    assert json.loads(new).keys() == {"derivations", "version"}
    assert new.decode() == (
        f'{{"derivations":{{"{INPUT}":{{"args":[],"builder":"/b","env":{{"e":"é"}},'
        '"inputs":{"drvs":{},"srcs":[]},"name":"input","outputs":{"out":{"hashAlgo":"sha256","method":"nar"}},'
        '"system":"x","version":4}},"version":4}'
    )
