"""Properties of every derivation: reading inverts printing, and resolving depends only on the needed outputs."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hydra_resolver.nix.aterm import parse_derivation
from hydra_resolver.nix.aterm_print import derivation_path, print_derivation
from hydra_resolver.nix.derivation import Derivation, InputOutput
from hydra_resolver.nix.resolve import MissingOutputs, Resolved, resolve
from hydra_resolver.nix.structured_attrs import JSON_KEY

from .loose_aterm import print_loosely
from .strategies import STORE_DIR, Resolvable, derivations, resolvables

often = settings(max_examples=80, deadline=None, print_blob=True, derandomize=False)
seeds = st.integers(0, 2**32 - 1).map(random.Random)


def read(text: bytes, name: str) -> Derivation:
    return parse_derivation(text, name, STORE_DIR)


def resolved(case: Resolvable, outputs: Mapping[InputOutput, str] | None = None) -> Resolved:
    wanted = case.outputs if outputs is None else outputs
    return resolve(case.derivation, case.drv_path, wanted, version=case.version, store_dir=STORE_DIR)


class OnlyWhatIsNeeded(Mapping[InputOutput, str]):
    """The paths of the needed outputs; looking up any other output, or all of them, is an error."""

    def __init__(self, outputs: Mapping[InputOutput, str]) -> None:
        self.outputs = outputs
        self.asked: set[InputOutput] = set()

    def __getitem__(self, wanted: InputOutput) -> str:
        self.asked.add(wanted)
        assert wanted in self.outputs
        return self.outputs[wanted]

    def __iter__(self) -> Iterator[InputOutput]:
        raise AssertionError("all outputs were looked up")

    def __len__(self) -> int:
        raise AssertionError("all outputs were counted")


@often
@given(derivations())
def test_a_printed_derivation_is_read_back_unchanged(derivation: Derivation) -> None:
    text = print_derivation(derivation, STORE_DIR)
    again = read(text, derivation.name)
    assert again == derivation
    for mapping in ("outputs", "input_drvs", "env"):
        assert list(getattr(again, mapping).items()) == list(getattr(derivation, mapping).items())


@often
@given(derivations())
def test_a_text_is_printed_again_as_it_was_read(derivation: Derivation) -> None:
    text = print_derivation(derivation, STORE_DIR)
    again = read(text, derivation.name)
    assert print_derivation(again, STORE_DIR) == text
    assert derivation_path(again, STORE_DIR, text) == derivation_path(derivation, STORE_DIR)


@often
@given(derivations(), seeds)
def test_a_derivation_in_another_spelling_is_read_as_the_same_derivation(
    derivation: Derivation, rng: random.Random
) -> None:
    assert read(print_loosely(derivation, STORE_DIR, rng), derivation.name) == derivation


@often
@given(resolvables())
def test_resolving_is_idempotent(case: Resolvable) -> None:
    once = resolved(case)
    twice = resolve(once.derivation, once.path, {}, version=case.version, store_dir=STORE_DIR)
    assert twice == once
    again = read(once.text, once.derivation.name)
    assert again == once.derivation
    assert print_derivation(again, STORE_DIR) == once.text


@often
@given(resolvables(), seeds)
def test_the_order_of_inputs_does_not_change_a_resolution(case: Resolvable, rng: random.Random) -> None:
    shuffled = case._replace(
        derivation=read(print_loosely(case.derivation, STORE_DIR, rng), case.derivation.name),
        outputs=dict(rng.sample(sorted(case.outputs.items()), len(case.outputs))),
    )
    assert resolved(shuffled) == resolved(case)


@often
@given(resolvables())
def test_resolving_looks_up_exactly_the_needed_outputs(case: Resolvable) -> None:
    outputs = OnlyWhatIsNeeded(case.outputs)
    assert resolved(case, outputs) == resolved(case)
    assert outputs.asked == case.outputs.keys()


@often
@given(resolvables(), seeds)
def test_the_error_lists_exactly_the_missing_outputs(case: Resolvable, rng: random.Random) -> None:
    known = {wanted: path for wanted, path in case.outputs.items() if rng.random() < 0.5}
    missing = tuple(wanted for wanted in case.outputs if wanted not in known)
    if not missing:
        assert resolved(case, known) == resolved(case)
        return
    with pytest.raises(MissingOutputs) as caught:
        resolved(case, known)
    assert caught.value.missing == missing


@often
@given(resolvables())
def test_a_resolved_derivation_refers_to_no_derivation_and_has_no_placeholder_of_an_input(case: Resolvable) -> None:
    result = resolved(case)
    for derivation in (result.derivation, read(result.text, result.derivation.name)):
        assert not derivation.input_drvs
        assert not derivation.has_dynamic_inputs
        assert not list(derivation.needed_outputs())
        assert set(derivation.input_srcs) == {*case.derivation.input_srcs, *case.outputs.values()}
        assert derivation.references == list(derivation.input_srcs)
        texts = [derivation.builder, *derivation.args, *derivation.env, *derivation.env.values()]
        for placeholder in case.placeholders:
            assert not any(placeholder in text for text in texts)
    assert derivation_path(result.derivation, STORE_DIR) == result.path


@often
@given(resolvables())
def test_resolving_equals_replacing_one_placeholder_after_another(case: Resolvable) -> None:
    def replaced(text: bytes) -> bytes:
        for placeholder, path in sorted(case.placeholders.items()):
            text = text.replace(placeholder, path)
        return text

    outputs = {output.encode() for output in resolved(case).derivation.outputs}
    env: dict[bytes, bytes] = {}
    for name, value in case.derivation.env.items():
        env.setdefault(replaced(name), replaced(value))
    result = resolved(case).derivation
    assert result.builder == replaced(case.derivation.builder)
    assert result.args == tuple(map(replaced, case.derivation.args))
    assert result.env.keys() == env.keys()
    for name in env.keys() - outputs - {JSON_KEY}:
        assert result.env[name] == env[name]
