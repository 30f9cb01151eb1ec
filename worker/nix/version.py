"""Versions of Nix, and their differences in the treatment of derivations.

Source: the source of Nix at these versions.
"""

from __future__ import annotations

import re
from typing import NamedTuple


class NixVersion(NamedTuple):
    """Major and minor version of a Nix."""

    major: int
    minor: int

    @property
    def parses_structured_attrs(self) -> bool:
        """Whether ``__json`` is read as JSON and printed again, instead of being kept as text."""
        return self >= (2, 31)

    @property
    def resolves_any_kind_with_dynamic_inputs(self) -> bool:
        """Whether input-addressed derivations with dynamic inputs are resolved."""
        return self >= (2, 29)

    @property
    def refuses_other_deferred_paths(self) -> bool:
        """Whether the environment entry of a deferred output must be empty or right, instead of being overwritten."""
        return self == (2, 35)

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"


def parse_nix_version(text: str) -> NixVersion:
    """Parse the version that a Nix reports: ``2.34.8``, ``nix (Nix) 2.35pre20260101_abc``. Raises ``ValueError``.

    Parentheses name the vendor, with a version of its own: ``nix (Determinate Nix 3.16.3) 2.33.3``.
    """
    match = re.search(r"(?<![\w.])(\d+)\.(\d+)", re.sub(r"\([^)]*\)", "", text))
    if match is None:
        raise ValueError(f"'{text}' is not a version of Nix")
    return NixVersion(int(match[1]), int(match[2]))
