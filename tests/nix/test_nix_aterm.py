"""Reading and printing derivations: edge cases, refusals with their positions, and the inverse property."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hydra_resolver.nix.aterm import MAX_DYNAMIC_DEPTH, MalformedDerivation, parse_derivation, unescape
from hydra_resolver.nix.aterm_print import derivation_path, escape, print_derivation
from hydra_resolver.nix.derivation import (
    Deferred,
    Derivation,
    Fixed,
    Floating,
    Impure,
    InputAddressed,
    InputNode,
    InputOutput,
    InvalidDerivation,
    Kind,
    Method,
)
from hydra_resolver.nix.store_path import NIX32_ALPHABET, StoreDir

STORE_DIR = StoreDir("/nix/store")
ZERO = "0" * 32
PLAIN = b'Derive([("out","","r:sha256","")],[],[],"system","/bin/sh",["-c","a"],[("name","x"),("out","")])'


def parse(text: bytes, name: str = "x") -> Derivation:
    return parse_derivation(text, name, STORE_DIR)


def with_outputs(*outputs: str) -> bytes:
    return PLAIN.replace(b'("out","","r:sha256","")', ",".join(outputs).encode())


def with_inputs(inputs: str, header: str = "Derive(") -> bytes:
    return PLAIN.replace(b"],[],[],", f"],[{inputs}],[],".encode()).replace(b"Derive(", header.encode())


VERSIONED = 'DrvWithVersion("xp-dyn-drv",'


@pytest.mark.parametrize(
    ("output", "expected", "kind"),
    [
        (f'("out","/nix/store/{ZERO}-x","","")', InputAddressed(f"{ZERO}-x"), Kind.INPUT_ADDRESSED),
        ('("out","","r:sha256","")', Floating(Method.NAR, "sha256"), Kind.FLOATING),
        ('("out","","sha1","")', Floating(Method.FLAT, "sha1"), Kind.FLOATING),
        ('("out","","text:sha256","")', Floating(Method.TEXT, "sha256"), Kind.FLOATING),
        ('("out","","git:sha1","")', Floating(Method.GIT, "sha1"), Kind.FLOATING),
        ('("out","","","")', Deferred(), Kind.DEFERRED),
        ('("out","","r:sha256","impure")', Impure(Method.NAR, "sha256"), Kind.IMPURE),
    ],
)
def test_each_kind_of_output_is_told(output: str, expected: object, kind: Kind) -> None:
    text = with_outputs(output)
    derivation = parse(text)
    assert derivation.outputs == {"out": expected}
    assert derivation.kind is kind
    assert print_derivation(derivation, STORE_DIR) == text


def test_the_path_of_a_fixed_output_is_computed_on_printing() -> None:
    digest = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
    derivation = parse(with_outputs(f'("out","/anything","sha256","{digest}")'))
    assert derivation.outputs == {"out": Fixed(Method.FLAT, "sha256", bytes.fromhex(digest))}
    path = derivation.output_path("out", STORE_DIR)
    assert path is not None
    assert path.endswith("-x")
    assert f'"/nix/store/{path}","sha256","{digest}"'.encode() in print_derivation(derivation, STORE_DIR)


@pytest.mark.parametrize("written", ["0" * 64, "0" * 52, "A" * 43 + "="])
def test_a_hash_may_be_written_in_base_16_32_or_64(written: str) -> None:
    derivation = parse(with_outputs(f'("out","/x","sha256","{written}")'))
    assert derivation.outputs == {"out": Fixed(Method.FLAT, "sha256", bytes(32))}


def test_sets_are_sorted_and_the_last_of_two_entries_counts() -> None:
    a, b = f"/nix/store/{ZERO}-a.drv", f"/nix/store/{ZERO}-b.drv"
    text = (
        'Derive([("z","","","",),("a","","","")],[],[],"","",[],[])'.replace(",)", ")")
        .replace("],[],[],", f'],[("{b}",["y","x","y"]),("{a}",["out"]),("{a}",["dev"])],["{b}","{a}","{b}"],')
        .replace(",[])", ',[("k","1"),("b","2"),("k","3")])')
    )
    derivation = parse(text.encode())
    assert list(derivation.outputs) == ["a", "z"]
    assert derivation.input_drvs == {f"{ZERO}-a.drv": InputNode(("dev",)), f"{ZERO}-b.drv": InputNode(("x", "y"))}
    assert list(derivation.input_drvs) == [f"{ZERO}-a.drv", f"{ZERO}-b.drv"]
    assert derivation.input_srcs == (f"{ZERO}-a.drv", f"{ZERO}-b.drv")
    assert derivation.env == {b"b": b"2", b"k": b"3"}
    assert list(derivation.env) == [b"b", b"k"]


def test_the_first_of_two_outputs_of_one_name_counts() -> None:
    derivation = parse(with_outputs('("out","","sha256","")', '("out","","r:sha1","")'))
    assert derivation.outputs == {"out": Floating(Method.FLAT, "sha256")}


def test_escapes_are_those_of_nix() -> None:
    everything = bytes(range(256))
    written = escape(everything)
    assert written.count(b"\\") == 2 + 1 + 3
    assert unescape(written) == everything
    assert unescape(rb"\a\/\\n\\\n\"") == b'a/\\n\\\n"'


def test_only_what_nix_escapes_is_escaped() -> None:
    text = PLAIN.replace(b'"system"', rb'"sys\"tem"')
    printed = print_derivation(parse(text), STORE_DIR)
    assert b'"sys"tem"' in printed


def test_dynamic_inputs_keep_their_tree() -> None:
    node = '(["out"],[("dyn",(["a","b"],[("deep",["x"])])),("other",["out"])])'
    text = with_inputs(f'("/nix/store/{ZERO}-a.drv",{node}),("/nix/store/{ZERO}-b.drv",["out"])', VERSIONED)
    derivation = parse(text)
    assert derivation.has_dynamic_inputs
    assert list(derivation.needed_outputs()) == [
        InputOutput(f"{ZERO}-a.drv", ("out",)),
        InputOutput(f"{ZERO}-a.drv", ("dyn", "a")),
        InputOutput(f"{ZERO}-a.drv", ("dyn", "b")),
        InputOutput(f"{ZERO}-a.drv", ("dyn", "deep", "x")),
        InputOutput(f"{ZERO}-a.drv", ("other", "out")),
        InputOutput(f"{ZERO}-b.drv", ("out",)),
    ]
    assert print_derivation(derivation, STORE_DIR) == text


def test_without_a_dynamic_child_the_plain_form_is_printed() -> None:
    plain = with_inputs(f'("/nix/store/{ZERO}-a.drv",["out"])')
    versioned = with_inputs(f'("/nix/store/{ZERO}-a.drv",(["out"],[]))', VERSIONED)
    assert print_derivation(parse(versioned), STORE_DIR) == plain


@pytest.mark.parametrize(
    ("text", "position"),
    [
        (b"", 0),
        (b"Derive", 0),
        (b"\x7fELF", 0),
        (PLAIN[:-1], len(PLAIN) - 1),
        (PLAIN[:20], 8),
        (PLAIN.replace(b'"-c"', b"-c"), PLAIN.index(b'"-c"')),
        (PLAIN.replace(b'("name"', b'("na"me"'), PLAIN.index(b'("name"') + 5),
        (PLAIN.replace(b"r:sha256", b"x:sha256"), 8),
        (PLAIN.replace(b"r:sha256", b"r:sha3"), 8),
        (PLAIN.replace(b'"out","",', b'"out","/nix/store/x",'), 8),
        (with_outputs('("out","/other/store/x","","")'), 8),
        (with_outputs('("o/t","/x","sha256","' + "0" * 64 + '")'), 8),
        (with_outputs('("out","/x","sha256","00")'), 8),
        (with_outputs('("out","","sha256","' + "0" * 64 + '")'), 8),
        (
            with_inputs(f'("/nix/store/{ZERO}-a.drv",(["out"],[]))'),
            len('Derive([("out","","r:sha256","")],[("') + 50 + 1,
        ),
        (with_inputs('("/nix/store/short",["out"])'), len('Derive([("out","","r:sha256","")],[(')),
        (PLAIN.replace(b"],[],[],", f'],[],["/elsewhere/{ZERO}-a"],'.encode()), PLAIN.index(b"[],[],") + 4),
        (PLAIN.replace(b"Derive(", b'DrvWithVersion("xp-later",'), 0),
    ],
)
def test_what_is_no_derivation_is_refused_with_the_position(text: bytes, position: int) -> None:
    with pytest.raises(MalformedDerivation) as caught:
        parse(text)
    assert caught.value.position == position
    assert f"at byte {position}" in str(caught.value)
    assert "'x'" in str(caught.value)


def test_a_chain_without_end_is_refused() -> None:
    depth = MAX_DYNAMIC_DEPTH + 10
    node = '([],[("o",' * depth + "[]" + ")])" * depth
    with pytest.raises(MalformedDerivation, match="too long"):
        parse(with_inputs(f'("/nix/store/{ZERO}-a.drv",{node})', VERSIONED))


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ([], "no output"),
        (['("a","","","")', '("b","","sha256","")'], "mixes"),
        (['("a","","sha1","")', '("b","","sha256","")'], "one hash algorithm"),
        (['("dev","/x","sha256","' + "0" * 64 + '")'], "named 'out'"),
    ],
)
def test_outputs_that_do_not_fit_together_have_no_kind(outputs: list[str], message: str) -> None:
    derivation = parse(with_outputs(*outputs))
    with pytest.raises(InvalidDerivation, match=message):
        _ = derivation.kind


names = st.text("abcXYZ019+-._?=", min_size=1, max_size=12).filter(lambda name: name[0] != ".")
base_names = st.builds(
    lambda digits, name: f"{digits}-{name}", st.text(NIX32_ALPHABET, min_size=32, max_size=32), names
)
drv_names = base_names.map(lambda name: f"{name}.drv")
digests = st.binary(min_size=32, max_size=32)
methods = st.sampled_from(Method)
output_kinds: list[st.SearchStrategy[Any]] = [
    st.builds(InputAddressed, base_names),
    st.builds(Floating, methods, st.sampled_from(["sha256", "sha512"])),
    st.builds(Deferred),
    st.builds(Impure, methods, st.just("sha256")),
    st.builds(Fixed, methods, st.just("sha256"), digests),
]
output_sets = st.sampled_from(output_kinds).flatmap(lambda kind: st.dictionaries(names, kind, min_size=1, max_size=3))
nodes = st.recursive(
    st.builds(lambda outputs: InputNode(tuple(sorted(outputs))), st.sets(names, max_size=3)),
    lambda children: st.builds(
        lambda outputs, dynamic: InputNode(tuple(sorted(outputs)), dict(sorted(dynamic.items()))),
        st.sets(names, max_size=2),
        st.dictionaries(names, children, max_size=2),
    ),
    max_leaves=5,
)
unquoted = st.binary(max_size=8).filter(lambda text: not set(text) & set(b'"\\'))
derivations = st.builds(
    lambda outputs, inputs, sources, platform, builder, args, env: Derivation(
        "x", dict(sorted(outputs.items())), dict(sorted(inputs.items())), tuple(sorted(sources)),
        platform, builder, tuple(args), dict(sorted(env.items())),
    ),
    output_sets,
    st.dictionaries(drv_names, nodes, max_size=3),
    st.sets(base_names, max_size=3),
    unquoted,
    st.binary(max_size=20),
    st.lists(st.binary(max_size=20), max_size=3),
    st.dictionaries(st.binary(max_size=10), st.binary(max_size=50), max_size=4),
)  # fmt: skip


@given(derivations)
def test_parsing_is_the_inverse_of_printing(derivation: Derivation) -> None:
    text = print_derivation(derivation, STORE_DIR)
    assert parse(text) == derivation
    assert print_derivation(parse(text), STORE_DIR) == text
    assert derivation_path(derivation, STORE_DIR).endswith("-x.drv")


@settings(max_examples=500)
@given(derivations, st.data())
def test_a_damaged_derivation_is_read_or_refused_and_nothing_else(derivation: Derivation, data: st.DataObject) -> None:
    text = bytearray(print_derivation(derivation, STORE_DIR))
    for _ in range(data.draw(st.integers(1, 3))):
        position = data.draw(st.integers(0, len(text) - 1))
        text[position : position + data.draw(st.integers(0, 3))] = data.draw(
            st.sampled_from([b"", b'"', b"\\", b",", b"(", b")", b"[", b"]", b"\xff", b'",""', b"0"])
        )
    try:
        read = parse(bytes(text))
    except MalformedDerivation as refused:
        error = refused
    else:
        assert print_derivation(read, STORE_DIR)
        return
    assert 0 <= error.position <= len(text)
