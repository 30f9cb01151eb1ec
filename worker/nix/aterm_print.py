"""Writing ``.drv`` files, and computing their paths.

Source: the Nix manual, "Derivation ATerm Format"; ``Derivation::unparse`` in the source of Nix.
"""

from __future__ import annotations

import re

from .derivation import Derivation, InputNode
from .output_aterm import print_output
from .store_path import StoreDir

_ESCAPED = re.compile(rb'["\\\n\r\t]')


def escape(text: bytes) -> bytes:
    """Return text in the form of a string in a ``.drv``."""
    if _ESCAPED.search(text) is None:
        return text
    text = text.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    return text.replace(b"\n", b"\\n").replace(b"\r", b"\\r").replace(b"\t", b"\\t")


def print_derivation(derivation: Derivation, store_dir: StoreDir) -> bytes:
    """Return the text of a derivation as Nix writes it. The path of a fixed output is computed from its hash.

    Raises :class:`InvalidStorePath` if this path can't have its name.
    """
    return _print(derivation, store_dir, masked=False)


def print_masked(derivation: Derivation, store_dir: StoreDir) -> bytes:
    """Return the text whose sha256 yields input-addressed paths: without paths and values of the own outputs."""
    return _print(derivation, store_dir, masked=True)


def derivation_path(derivation: Derivation, store_dir: StoreDir, text: bytes | None = None) -> str:
    """Return the base name of the ``.drv`` file of a derivation; ``text`` is its printed text, if it is known already.

    Raises :class:`InvalidStorePath` if the file can't have the name, and as :func:`print_derivation` does.
    """
    content = print_derivation(derivation, store_dir) if text is None else text
    return store_dir.text_path(f"{derivation.name}.drv", content, derivation.references)


def _print(derivation: Derivation, store_dir: StoreDir, *, masked: bool) -> bytes:
    prefix = store_dir.prefix
    versioned = derivation.has_dynamic_inputs
    outputs = ",".join(
        print_output(name, output, derivation.name, store_dir, masked) for name, output in derivation.outputs.items()
    )
    inputs = ",".join(f'("{prefix}{path}",{_print_node(node)})' for path, node in derivation.input_drvs.items())
    sources = ",".join(f'"{prefix}{path}"' for path in derivation.input_srcs)
    hidden = {name.encode() for name in derivation.outputs} if masked else frozenset()
    environment = [
        b'("%b","%b")' % (escape(name), b"" if name in hidden else escape(value))
        for name, value in derivation.env.items()
    ]
    return b"".join(
        (
            b'DrvWithVersion("xp-dyn-drv",' if versioned else b"Derive(",
            f"[{outputs}],[{inputs}],[{sources}]".encode(),
            b',"%b","%b",[' % (derivation.platform, escape(derivation.builder)),
            b",".join(b'"%b"' % escape(argument) for argument in derivation.args),
            b"],[",
            b",".join(environment),
            b"])",
        )
    )


def _print_node(node: InputNode) -> str:
    outputs = "[" + ",".join(f'"{output}"' for output in node.outputs) + "]"
    if not node.dynamic:
        return outputs
    children = ",".join(f'("{name}",{_print_node(child)})' for name, child in node.dynamic.items())
    return f"({outputs},[{children}])"
