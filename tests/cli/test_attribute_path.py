"""Attribute paths as text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydra_resolver.attribute_path import AttributePathError, format_attribute_path, parse_attribute_path


@given(st.lists(st.text(), min_size=1).map(tuple))
def test_a_formatted_attribute_path_is_parsed_back_unchanged(path: tuple[str, ...]) -> None:
    assert parse_attribute_path(format_attribute_path(path)) == path


@pytest.mark.parametrize(
    ("text", "path"),
    [("", ()), ("a", ("a",)), ("a.b-c.d'", ("a", "b-c", "d'")), ('a."b.c".d', ("a", "b.c", "d")), ('""', ("",))],
)
def test_attribute_paths_are_parsed_as_by_nix_instantiate(text: str, path: tuple[str, ...]) -> None:
    assert parse_attribute_path(text) == path


@pytest.mark.parametrize("text", [".", "a.", ".a", "a..b", '"a', 'a"b"', '"a"b', 'a."'])
def test_a_malformed_attribute_path_is_refused(text: str) -> None:
    with pytest.raises(AttributePathError, match="write names joined with dots"):
        parse_attribute_path(text)
