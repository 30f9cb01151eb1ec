"""Texts that Nix reads though it never writes them, and texts where we are stricter than Nix on purpose."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hydra_resolver.nix.aterm import MAX_DYNAMIC_DEPTH, MalformedDerivation, parse_derivation
from hydra_resolver.nix.derivation_json import derivation_to_json
from hydra_resolver.nix.errors import NixError
from hydra_resolver.nix.store import Store

from .nix_reader import NixReader

NAME = "strange"
ZERO = "0" * 32
PLAIN = 'Derive([("out","","r:sha256","")],[],[],"x","/bin/sh",["-c","\\n"],[("a","b")])'
VERSIONED = PLAIN.replace("Derive(", 'DrvWithVersion("xp-dyn-drv",')


def with_output(output: str) -> str:
    return PLAIN.replace('("out","","r:sha256","")', output)


def with_inputs(inputs: str, text: str = PLAIN) -> str:
    return text.replace("],[],[],", f"],[{inputs}],[],")


def with_source(source: str) -> str:
    return PLAIN.replace("],[],[],", f'],[],["{source}"],')


def chain(depth: int) -> str:
    node = '([],[("o",' * depth + '["out"]' + ")])" * depth
    return with_inputs(f'("STORE/{ZERO}-a.drv",{node})', VERSIONED)


def shortly(text: str) -> str:
    return text[:70]


@pytest.fixture(scope="module")
def reader(nix_store: Store) -> Iterator[NixReader]:
    with NixReader(nix_store, NAME) as reader:
        yield reader


def in_store(text: str, store: Store) -> bytes:
    return text.replace("STORE", store.store_dir.path).encode("latin-1")


@pytest.mark.parametrize(
    "text",
    [
        PLAIN.replace('["-c",', '[,"-c"'),
        PLAIN + "\nwhat follows is ignored",
        PLAIN.replace('"/bin/sh"', r'"\/\bi\n/sh"'),
        VERSIONED,
        VERSIONED.replace("xp-dyn-drv", r"xp-dyn\-drv"),
        with_source(f"STORE//{ZERO}-a"),
        with_source(f"/..STORE/./x/../{ZERO}-a/"),
        with_source(f"STORE/\0\xff/../{ZERO}-a"),
        with_source(rf"STORE/{ZERO}\-a"),
        with_inputs(f'("STORE/{ZERO}-a",["out"])'),
        with_inputs(f'("STORE/{ZERO}-a.drv",["x","out""x"]),("STORE/./{ZERO}-a.drv",["dev"])'),
        with_inputs(f'("STORE/{ZERO}-a.drv",(["out"],[("a",["c"]),("a",["b"])]))', VERSIONED),
        with_output('("out","/x","r:sha256","' + "A" * 64 + '")'),
        with_output('("out","/x","r:sha256","' + "A" * 20 + r"\n" + "A" * 23 + '")'),
        with_output('("out","/x","r:sha256","' + "A" * 42 + 'B=")'),
        with_output('("out","/x","sha512","' + "A" * 86 + '=!")'),
        with_output('("out","/x","sha1","' + "0" * 32 + '"),("out","","sha1","")'),
        with_output('("out","","","and a hash"),("","","r:md5","")'),
        with_output(""),
        chain(20),
    ],
    ids=shortly,
)
def test_unusual_text_that_nix_reads_is_read_alike(text: str, reader: NixReader, nix_store: Store) -> None:
    written = in_store(text, nix_store)
    derivation = parse_derivation(written, NAME, nix_store.store_dir)
    assert reader.output_names(written) == [name.encode() for name in derivation.outputs]
    shown = reader.shown([written])[0]
    assert shown == derivation_to_json(derivation, nix_store.nix_version, nix_store.store_dir)
    assert reader.written_path(shown) in (None, *reader.our_paths(derivation))


def test_a_plain_derivation_is_written_as_nix_writes_it(reader: NixReader, nix_store: Store) -> None:
    written = in_store(PLAIN, nix_store)
    derivation = parse_derivation(written, NAME, nix_store.store_dir)
    assert reader.written_path(reader.shown([written])[0]) in reader.our_paths(derivation)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "D",
        PLAIN[:-1],
        PLAIN.replace('"\\n"]', '"\\n",]'),
        PLAIN.replace("r:sha256", "R:sha256"),
        PLAIN.replace("r:sha256", "r:SHA256"),
        VERSIONED.replace("xp-dyn-drv", "later"),
        with_source(f"STORE/{ZERO}-a/b"),
        with_source(f"STORE/{'e' * 32}-a"),
        with_source(f"STORE/{ZERO}-"),
        with_source(f"STORE/{ZERO}-.-a"),
        with_source(f"{ZERO}-a"),
        with_inputs(f'("STORE/{ZERO}-a.drv",(["out"],[]))'),
        with_output('("out","x","r:sha256","' + "A" * 64 + '")'),
        with_output('("out","/x","r:sha256","00")'),
        with_output('("out","/x","r:sha256","sha256-' + "A" * 43 + '=")'),
        with_output('("out","/x","r:sha256","' + "z" * 52 + '")'),
        with_output('("out","/x","r:sha256","")'),
        with_output('("out","/x","r:sha256","impure")'),
    ],
    ids=shortly,
)
def test_text_that_nix_refuses_is_refused(text: str, reader: NixReader, nix_store: Store) -> None:
    written = in_store(text, nix_store)
    assert isinstance(reader.output_names(written), NixError)
    with pytest.raises(MalformedDerivation):
        parse_derivation(written, NAME, nix_store.store_dir)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        # No store path can have such a name, so nothing can be built.
        (with_output('("\xe9","","r:sha256","")'), "ASCII"),
        (with_inputs(f'("STORE/{ZERO}-a.drv",["\xe9"])'), "ASCII"),
        (with_output('("o!t","/x","sha256","' + "0" * 64 + '")'), "can't be the name of a store path"),
        # Nix looks only at the digits and at the name, but never writes any separator except a dash.
        (with_source(f"STORE/{ZERO}_a"), "is not the base name of a store path"),
        # Nix reads these, but when it must print them it says that no such path exists, or crashes.
        (with_output('("out","/x","text:sha1","' + "0" * 40 + '")'), "no store path has"),
        (with_output('("out","/x","git:md5","' + "0" * 32 + '")'), "no store path has"),
        # Nix reads as many levels as its stack holds.
        (chain(MAX_DYNAMIC_DEPTH + 2), "too long"),
    ],
    ids=shortly,
)
def test_text_that_nix_reads_but_cannot_build_is_refused(
    text: str, reason: str, reader: NixReader, nix_store: Store
) -> None:
    written = in_store(text, nix_store)
    assert isinstance(reader.output_names(written), list)
    with pytest.raises(MalformedDerivation, match=reason):
        parse_derivation(written, NAME, nix_store.store_dir)
