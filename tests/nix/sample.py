"""A derivation with inputs, and paths of all their outputs, for the tests of resolving."""

from __future__ import annotations

from dataclasses import replace

from hydra_resolver.nix.derivation import Derivation, Fixed, Floating, InputNode, InputOutput, Method, Output
from hydra_resolver.nix.placeholder import chain_placeholder
from hydra_resolver.nix.resolve import Resolved, resolve
from hydra_resolver.nix.store_path import StoreDir
from hydra_resolver.nix.version import NixVersion

STORE_DIR = StoreDir("/nix/store")
OLD, NEW = NixVersion(2, 26), NixVersion(2, 34)
DRV = "0" * 32 + "-top.drv"
LIB = "1" * 32 + "-lib.drv"
TOOL = "2" * 32 + "-tool.drv"
LIB_OUT, LIB_DEV, TOOL_OUT = "3" * 32 + "-lib", "4" * 32 + "-lib-dev", "5" * 32 + "-tool"
OUTPUTS = {
    InputOutput(LIB, ("out",)): LIB_OUT,
    InputOutput(LIB, ("dev",)): LIB_DEV,
    InputOutput(TOOL, ("out",)): TOOL_OUT,
}
FLOATING = Floating(Method.NAR, "sha256")
FIXED = Fixed(Method.FLAT, "sha256", bytes(32))
FIXED_PATH = STORE_DIR.render(STORE_DIR.fixed_output_path("", "sha256", bytes(32), "top")).encode()


def hole(drv_path: str, *chain: str) -> bytes:
    return chain_placeholder(drv_path, chain).encode()


def full(path: str) -> bytes:
    return STORE_DIR.render(path).encode()


def derivation(
    output: Output = FLOATING,
    inputs: dict[str, InputNode] | None = None,
    env: dict[bytes, bytes] | None = None,
    **changes: object,
) -> Derivation:
    made = Derivation(
        name="top",
        outputs={"out": output},
        input_drvs={LIB: InputNode(("dev", "out"))} if inputs is None else inputs,
        input_srcs=(),
        platform=b"x",
        builder=b"/bin/sh",
        args=(),
        env=dict(sorted(({b"out": FIXED_PATH if output == FIXED else b""} if env is None else env).items())),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def resolved(given_derivation: Derivation, version: NixVersion = NEW) -> Resolved:
    return resolve(given_derivation, DRV, OUTPUTS, version=version, store_dir=STORE_DIR)
