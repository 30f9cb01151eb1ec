"""Requirements of a derivation on machine and scheduler, from its environment or its structured attributes.

Source: the Nix manual, "Advanced Attributes".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .derivation import Derivation
from .structured_attrs import JSON_KEY, parse_structured_attributes


@dataclass(frozen=True, slots=True)
class BuildAttributes:
    """Advanced attributes that decide where a derivation can be built."""

    required_system_features: frozenset[str]
    prefer_local_build: bool
    allow_substitutes: bool
    is_builtin: bool


def build_attributes(derivation: Derivation) -> BuildAttributes:
    """Read the attributes. Raises :class:`InvalidStructuredAttributes` if ``__json`` can't be read.

    If output paths are not known beforehand, Nix also requires the feature ``ca-derivations``.
    """
    is_builtin = derivation.builder.startswith(b"builtin:")
    text = derivation.env.get(JSON_KEY)
    if text is not None:
        attributes = parse_structured_attributes(text)
        return BuildAttributes(
            required_system_features=_feature_list(attributes.get("requiredSystemFeatures", [])),
            prefer_local_build=attributes.get("preferLocalBuild") is True,
            allow_substitutes=attributes.get("allowSubstitutes") is not False,
            is_builtin=is_builtin,
        )
    env = derivation.env
    features = env.get(b"requiredSystemFeatures", b"").decode(errors="replace").split()
    return BuildAttributes(
        required_system_features=_feature_list(features),
        prefer_local_build=env.get(b"preferLocalBuild") == b"1",
        allow_substitutes=env.get(b"allowSubstitutes", b"1") == b"1",
        is_builtin=is_builtin,
    )


def _feature_list(value: Any) -> frozenset[str]:
    if isinstance(value, str):
        value = value.split()
    if not isinstance(value, list):
        return frozenset()
    return frozenset(feature for feature in value if isinstance(feature, str))
