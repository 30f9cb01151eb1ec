"""The difference that resolving makes, as text."""

from __future__ import annotations

from dataclasses import replace

from hydra_resolver.cli.difference import difference
from hydra_resolver.nix.derivation import Derivation, Floating, InputNode, InputOutput, Method
from hydra_resolver.nix.placeholder import output_placeholder, upstream_placeholder
from hydra_resolver.nix.resolve import resolve
from hydra_resolver.nix.store_path import StoreDir
from hydra_resolver.nix.version import NixVersion

STORE_DIR = StoreDir("/nix/store")
OLD, NEW = NixVersion(2, 26), NixVersion(2, 34)
DRV, FIRST, SECOND, SOURCE = (
    f"{n * 32}-{name}" for n, name in zip("0123", ("x.drv", "a.drv", "b.drv", "s"), strict=True)
)
FIRST_OUT, SECOND_OUT = (f"{n * 32}-{name}" for n, name in (("4", "a"), ("5", "b")))
OUTPUTS = {InputOutput(FIRST, ("out",)): FIRST_OUT, InputOutput(SECOND, ("out",)): SECOND_OUT}
A, B = (upstream_placeholder(drv, "out").encode() for drv in (FIRST, SECOND))

PLAIN = Derivation(
    name="x",
    outputs={"out": Floating(Method.NAR, "sha256")},
    input_drvs={FIRST: InputNode(("out",)), SECOND: InputNode(("out",))},
    input_srcs=(),
    platform=b"x86_64-linux",
    builder=b"/bin/sh",
    args=(),
    env={},
)


def told(derivation: Derivation, version: NixVersion = NEW) -> list[str]:
    """Return the lines after those about inputs and sources."""
    resolved = resolve(derivation, DRV, OUTPUTS, version=version, store_dir=STORE_DIR)
    lines = [line.plain for line in difference(DRV, derivation, resolved, OUTPUTS, version, STORE_DIR)]
    assert lines[:6] == [
        f"/nix/store/{DRV} resolves to /nix/store/{resolved.path}",
        "2 inputs gone",
        f"  /nix/store/{FIRST}",
        f"    out: /nix/store/{FIRST_OUT}",
        f"  /nix/store/{SECOND}",
        f"    out: /nix/store/{SECOND_OUT}",
    ]
    start = lines.index("placeholders replaced") if "placeholders replaced" in lines else len(lines)
    return lines[start:]


def test_inputs_without_a_placeholder_are_shown() -> None:
    assert told(PLAIN) == []


def test_a_source_that_was_there_before_is_not_shown_as_added() -> None:
    derivation = replace(PLAIN, input_srcs=(SOURCE, FIRST_OUT))
    resolved = resolve(derivation, DRV, OUTPUTS, version=NEW, store_dir=STORE_DIR)
    lines = [line.plain for line in difference(DRV, derivation, resolved, OUTPUTS, NEW, STORE_DIR)]
    assert lines[-2:] == ["1 source added", f"  /nix/store/{SECOND_OUT}"]


def test_every_place_of_a_placeholder_is_shown_except_those_of_own_outputs() -> None:
    own = output_placeholder("out").encode()
    derivation = replace(
        PLAIN, builder=A + b"/bin/x", args=(b"-c", B + A + B, own), env={b"e": A, b"n" + B: b"", b"out": own}
    )
    assert told(derivation)[1:] == [
        f"  builder: /nix/store/{FIRST_OUT}",
        f"  argument 2: /nix/store/{SECOND_OUT} (2 times)",
        f"  argument 2: /nix/store/{FIRST_OUT}",
        f"  env e: /nix/store/{FIRST_OUT}",
        f"  name of env n{B.decode()}: /nix/store/{SECOND_OUT}",
    ]


def test_a_variable_whose_name_becomes_that_of_another_is_shown_as_gone() -> None:
    names = sorted([A, b"/nix/store/" + FIRST_OUT.encode()])
    derivation = replace(PLAIN, env=dict.fromkeys(names, b""))
    kept, gone = (name.decode() for name in names)
    assert told(derivation)[-2:] == ["changed besides", f"  env {gone}: gone, because env {kept} has its name now"]


def test_placeholders_with_escapes_in_structured_attributes_are_found() -> None:
    attributes = b'{"b": "' + A.replace(b"/", b"\\u002f") + b'", "a": "' + B + b'"}'
    derivation = replace(PLAIN, env={b"__json": attributes})
    assert told(derivation)[1:] == [
        f"  structured attributes: /nix/store/{SECOND_OUT}",
        f"  structured attributes: /nix/store/{FIRST_OUT}",
        "changed besides",
        "  structured attributes: printed as Nix 2.34 prints them",
    ]
    # Older versions of Nix treat the attributes as text.
    assert told(derivation, OLD)[1:] == [f"  structured attributes: /nix/store/{SECOND_OUT}"]


def test_control_characters_are_escaped_in_the_difference() -> None:
    derivation = replace(PLAIN, env={b"\x1b[2J\n\xff\xc2\x9b": A})
    assert told(derivation)[1:] == [f"  env \\x1b[2J\\x0a\\xff\\x9b: /nix/store/{FIRST_OUT}"]
