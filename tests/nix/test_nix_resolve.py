"""Resolving: the replaced parts of a derivation, and the parts that stay."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydra_resolver.nix.aterm import parse_derivation
from hydra_resolver.nix.attributes import build_attributes
from hydra_resolver.nix.derivation import (
    Deferred,
    Derivation,
    Impure,
    InputAddressed,
    InputNode,
    InputOutput,
    Kind,
    Method,
)
from hydra_resolver.nix.placeholder import output_placeholder, upstream_placeholder
from hydra_resolver.nix.resolvable import should_resolve
from hydra_resolver.nix.resolve import MissingOutputs, resolve
from hydra_resolver.nix.version import parse_nix_version

from .sample import (
    DRV,
    FIXED,
    LIB,
    LIB_DEV,
    LIB_OUT,
    NEW,
    OLD,
    OUTPUTS,
    STORE_DIR,
    TOOL,
    TOOL_OUT,
    derivation,
    full,
    hole,
    resolved,
)


def test_resolving_turns_inputs_into_sources_and_placeholders_into_paths() -> None:
    top = derivation(
        inputs={LIB: InputNode(("dev", "out")), TOOL: InputNode(("out",))},
        builder=hole(TOOL, "out") + b"/bin/sh",
        args=(b"-I" + hole(LIB, "dev") + hole(LIB, "dev"), b"plain"),
        env={b"x" + hole(LIB, "out"): b"v" + hole(LIB, "out") + b"0", b"out": output_placeholder("out").encode()},
        input_srcs=("9" * 32 + "-src",),
    )
    result = resolved(top).derivation
    assert result.input_drvs == {}
    assert result.input_srcs == (LIB_OUT, LIB_DEV, TOOL_OUT, "9" * 32 + "-src")
    assert result.builder == full(TOOL_OUT) + b"/bin/sh"
    assert result.args == (b"-I" + full(LIB_DEV) * 2, b"plain")
    assert result.env == {
        b"x" + full(LIB_OUT): b"v" + full(LIB_OUT) + b"0",
        b"out": output_placeholder("out").encode(),
    }
    assert result.outputs == top.outputs


def test_a_placeholder_of_another_derivation_is_not_replaced() -> None:
    strange = upstream_placeholder(TOOL, "out").encode()
    assert resolved(derivation(args=(strange,))).derivation.args == (strange,)


def test_the_variable_with_the_smaller_old_name_stays_if_two_names_become_equal() -> None:
    env = {hole(LIB, "out"): b"from a placeholder", full(LIB_OUT): b"from a path"}
    smaller = min(env)
    assert resolved(derivation(env=env)).derivation.env == {full(LIB_OUT): env[smaller]}


def test_the_error_lists_all_missing_outputs() -> None:
    top = derivation(inputs={LIB: InputNode(("dev", "doc")), TOOL: InputNode((), {"out": InputNode(("out",))})})
    with pytest.raises(MissingOutputs, match=f"{LIB}\\^doc, {TOOL}\\^out\\^out") as caught:
        resolved(top)
    assert caught.value.missing == (InputOutput(LIB, ("doc",)), InputOutput(TOOL, ("out", "out")))
    assert caught.value.drv_path == DRV


def test_the_producer_of_a_dynamic_input_does_not_become_a_source() -> None:
    top = derivation(
        inputs={TOOL: InputNode((), {"out": InputNode(("out",))})}, args=(hole(TOOL, "out", "out"), hole(TOOL, "out"))
    )
    chain = InputOutput(TOOL, ("out", "out"))
    result = resolve(top, DRV, {chain: LIB_OUT}, version=NEW, store_dir=STORE_DIR).derivation
    assert result.input_srcs == (LIB_OUT,)
    assert result.args == (full(LIB_OUT), hole(TOOL, "out"))


def test_deferred_outputs_get_their_paths() -> None:
    top = derivation(Deferred(), env={b"out": b"", b"lib": hole(LIB, "out")})
    result = resolved(top).derivation
    output = result.outputs["out"]
    assert isinstance(output, InputAddressed)
    assert output.path.endswith("-top")
    assert result.env[b"out"] == full(output.path)
    assert result.kind is Kind.INPUT_ADDRESSED


def test_a_fixed_output_keeps_hash_and_path() -> None:
    top = derivation(FIXED)
    result = resolved(top).derivation
    assert result.outputs == {"out": FIXED}
    assert result.output_path("out", STORE_DIR) == top.output_path("out", STORE_DIR)


def test_resolving_a_resolved_derivation_changes_nothing() -> None:
    once = resolved(derivation(Deferred(), env={b"out": b"", b"lib": hole(LIB, "out")}))
    twice = resolve(once.derivation, once.path, {}, version=NEW, store_dir=STORE_DIR)
    assert (twice.path, twice.text) == (once.path, once.text)
    assert not should_resolve(once.derivation, NEW)


@given(st.permutations(list(OUTPUTS.items())))
def test_the_order_of_the_given_paths_does_not_matter(items: list[tuple[InputOutput, str]]) -> None:
    top = derivation(inputs={LIB: InputNode(("dev", "out")), TOOL: InputNode(("out",))}, args=(hole(LIB, "dev"),))
    assert resolve(top, DRV, dict(items), version=NEW, store_dir=STORE_DIR) == resolved(top)


class Asked(dict[InputOutput, str]):
    def __missing__(self, key: InputOutput) -> str:
        raise AssertionError(key)

    def get(self, key: InputOutput, default: object = None) -> str:  # noqa: ARG002
        return self[key]


def test_resolving_does_not_look_up_unneeded_outputs() -> None:
    only_dev = derivation(inputs={LIB: InputNode(("dev",))})
    given_outputs = Asked({InputOutput(LIB, ("dev",)): LIB_DEV})
    assert resolve(only_dev, DRV, given_outputs, version=NEW, store_dir=STORE_DIR).derivation.input_srcs == (LIB_DEV,)


def test_a_resolved_text_has_no_placeholder_of_an_input() -> None:
    top = derivation(args=(hole(LIB, "out") * 50, b"/" + hole(LIB, "out"), hole(LIB, "out")[:-1] + hole(LIB, "out")))
    text = resolved(top).text
    assert hole(LIB, "out") not in text
    assert parse_derivation(text, "top", STORE_DIR) == resolved(top).derivation


def test_structured_attributes_are_text_for_an_old_nix_and_json_for_a_new_one() -> None:
    # A Nix that does not read the text as JSON misses a placeholder with an escaped slash.
    text = b'{ "b": "\\u002f' + hole(LIB, "out")[1:] + b'", "' + hole(LIB, "dev") + b'": 1, "/9": 2.0 }'
    top = derivation(env={b"__json": text})
    old = resolved(top, OLD).derivation.env[b"__json"]
    assert old == text.replace(hole(LIB, "dev"), full(LIB_DEV))
    new = resolved(top, NEW).derivation.env[b"__json"]
    assert new == b'{"/9":2.0,"' + full(LIB_DEV) + b'":1,"b":"' + full(LIB_OUT) + b'"}'


@pytest.mark.parametrize(
    ("candidate", "old", "new"),
    [
        (derivation(), True, True),
        (derivation(Deferred()), True, True),
        (derivation(FIXED), True, True),
        (derivation(Impure(Method.NAR, "sha256")), True, True),
        (derivation(InputAddressed(LIB_OUT)), False, False),
        (derivation(InputAddressed(LIB_OUT), inputs={LIB: InputNode((), {"out": InputNode(("o",))})}), False, True),
        (derivation(inputs={}), False, False),
    ],
)
def test_each_nix_version_has_its_rule_for_derivations_to_resolve(candidate: Derivation, old: bool, new: bool) -> None:
    assert should_resolve(candidate, OLD) is old
    assert should_resolve(candidate, NEW) is new


def test_the_version_is_parsed_from_the_output_of_nix() -> None:
    assert parse_nix_version("2.34.8") == (2, 34)
    assert parse_nix_version("nix (Nix) 2.36.0pre20260801_abcdef0") == (2, 36)
    assert parse_nix_version("nix (Determinate Nix 3.16.3) 2.33.3") == (2, 33)
    assert str(NEW) == "2.34"
    with pytest.raises(ValueError, match="not a version"):
        parse_nix_version("unknown")


def test_build_attributes_are_read_from_the_environment_and_from_structured_attributes() -> None:
    plain = derivation(env={b"requiredSystemFeatures": b"kvm  big-parallel", b"preferLocalBuild": b"1"})
    structured = derivation(
        env={b"__json": b'{"requiredSystemFeatures":["kvm","big-parallel"],"preferLocalBuild":true}'}
    )
    assert build_attributes(plain) == build_attributes(structured)
    assert build_attributes(plain).required_system_features == {"kvm", "big-parallel"}
    assert build_attributes(plain).prefer_local_build
    assert build_attributes(derivation(builder=b"builtin:fetchurl")).is_builtin
    assert not build_attributes(derivation()).required_system_features
