"""Structured attributes are read and printed as by Nix 2.31 and later."""

from __future__ import annotations

import json
import math
import random
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydra_resolver.nix.json_double import format_double
from hydra_resolver.nix.json_nested import parse_nested
from hydra_resolver.nix.store import Store
from hydra_resolver.nix.structured_attrs import (
    InvalidStructuredAttributes,
    check_structured_attributes,
    normalise_structured_attributes,
)

from .raw import random_source


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{ "b" : [ 1 , 2 ] , "a" : { } }', '{"a":{},"b":[1,2]}'),
        ('{"a":1,"a":2}', '{"a":2}'),
        ('{"é":1,"z":2,"😀":3,"\uffff":4}', '{"z":2,"é":1,"\uffff":4,"😀":3}'),
        (r'{"a":"\/\u00e9\ud83d\ude00\u007f"}', '{"a":"/é😀\x7f"}'),
        (r'{"a":"\u0000\u001F\b\f\n\r\t\"\\"}', r'{"a":"\u0000\u001f\b\f\n\r\t\"\\"}'),
        ('{"a":[true,false,null,[],{}]}', '{"a":[true,false,null,[],{}]}'),
        (
            '{"a":[-0,0,9223372036854775808,-9223372036854775808]}',
            '{"a":[0,0,9223372036854775808,-9223372036854775808]}',
        ),
        ('{"a":[18446744073709551615,18446744073709551616]}', '{"a":[18446744073709551615,1.8446744073709552e+19]}'),
        ('{"a":[-9223372036854775809]}', '{"a":[-9.223372036854775808e+18]}'.replace("775808e", "776e")),
        ('{"a":[-0.0,1.0,1e2,1E-7,2.50]}', '{"a":[-0.0,1.0,100.0,1e-07,2.5]}'),
        ("\ufeff{}", "{}"),
    ],
)
def test_structured_attributes_are_normalised(text: str, expected: str) -> None:
    assert normalise_structured_attributes(text.encode()).decode() == expected


def test_text_after_a_zero_byte_is_ignored() -> None:
    assert normalise_structured_attributes(b"{ }\0x") == b"{}"


@pytest.mark.parametrize(
    ("before", "within", "after"),
    [
        ('{"a":' + "[" * 100_000, '"x"', "]" * 100_000 + "}"),
        ('{"a":' * 100_000, "null", "}" * 100_000),
        ('[{"":' * 50_000, '[1,{"a":[],"b":{}},-2.5,"\\n"]', "}]" * 50_000),
    ],
)
def test_structured_attributes_may_be_nested_to_any_depth(before: str, within: str, after: str) -> None:
    if not before.startswith("{"):
        before, after = '{"top":' + before, after + "}"
    text = before + within + after
    assert normalise_structured_attributes(text.encode()) == text.encode()
    loose = before.replace(":", " :\n") + within + after.replace("]", " ] ")
    assert normalise_structured_attributes(loose.encode()) == text.encode()


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-5, 5) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_the_parser_for_deep_nesting_agrees_with_the_json_module(value: Any) -> None:
    text = json.dumps(value, indent=1)
    assert parse_nested(text, json.JSONDecoder()) == value
    broken = text[: len(text) // 2] + text[len(text) // 2 + 1 :]
    try:
        expected = json.loads(broken)
    except ValueError:
        with pytest.raises(ValueError, match=" "):
            parse_nested(broken, json.JSONDecoder())
    else:
        assert parse_nested(broken, json.JSONDecoder()) == expected


@pytest.mark.parametrize("text", [b"{}", b' { "b":1, "a":1 }', b"null", b'{"a":1}\0x'])
def test_an_old_nix_keeps_the_text_of_structured_attributes(text: bytes) -> None:
    assert check_structured_attributes(text) == text


@pytest.mark.parametrize("text", [b"", b"[]", b"1", b'"a"', b"{", b'{"a":1e999}', rb'{"a":"\udc00"}'])
def test_an_old_nix_refuses_attributes_that_are_not_a_json_object(text: bytes) -> None:
    with pytest.raises(InvalidStructuredAttributes):
        check_structured_attributes(text)


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (0.1, "0.1"),
        (1.5, "1.5"),
        (1e15, "1e+15"),
        (1e14, "100000000000000.0"),
        (123456789012345.0, "123456789012345.0"),
        (1234567890123456.0, "1.234567890123456e+15"),
        (0.001, "0.001"),
        (0.0001, "0.0001"),
        (0.00001, "1e-05"),
        (1.25e-5, "1.25e-05"),
        (1e100, "1e+100"),
        (5e-324, "5e-324"),
        (-2.5, "-2.5"),
        (2.5e22, "2.4999999999999998e+22"),
    ],
)
def test_doubles_are_formatted_as_nix_formats_them(number: float, expected: str) -> None:
    assert format_double(number) == expected


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_double_reads_back_as_itself(number: float) -> None:
    assert float(format_double(number)) == number


def random_double(source: random.Random) -> float:
    choice = source.randrange(3)
    if choice == 0:
        number: float = struct.unpack("<d", source.randbytes(8))[0]
        return number if math.isfinite(number) and number != 0 else 1.5
    if choice == 1:
        return float(f"{source.randrange(1, 10 ** source.randrange(1, 18))}e{source.randrange(-30, 30)}")
    return math.ldexp(1.0, source.randrange(-1074, 1023))


def test_nix_writes_the_same_doubles(store: Store, tmp_path: Path) -> None:
    source = random_source()
    numbers = [5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, *(random_double(source) for _ in range(5000))]
    (tmp_path / "numbers.json").write_text(json.dumps(numbers))
    program = shutil.which("nix", path=store.env["PATH"])
    assert program is not None
    expression = f"builtins.fromJSON (builtins.readFile {tmp_path}/numbers.json)"
    command = [program, "eval", "--impure", "--json", "--expr", expression]
    answer = subprocess.run(command, env=store.env, capture_output=True, text=True, check=True)
    assert answer.stdout.strip()[1:-1].split(",") == [format_double(number) for number in numbers]


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"1",
        b"{",
        b"{}x",
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":1e999}',
        b'{"a":"\xff"}',
        b'{"a":"\n"}',
        rb'{"a":"\ud800"}',
        rb'{"\udc00":1}',
        b"{'a':1}",
        b'{"a":01}',
        b'{"a":' + b"9" * 5000 + b"}",
        rb'{"a":"\ud800","a":1}',
        b'{"a":' + b"[" * 5000 + b"]" * 4999 + b"}",
        b'{"a":' + b"[" * 5000 + b"]" * 5001 + b"}",
        b'{"a":' + b"[" * 5000 + b"1," + b"]" * 5000 + b"}",
        b'{"a":' + b"[" * 5000 + b"\x0b" + b"]" * 5000 + b"}",
        b'{"a":' * 5000 + b"1" + b"}" * 4999 + b",}",
        b'{"a":' * 5000 + b'{"b"}' + b"}" * 5000,
        b'{"a":' * 5000 + b"{1:1}" + b"}" * 5000,
        b'{"a":' * 5000,
    ],
)
def test_structured_attributes_that_nix_cannot_read_are_refused(text: bytes) -> None:
    with pytest.raises(InvalidStructuredAttributes):
        normalise_structured_attributes(text)


values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda children: (
        st.lists(children, max_size=3)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), children, max_size=3)
    ),
)


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), values, max_size=3))
def test_normalising_is_idempotent_and_changes_no_value(value: dict[str, Any]) -> None:
    text = normalise_structured_attributes(json.dumps(value).encode())
    assert json.loads(text) == value
    assert normalise_structured_attributes(text) == text
