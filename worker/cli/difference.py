"""The changes that resolving makes to a derivation, as text."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from rich.text import Text

from ..nix.derivation import Derivation, InputOutput
from ..nix.placeholder import chain_placeholder
from ..nix.resolve import Resolved
from ..nix.store_path import StoreDir
from ..nix.structured_attrs import JSON_KEY, normalise_structured_attributes
from ..nix.version import NixVersion
from .words import counted

_MAYBE_PLACEHOLDER = re.compile(rb"/[0-9a-z]{52}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def difference(
    drv_path: str,
    original: Derivation,
    resolved: Resolved,
    outputs: Mapping[InputOutput, str],
    version: NixVersion,
    store_dir: StoreDir,
) -> list[Text]:
    """Return the lines that describe the change from `original`, whose file is `drv_path` (a base name), to `resolved`.

    `outputs` has the paths that `original` was resolved with; `version` is the version of Nix it was resolved for.
    """
    if resolved.path == drv_path:
        reason = "Nix builds it as it is" if original.input_drvs else "it is resolved already"
        return [Text(f"{store_dir.render(drv_path)}: {reason}")]
    paths = {wanted: store_dir.render(outputs[wanted]) for wanted in original.needed_outputs()}
    replacements = {chain_placeholder(*wanted).encode(): path for wanted, path in paths.items()}
    added = sorted({*resolved.derivation.input_srcs} - {*original.input_srcs})
    return [
        Text.assemble(store_dir.render(drv_path), (" resolves to ", "bold"), store_dir.render(resolved.path)),
        *_section(f"{counted(len(original.input_drvs), 'input')} gone", "red", _inputs(original, paths, store_dir)),
        *_section(f"{counted(len(added), 'source')} added", "green", map(store_dir.render, added)),
        *_section("placeholders replaced", "cyan", _replaced(original, replacements, version)),
        *_section("output paths filled in", "green", _filled_in(original, resolved.derivation, store_dir)),
        *_section("changed besides", "yellow", _changed_besides(original, replacements, version)),
    ]


def _section(heading: str, style: str, lines: Iterable[str]) -> Iterator[Text]:
    indented = [Text("  " + line, style) for line in lines]
    if indented:
        yield Text(heading, "bold")
        yield from indented


def _inputs(original: Derivation, paths: Mapping[InputOutput, str], store_dir: StoreDir) -> Iterator[str]:
    found: dict[str, list[str]] = {drv: [] for drv in original.input_drvs}
    for (drv, chain), path in paths.items():
        found[drv].append(f"  {_visible('^'.join(chain).encode())}: {path}")
    for drv, lines in found.items():
        yield store_dir.render(drv)
        yield from lines


def _replaced(original: Derivation, replacements: Mapping[bytes, str], version: NixVersion) -> Iterator[str]:
    for place, text in _places(original, version):
        counts = Counter(found for found in _MAYBE_PLACEHOLDER.findall(text) if found in replacements)
        for placeholder, count in counts.items():
            yield f"{place}: {replacements[placeholder]}" + (f" ({count} times)" if count > 1 else "")


def _places(original: Derivation, version: NixVersion) -> Iterator[tuple[str, bytes]]:
    """Yield every place that can hold placeholders, and the text there."""
    yield "builder", original.builder
    for number, argument in enumerate(original.args, 1):
        yield f"argument {number}", argument
    for name, value in original.env.items():
        if name == JSON_KEY:
            # A placeholder may be written with escapes.
            text = normalise_structured_attributes(value) if version.parses_structured_attrs else value
            yield "structured attributes", text
        else:
            yield f"name of env {_visible(name)}", name
            yield f"env {_visible(name)}", value


def _filled_in(original: Derivation, resolved: Derivation, store_dir: StoreDir) -> Iterator[str]:
    for name in original.outputs:
        path = resolved.output_path(name, store_dir)
        if path is not None and path != original.output_path(name, store_dir):
            yield f"{_visible(name.encode())}: {store_dir.render(path)}"


def _changed_besides(original: Derivation, replacements: Mapping[bytes, str], version: NixVersion) -> Iterator[str]:
    if version.parses_structured_attrs and JSON_KEY in original.env:
        attributes = original.env[JSON_KEY]
        if normalise_structured_attributes(attributes) != attributes:
            yield f"structured attributes: printed as Nix {version} prints them"
    names: dict[bytes, bytes] = {}
    for name in original.env:
        new = _MAYBE_PLACEHOLDER.sub(lambda found: replacements.get(found[0], found[0].decode()).encode(), name)
        if names.setdefault(new, name) != name:
            yield f"env {_visible(name)}: gone, because env {_visible(names[new])} has its name now"


def _visible(text: bytes) -> str:
    """Return text for one line of a terminal: escapes replace what is not UTF-8, and what would move the cursor."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text.decode("utf-8", "backslashreplace"))
