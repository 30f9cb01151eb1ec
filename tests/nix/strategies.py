"""Hypothesis strategies for derivations that Nix can store: every kind, odd names, arbitrary bytes, dynamic inputs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from hypothesis import strategies as st

from hydra_resolver.nix.derivation import (
    Deferred,
    Derivation,
    Fixed,
    Floating,
    Impure,
    InputAddressed,
    InputNode,
    InputOutput,
    Kind,
    Method,
    Output,
)
from hydra_resolver.nix.output_aterm import DIGEST_SIZES, PATH_ALGORITHMS
from hydra_resolver.nix.placeholder import chain_placeholder, output_placeholder
from hydra_resolver.nix.store_path import StoreDir, derivation_name, nix32
from hydra_resolver.nix.structured_attrs import JSON_KEY
from hydra_resolver.nix.version import NixVersion

STORE_DIR = StoreDir("/nix/store")
OLD, NEW = NixVersion(2, 26), NixVersion(2, 34)

names = st.text("abXYZ019+-._?=", min_size=1, max_size=10).filter(lambda name: not re.match(r"\.\.?(-|\Z)", name))
output_names = st.sampled_from(["out", "dev", "lib", "a", "a.drv", "=", "-"]) | names
base_names = st.builds(lambda digest, name: f"{nix32(digest)}-{name}", st.binary(min_size=20, max_size=20), names)
drv_names = base_names.map(lambda name: f"{name}.drv")
# These are printed without escapes.
unquoted = st.binary(max_size=8).filter(lambda text: not set(text) & set(b'"\\'))
unquoted_names = st.text(st.characters(max_codepoint=127, exclude_characters='"\\'), max_size=6) | output_names
anything = st.binary(max_size=20) | st.sampled_from([b'"\\\n\r\t', b"\\n", "é😀".encode(), b"\0\xff\xc3", b""])
methods = st.sampled_from(Method)
algorithms = st.sampled_from(sorted(DIGEST_SIZES))


def _fixed(method: Method) -> st.SearchStrategy[Fixed]:
    return st.sampled_from(sorted(PATH_ALGORITHMS.get(method, DIGEST_SIZES))).flatmap(
        lambda algorithm: st.binary(min_size=DIGEST_SIZES[algorithm], max_size=DIGEST_SIZES[algorithm]).map(
            lambda digest: Fixed(method, algorithm, digest)
        )
    )


fixed = methods.flatmap(_fixed)
input_addressed = st.builds(InputAddressed, base_names)
any_output: list[st.SearchStrategy[Output]] = [
    input_addressed, fixed, st.builds(Floating, methods, algorithms), st.builds(Impure, methods, algorithms),
    st.builds(Deferred),
]  # fmt: skip


def _sorted(entries: Mapping[Any, Any]) -> dict[Any, Any]:
    return dict(sorted(entries.items()))


def nodes(names_of_outputs: st.SearchStrategy[str], *, dynamic: bool, needed: bool) -> st.SearchStrategy[InputNode]:
    """The outputs of an input that a derivation needs; with ``needed``, at least one."""
    flat = st.sets(names_of_outputs, min_size=int(needed), max_size=3).map(lambda outputs: InputNode(_tuple(outputs)))
    if not dynamic:
        return flat
    return st.recursive(
        flat,
        lambda children: st.builds(
            lambda outputs, dynamic: InputNode(_tuple(outputs), _sorted(dynamic)),
            st.sets(names_of_outputs, max_size=2),
            st.dictionaries(names_of_outputs, children, min_size=1, max_size=2),
        ),
        max_leaves=4,
    )


def _tuple(names_of_outputs: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(names_of_outputs))


@st.composite
def derivations(draw: st.DrawFn) -> Derivation:
    """Draw anything that can be read and printed, whether it makes sense or not: even kinds of outputs are mixed."""
    outputs: dict[str, Output] = {}
    for name in draw(st.sets(unquoted_names, max_size=3)):
        outputs[name] = draw(draw(st.sampled_from(any_output)))
        if isinstance(outputs[name], Fixed):
            outputs[draw(names)] = outputs.pop(name)
    return Derivation(
        name=draw(names),
        outputs=_sorted(outputs),
        input_drvs=_sorted(
            draw(st.dictionaries(drv_names | base_names, nodes(unquoted_names, dynamic=True, needed=False), max_size=3))
        ),
        input_srcs=_tuple(draw(st.sets(base_names, max_size=3))),
        platform=draw(unquoted),
        builder=draw(anything),
        args=tuple(draw(st.lists(anything, max_size=3))),
        env=_sorted(draw(st.dictionaries(anything, anything, max_size=4))),
    )


class Resolvable(NamedTuple):
    """A derivation that can be resolved, its path, and the paths of all outputs that it needs."""

    derivation: Derivation
    drv_path: str
    outputs: dict[InputOutput, str]
    version: NixVersion

    @property
    def placeholders(self) -> dict[bytes, bytes]:
        """Return the placeholder of each needed output, and the path that replaces it."""
        return {
            chain_placeholder(*wanted).encode(): STORE_DIR.render(path).encode()
            for wanted, path in self.outputs.items()
        }


@st.composite
def resolvables(draw: st.DrawFn) -> Resolvable:
    """Draw derivations with placeholders of inputs, of their own outputs and of unrelated ones in every place."""
    kind = draw(st.sampled_from(Kind))
    version = draw(st.sampled_from([OLD, NEW]))
    most = 0 if kind is Kind.INPUT_ADDRESSED else 3  # Nix does not resolve an input-addressed derivation with inputs
    inputs = draw(st.dictionaries(drv_names, nodes(output_names, dynamic=version is NEW, needed=True), max_size=most))
    drv_path = draw(drv_names)
    derivation = Derivation(
        name=derivation_name(drv_path), outputs=draw(_outputs(kind)), input_drvs=_sorted(inputs),
        input_srcs=_tuple(draw(st.sets(base_names, max_size=2))), platform=draw(unquoted), builder=b"", args=(), env={},
    )  # fmt: skip
    outputs = {wanted: draw(base_names) for wanted in derivation.needed_outputs()}
    holes = [chain_placeholder(*wanted).encode() for wanted in outputs]
    holes += [output_placeholder("out").encode(), b"/" + b"0" * 52]
    text = st.lists(st.sampled_from(holes) | anything, max_size=4).map(b"".join)
    # Replacing placeholders makes some of these names equal, or changes their order.
    paths = [STORE_DIR.render(path).encode() for path in outputs.values()]
    env_names = st.sampled_from([*holes, *paths, b"/a", b"/zzz"]) | text
    env = draw(st.dictionaries(env_names, text, max_size=6))
    if kind is Kind.DEFERRED or draw(st.booleans()):
        env |= {output.encode(): draw(st.just(b"") | text) for output in derivation.outputs}
    for output in derivation.outputs:
        if (path := derivation.output_path(output, STORE_DIR)) is not None:
            env[output.encode()] = STORE_DIR.render(path).encode()
    env.pop(JSON_KEY, None)
    if draw(st.booleans()):
        env[JSON_KEY] = draw(_structured_attributes([hole.decode() for hole in holes]))
    return Resolvable(
        replace(derivation, builder=draw(text), args=tuple(draw(st.lists(text, max_size=3))), env=_sorted(env)),
        drv_path,
        outputs,
        version,
    )


def _outputs(kind: Kind) -> st.SearchStrategy[dict[str, Output]]:
    if kind is Kind.FIXED:
        return fixed.map(lambda output: {"out": output})
    one: dict[Kind, st.SearchStrategy[Output]] = {
        Kind.INPUT_ADDRESSED: input_addressed,
        Kind.FLOATING: st.builds(Floating, methods, st.just("sha256")),
        Kind.IMPURE: st.builds(Impure, methods, algorithms),
        Kind.DEFERRED: st.builds(Deferred),
    }
    return st.dictionaries(output_names, one[kind], min_size=1, max_size=3).map(_sorted)


def _structured_attributes(holes: list[str]) -> st.SearchStrategy[bytes]:
    text = st.lists(st.sampled_from(holes) | st.text(max_size=5), max_size=3).map("".join)
    scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | text
    values = st.recursive(
        scalars, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(text, inner, max_size=2), max_leaves=4
    )
    return st.builds(
        lambda attributes, ascii_only, indent, slash: (
            json.dumps(attributes, ensure_ascii=ascii_only, indent=indent).replace("/", slash).encode()
        ),
        st.dictionaries(text, values, max_size=3),
        st.booleans(),
        st.sampled_from([None, 1]),
        st.sampled_from(["/", r"\/", r"\u002f"]),
    )
