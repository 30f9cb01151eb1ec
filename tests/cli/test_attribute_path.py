"""Attribute paths as text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydra_resolver.attribute_path import AttributePathError, format_attribute_path, parse_attribute_path


@given(st.lists(st.text(), min_size=1).map(tuple))
def test_every_path_is_read_back_as_it_was(path: tuple[str, ...]) -> None:
    assert parse_attribute_path(format_attribute_path(path)) == path


@pytest.mark.parametrize(
    ("text", "path"),
    [("", ()), ("a", ("a",)), ("a.b-c.d'", ("a", "b-c", "d'")), ('a."b.c".d', ("a", "b.c", "d")), ('""', ("",))],
)
def test_paths_are_read_as_nix_instantiate_reads_them(text: str, path: tuple[str, ...]) -> None:
    assert parse_attribute_path(text) == path


@pytest.mark.parametrize("text", [".", "a.", ".a", "a..b", '"a', 'a"b"', '"a"b', 'a."'])
def test_what_is_no_path_is_refused(text: str) -> None:
    with pytest.raises(AttributePathError, match="write names joined with dots"):
        parse_attribute_path(text)
