"""Damaged .drv texts are read and printed as by Nix, or refused with the position of the error."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Iterator
from hashlib import sha256
from itertools import islice
from random import Random
from typing import Any

import pytest

from hydra_resolver.nix.aterm import MalformedDerivation, parse_derivation
from hydra_resolver.nix.aterm_print import print_derivation, print_masked
from hydra_resolver.nix.derivation import Derivation, InputAddressed
from hydra_resolver.nix.derivation_json import NotInJSON, derivation_to_json
from hydra_resolver.nix.errors import NixError, StoreError
from hydra_resolver.nix.store import Store
from hydra_resolver.nix.store_path import InvalidStorePath, StoreDir
from hydra_resolver.nix.structured_attrs import (
    JSON_KEY,
    InvalidStructuredAttributes,
    normalise_structured_attributes,
)

from .mutations import NAME, STORE_DIR, damaged, texts
from .nix_reader import NixReader

COUNT = 6000
NIX_COUNT = 2000
PRINTED_COUNT = 10

# Nix reads these texts and we refuse them: see the module aterm, and
# test_text_that_nix_reads_but_cannot_build_is_refused.
ON_PURPOSE = re.compile(
    r"expected ASCII characters only"
    r"|no store path has the content-addressing method"
    r"|it must not be '\.' or '\.\.' or begin with '\.-' or '\.\.-'\Z"
    r"|'[0-9a-df-np-sv-z]{32}[^-].+' is not the base name of a store path"
    r"|the chain of dynamic outputs is too long",
    re.DOTALL,
)


@pytest.fixture
def reader(nix_store: Store) -> Iterator[NixReader]:
    with NixReader(nix_store, NAME) as reader:
        yield reader


def read(text: bytes, store_dir: StoreDir = STORE_DIR) -> Derivation | MalformedDerivation:
    """Read a text; return the derivation or the refusal. Any other exception is an error."""
    try:
        derivation = parse_derivation(text, NAME, store_dir)
    except MalformedDerivation as caught:
        error = caught
    else:
        printed = print_derivation(derivation, store_dir)
        if plain(derivation):
            assert parse_derivation(printed, NAME, store_dir) == derivation
        return derivation
    assert 0 <= error.position <= len(text)
    assert f"at byte {error.position}: {error.reason}" in str(error)
    assert len(str(error)) < 1000
    return error


def plain(derivation: Derivation) -> bool:
    """Whether no string would need an escape in a place where Nix does not escape."""
    written = [derivation.platform, *(output.encode() for output in derivation.outputs)]
    written += [name.encode() for wanted in derivation.needed_outputs() for name in wanted.chain]
    return not any(set(text) & set(b'"\\') for text in written)


@pytest.mark.parametrize("original", range(len(texts())))
def test_an_undamaged_text_is_printed_as_it_was_read(original: int) -> None:
    text = texts()[original]
    derivation = read(text)
    assert isinstance(derivation, Derivation)
    assert print_derivation(derivation, STORE_DIR) == text


def test_a_damaged_text_is_either_read_or_refused() -> None:
    for seed, text in islice(damaged(STORE_DIR), COUNT):
        check_alone(seed, text)


def check_alone(seed: str, text: bytes) -> None:
    try:
        read(text)
    except Exception:
        print(f"{seed}\n{text!r}")
        raise


def test_nix_reads_and_prints_damaged_derivations_as_we_do(nix_store: Store, reader: NixReader) -> None:
    compare(nix_store, reader, islice(damaged(nix_store.store_dir), NIX_COUNT))


@pytest.mark.storm
@pytest.mark.timeout(0)
def test_nix_reads_and_prints_damaged_derivations_as_we_do_until_the_time_is_up(
    nix_store: Store, reader: NixReader
) -> None:
    cases = damaged(nix_store.store_dir)
    end = time.monotonic() + float(os.environ.get("HYDRA_RESOLVER_STORM_SECONDS", "60"))
    while time.monotonic() < end and (some := [*islice(cases, NIX_COUNT)]):
        compare(nix_store, reader, some)


def compare(store: Store, reader: NixReader, cases: Iterable[tuple[str, bytes]]) -> None:
    accepted: list[tuple[str, bytes, Derivation]] = []
    for seed, text in cases:
        try:
            derivation = compare_reading(store, reader, text)
            if derivation is None:
                continue
            if has_wrong_path_only(derivation):
                compare_output_path(store, reader, text, derivation)
            accepted.append((seed, text, derivation))
        except Exception:
            print(f"{seed}\n{text!r}")
            raise
    compare_values(store, reader, accepted)


def compare_values(store: Store, reader: NixReader, accepted: Iterable[tuple[str, bytes, Derivation]]) -> None:
    """Check that Nix shows all derivations as we do, and prints a few of them as we do."""
    showable = [(case, shown) for case in accepted if (shown := in_json(store, case[2])) is not None]
    by_nix = reader.shown([text for (_, text, _), _ in showable])
    for ((seed, text, _), ours), nix in zip(showable, by_nix, strict=True):
        assert nix == ours, f"{seed}\n{text!r}"
    pairs = [(case, nix) for (case, _), nix in zip(showable, by_nix, strict=True)]
    printed = 0
    for (seed, text, derivation), nix in Random(0).sample(pairs, len(pairs)):
        path = reader.written_path(nix)
        assert path in (None, *reader.our_paths(derivation)), f"{seed}\n{text!r}"
        printed += path is not None
        if printed == PRINTED_COUNT:
            break
    # Nix writes about half of them. If Nix wrote none, nothing would be compared.
    assert printed == PRINTED_COUNT or len(pairs) < 10 * PRINTED_COUNT


def in_json(store: Store, derivation: Derivation) -> dict[str, Any] | None:
    """Return the derivation as Nix should show it; ``None`` if it has no JSON form."""
    try:
        return derivation_to_json(derivation, store.nix_version, store.store_dir)
    except NotInJSON:
        return None


def compare_reading(store: Store, reader: NixReader, text: bytes) -> Derivation | None:
    """Check that Nix accepts what we accept, with the same outputs; return the derivation if both accept it."""
    nix = reader.output_names(text)
    ours = read(text, store.store_dir)
    if isinstance(ours, MalformedDerivation):
        assert isinstance(nix, StoreError) or ON_PURPOSE.search(ours.reason), ours
        return None
    if JSON_KEY in ours.env and store.nix_version.parses_structured_attrs:
        try:
            ours = ours.with_changes(env={**ours.env, JSON_KEY: normalise_structured_attributes(ours.env[JSON_KEY])})
        except InvalidStructuredAttributes:
            assert isinstance(nix, NixError)
            return None
    assert nix == [name.encode() for name in ours.outputs] or (isinstance(nix, NixError) and "__json" in nix.message), (
        nix
    )
    return None if isinstance(nix, NixError) else ours


def has_wrong_path_only(derivation: Derivation) -> bool:
    outputs = derivation.outputs.values()
    return bool(outputs) and not derivation.input_drvs and all(isinstance(one, InputAddressed) for one in outputs)


def compare_output_path(store: Store, reader: NixReader, text: bytes, derivation: Derivation) -> None:
    """Check that Nix computes the same output path, which depends on the whole text as Nix prints it."""
    nix = reader.first_output_path(text)
    digest = sha256(print_masked(derivation, store.store_dir)).digest()
    try:
        assert nix == store.store_dir.output_path(digest, NAME, next(iter(derivation.outputs)))
    except InvalidStorePath:
        assert isinstance(nix, NixError)
