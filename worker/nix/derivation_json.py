"""Derivations in JSON, as ``nix derivation show`` prints them.

The form depends on the version of Nix:

* up to 2.31: full paths; ``inputSrcs`` and ``inputDrvs``; a fixed hash in base 16, with its path;
* 2.32 (version 3): base names, and no path of fixed outputs;
* since 2.33 (version 4): ``inputs`` with ``srcs`` and ``drvs``; a fixed hash as in Subresource Integrity; the whole
  wrapped in an object with ``derivations`` and ``version``.

Since 2.30, structured attributes are the object ``structuredAttrs``, though 2.30 still keeps them as text in a
``.drv``; before, they are text in ``env``.

Source: the Nix manual, "Derivation JSON Format" and the release notes of 2.32 and 2.33; ``Derivation::toJSON`` in the
source of Nix.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from .derivation import Derivation, DerivationError, Fixed, Floating, Impure, InputNode, Method
from .store_path import StoreDir
from .structured_attrs import JSON_KEY, parse_structured_attributes, print_structured_attributes
from .version import NixVersion

_STRUCTURED_ATTRS_SINCE = (2, 30)
_BASE_NAMES_SINCE = (2, 32)
_VERSION_4_SINCE = (2, 33)
_METHODS = {Method.FLAT: "flat", Method.NAR: "nar", Method.TEXT: "text", Method.GIT: "git"}


class NotInJSON(DerivationError):
    """The derivation has a text that is not UTF-8, so it has no form in JSON; Nix fails to show it as well."""


def derivation_to_json(derivation: Derivation, version: NixVersion, store_dir: StoreDir) -> dict[str, Any]:
    """Return one derivation as the object that this version of Nix prints: strings, lists, dictionaries and numbers.

    Raises :class:`NotInJSON`, and :class:`InvalidStructuredAttributes` where Nix shows the attributes as an object.
    """
    base_names = version >= _BASE_NAMES_SINCE
    prefix = "" if base_names else store_dir.prefix
    env = dict(derivation.env)
    structured = env.pop(JSON_KEY, None) if version >= _STRUCTURED_ATTRS_SINCE else None
    sources = [prefix + path for path in derivation.input_srcs]
    inputs = {prefix + path: _input_node(node) for path, node in derivation.input_drvs.items()}
    described: dict[str, Any] = {
        "name": derivation.name,
        "outputs": {name: _output(derivation, name, version, store_dir) for name in derivation.outputs},
        "system": _text(derivation, "its system", derivation.platform),
        "builder": _text(derivation, "its builder", derivation.builder),
        "args": [_text(derivation, f"its argument {n}", text) for n, text in enumerate(derivation.args, 1)],
        "env": {_text(derivation, "a name in its environment", name): _value(derivation, name) for name in env},
    }
    if structured is not None:
        described["structuredAttrs"] = parse_structured_attributes(structured)
    if base_names:
        described["version"] = _json_version(version)
    if version >= _VERSION_4_SINCE:
        described["inputs"] = {"srcs": sources, "drvs": inputs}
    else:
        described |= {"inputSrcs": sources, "inputDrvs": inputs}
    return described


def show_derivations(derivations: Mapping[str, Derivation], version: NixVersion, store_dir: StoreDir) -> bytes:
    """Return the output of ``nix derivation show`` for derivations, by base names of their files: one line of UTF-8.

    The result equals the bytes that Nix writes into a pipe, without the line end; old versions of Nix indent, this
    function never does. Raises as :func:`derivation_to_json` does.
    """
    prefix = "" if version >= _BASE_NAMES_SINCE else store_dir.prefix
    shown: dict[str, Any] = {
        prefix + path: derivation_to_json(derivation, version, store_dir) for path, derivation in derivations.items()
    }
    if version >= _VERSION_4_SINCE:
        shown = {"derivations": shown, "version": _json_version(version)}
    return print_structured_attributes(shown)


def _json_version(version: NixVersion) -> int:
    return 4 if version >= _VERSION_4_SINCE else 3


def _output(derivation: Derivation, name: str, version: NixVersion, store_dir: StoreDir) -> dict[str, Any]:
    output = derivation.outputs[name]
    described: dict[str, Any] = {}
    path = derivation.output_path(name, store_dir)
    base_names = version >= _BASE_NAMES_SINCE
    if path is not None and not (base_names and isinstance(output, Fixed)):
        described["path"] = path if base_names else store_dir.render(path)
    if isinstance(output, Fixed | Floating | Impure):
        described["method"] = _METHODS[output.method]
    if isinstance(output, Fixed) and version >= _VERSION_4_SINCE:
        described["hash"] = f"{output.algorithm}-{base64.b64encode(output.digest).decode()}"
    elif isinstance(output, Fixed):
        described |= {"hashAlgo": output.algorithm, "hash": output.digest.hex()}
    elif isinstance(output, Floating | Impure):
        described["hashAlgo"] = output.algorithm
    if isinstance(output, Impure):
        described["impure"] = True
    return described


def _input_node(node: InputNode) -> dict[str, Any]:
    dynamic = {output: _input_node(child) for output, child in node.dynamic.items()}
    return {"outputs": list(node.outputs), "dynamicOutputs": dynamic}


def _value(derivation: Derivation, name: bytes) -> str:
    return _text(derivation, f"the value of '{name.decode(errors='replace')}'", derivation.env[name])


def _text(derivation: Derivation, where: str, text: bytes) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        raise NotInJSON(
            f"derivation '{derivation.name}' has no form in JSON: {where} is not UTF-8 at byte {error.start}"
        ) from None
