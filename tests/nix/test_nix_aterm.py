"""Reading and printing derivations: edge cases, and refusals with the position of the error."""

from __future__ import annotations

import pytest

from hydra_resolver.nix.aterm import MAX_DYNAMIC_DEPTH, MalformedDerivation, parse_derivation, unescape
from hydra_resolver.nix.aterm_print import escape, print_derivation
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
from hydra_resolver.nix.store_path import StoreDir

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
def test_each_kind_of_output_is_recognised(output: str, expected: object, kind: Kind) -> None:
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


@pytest.mark.parametrize("written", ["0" * 64, "0" * 52, "A" * 43 + "=", "A" * 20 + r"\n" + "A" * 23])
def test_a_hash_may_be_written_in_base_16_32_or_64(written: str) -> None:
    derivation = parse(with_outputs(f'("out","/x","sha256","{written}")'))
    assert derivation.outputs == {"out": Fixed(Method.FLAT, "sha256", bytes(32))}


def test_parsing_sorts_sets_and_keeps_the_last_of_two_equal_keys() -> None:
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


@pytest.mark.parametrize(
    ("written", "outputs"),
    [
        ("", ()),
        ('""', ("",)),
        ('"",""', ("",)),
        (',""', ("",)),
        (',"a"', ("a",)),
        ('"a""b"', ("a", "b")),
        ('"a","","b"', ("", "a", "b")),
        ('","', (",",)),
        ('"b","a","b"', ("a", "b")),
        (r'"\a"', ("a",)),
    ],
)
def test_the_output_names_of_an_input_are_split_sorted_and_deduplicated(written: str, outputs: tuple[str, ...]) -> None:
    derivation = parse(with_inputs(f'("/nix/store/{ZERO}-a.drv",[{written}])'))
    assert derivation.input_drvs == {f"{ZERO}-a.drv": InputNode(outputs)}


def test_parsing_keeps_the_first_of_two_outputs_with_the_same_name() -> None:
    derivation = parse(with_outputs('("out","","sha256","")', '("out","","r:sha1","")'))
    assert derivation.outputs == {"out": Floating(Method.FLAT, "sha256")}


@pytest.mark.parametrize(
    "directory", ["/nix//store", "//nix/store/.", "/x/../nix/y/./../store", "/../nix/store/\xff/.."]
)
def test_store_paths_may_contain_dots_and_repeated_slashes(directory: str) -> None:
    text = (
        f'DrvWithVersion("xp-dyn\\-drv",[("out","{directory}/{ZERO}-x","","")],[("{directory}/{ZERO}-a.drv",["out"])],'
        f'["{directory}/{ZERO}-b/"],"","",[],[])'
    )
    derivation = parse(text.encode("latin-1"))
    assert derivation.outputs == {"out": InputAddressed(f"{ZERO}-x")}
    assert derivation.input_drvs == {f"{ZERO}-a.drv": InputNode(("out",))}
    assert derivation.input_srcs == (f"{ZERO}-b",)


def test_strings_are_escaped_and_unescaped_as_in_nix() -> None:
    everything = bytes(range(256))
    written = escape(everything)
    assert written.count(b"\\") == 2 + 1 + 3
    assert unescape(written) == everything
    assert unescape(rb"\a\/\\n\\\n\"") == b'a/\\n\\\n"'


def test_the_platform_is_printed_without_escapes_as_nix_prints_it() -> None:
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


def test_a_derivation_without_dynamic_inputs_is_printed_in_the_plain_form() -> None:
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
        (PLAIN.replace(b"Derive(", b'DrvWithVersion("xp-later",'), 15),
        (with_outputs('("out","/x","text:sha1","' + "0" * 40 + '")'), 8),
        (with_outputs('("out","/x","git:sha512","' + "0" * 128 + '")'), 8),
        (with_outputs('("\xe9","","","")'), 8),
        (with_inputs(f'("/nix/store/{ZERO}-a.drv",["\xe9"])'), len('Derive([("out","","r:sha256","")],[(') + 50 + 3),
        (PLAIN.replace(b"],[],[],", f'],[],["/nix/store/{ZERO}_a"],'.encode()), PLAIN.index(b"[],[],") + 4),
    ],
)
def test_malformed_text_is_refused_with_the_position_of_the_error(text: bytes, position: int) -> None:
    with pytest.raises(MalformedDerivation) as caught:
        parse(text)
    assert caught.value.position == position
    assert f"at byte {position}" in str(caught.value)
    assert "'x'" in str(caught.value)


def chain(depth: int) -> bytes:
    node = '([],[("o",' * depth + '["out"]' + ")])" * depth
    return with_inputs(f'("/nix/store/{ZERO}-a.drv",{node})', VERSIONED)


@pytest.mark.parametrize("depth", [MAX_DYNAMIC_DEPTH + 2, 100_000])
def test_a_chain_that_is_too_long_is_refused(depth: int) -> None:
    with pytest.raises(MalformedDerivation, match="too long"):
        parse(chain(depth))


def test_a_long_chain_is_read_and_printed() -> None:
    derivation = parse(chain(MAX_DYNAMIC_DEPTH))
    assert [len(wanted.chain) for wanted in derivation.needed_outputs()] == [MAX_DYNAMIC_DEPTH + 1]
    assert print_derivation(derivation, STORE_DIR) == chain(MAX_DYNAMIC_DEPTH)


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "run", ['"', "\\", ",", "(", "[", '"",', "0", '","', '("",""),', '["a",', "\\n", "/", "../", "é"]
)
@pytest.mark.parametrize("place", [1, 3, 5, 7, 9, 10, 13, 15, 17])
def test_a_long_repetition_of_any_token_is_read_or_refused_quickly(run: str, place: int) -> None:
    parts = with_inputs(f'("/nix/store/{ZERO}-a.drv",["out"])').split(b'"')
    text = b'"'.join(parts[:place]) + b'"' + run.encode() * 500_000 + b'"'.join(parts[place:])
    reason = ""
    try:
        assert print_derivation(parse(text), STORE_DIR)
    except MalformedDerivation as refused:
        reason = str(refused)
    assert len(reason) < 1000


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ([], "no output"),
        (['("a","","","")', '("b","","sha256","")'], "mixes"),
        (['("a","","sha1","")', '("b","","sha256","")'], "one hash algorithm"),
        (['("dev","/x","sha256","' + "0" * 64 + '")'], "named 'out'"),
    ],
)
def test_a_derivation_with_incompatible_outputs_has_no_kind(outputs: list[str], message: str) -> None:
    derivation = parse(with_outputs(*outputs))
    with pytest.raises(InvalidDerivation, match=message):
        _ = derivation.kind
