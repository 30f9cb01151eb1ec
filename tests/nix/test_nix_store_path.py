"""Names and hashes of store paths."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydra_resolver.nix.placeholder import chain_placeholder, output_placeholder, upstream_placeholder
from hydra_resolver.nix.store_path import (
    InvalidStorePath,
    StoreDir,
    check_base_name,
    check_name,
    compress_hash,
    derivation_name,
    nix32,
    output_path_name,
    parse_nix32,
)

STORE_DIR = StoreDir("/nix/store")
ZERO = "0" * 32


def test_base_32_is_written_as_nix_writes_it() -> None:
    assert nix32(sha256(b"hello").digest()) == "094qif9n4cq4fdg459qzbhg1c6wywawwaaivx0k0x8xhbyx4vwic"
    assert nix32(bytes(20)) == ZERO
    assert nix32(b"") == ""


@given(st.binary(max_size=70))
def test_base_32_is_read_as_it_is_written(digest: bytes) -> None:
    written = nix32(digest)
    assert len(written) == (len(digest) * 8 + 4) // 5
    assert parse_nix32(written) == digest


@pytest.mark.parametrize("text", ["e", "0" * 51 + "u", "z" * 52])
def test_invalid_base_32_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="base"):
        parse_nix32(text)


def test_a_hash_is_folded_by_exclusive_or() -> None:
    assert compress_hash(bytes(range(32))) == bytes(
        a ^ b for a, b in zip(range(20), [*range(20, 32)] + [0] * 8, strict=True)
    )


def test_the_path_of_a_text_depends_on_the_store_directory_and_not_on_the_order_of_references() -> None:
    assert STORE_DIR.text_path("hello.txt", b"hello", []) != StoreDir("/other").text_path("hello.txt", b"hello", [])
    references = [f"{ZERO}-b", f"{ZERO}-a"]
    assert STORE_DIR.text_path("x", b"", references) == STORE_DIR.text_path("x", b"", references[::-1])


@pytest.mark.parametrize("name", ["a", "a.b", "gtk+-3.0_x?y=z", ".hidden", "..x", "-", "x" * 211])
def test_names_that_nix_allows_are_accepted(name: str) -> None:
    assert check_name(name) == name
    assert check_base_name(f"{ZERO}-{name}") == f"{ZERO}-{name}"


@pytest.mark.parametrize("name", ["", ".", "..", ".-a", "..-a", "a b", "a/b", "é", "a\n", "x" * 212])
def test_names_that_nix_refuses_are_refused(name: str) -> None:
    with pytest.raises(InvalidStorePath):
        check_name(name)
    with pytest.raises(InvalidStorePath):
        check_base_name(f"{ZERO}-{name}")


@pytest.mark.parametrize("path", ["", "/", "/nix/store", "/nix/store/", f"/gnu/store/{ZERO}-x", f"/nix/store/{ZERO}x",
                                  f"/nix/store/{ZERO}-x/bin", f"/nix/store/{'e' * 32}-x"])  # fmt: skip
def test_an_invalid_store_path_is_refused(path: str) -> None:
    with pytest.raises(InvalidStorePath):
        STORE_DIR.parse(path)


def test_a_full_path_is_read_as_it_is_written() -> None:
    assert STORE_DIR.parse(STORE_DIR.render(f"{ZERO}-x")) == f"{ZERO}-x"
    for directory in ("relative", "/ends/", ""):
        with pytest.raises(InvalidStorePath):
            StoreDir(directory)


def test_the_name_of_a_derivation_lacks_one_drv_suffix_only() -> None:
    assert derivation_name(f"{ZERO}-inner.drv.drv") == "inner.drv"
    with pytest.raises(InvalidStorePath):
        derivation_name(f"{ZERO}-inner")


def test_the_output_out_has_the_name_of_the_derivation() -> None:
    assert output_path_name("x", "out") == "x"
    assert output_path_name("x", "dev") == "x-dev"


def test_placeholders_equal_those_of_the_evaluator() -> None:
    assert output_placeholder("out") == "/1rz4g4znpzjwh1xymhjpm42vipw92pr73vdgl6xs1hycac8kf2n9"
    plain = upstream_placeholder("g1w7hy3qg1w7hy3qg1w7hy3qg1w7hy3q-foo.drv", "out")
    assert plain == "/0c6rn30q4frawknapgwq386zq358m8r6msvywcvc89n6m5p2dgbz"
    assert chain_placeholder("g1w7hy3qg1w7hy3qg1w7hy3qg1w7hy3q-foo.drv", ("out",)) == plain
    dynamic = chain_placeholder("g1w7hy3qg1w7hy3qg1w7hy3qg1w7hy3q-foo.drv.drv", ("out", "out"))
    assert dynamic == "/0gn6agqxjyyalf0dpihgyf49xq5hqxgw100f0wydnj6yqrhqsb3w"
