"""The check of sentences finds the bad ones, and lets the good ones pass."""

from __future__ import annotations

import pytest

from ..prose import BAD, of_markdown, of_python, of_sql

REFUSED = [
    "Nobody waits for it.",
    "It is loaded anew.",
    "The worker is told of it.",
    "Whoever asks gets an answer.",
    "Who fails for two causes comes back.",
    "It is built by a worker; who asks first gets it.",
    "What fails is tried again.",
    "A lease is closed. What was held comes back.",
]
ACCEPTED = [
    "A user who runs a farm reads this.",
    "A claim returns what the worker asked for.",
    "Who wants to know?",
    "What happens if the disk is full?",
    "What this is about",
    "A renewed lease is anewsworthy.",
]


@pytest.mark.parametrize("sentence", REFUSED)
def test_a_sentence_without_an_actor_is_refused(sentence: str) -> None:
    assert BAD.search(sentence)


@pytest.mark.parametrize("sentence", ACCEPTED)
def test_a_sentence_with_an_actor_is_accepted(sentence: str) -> None:
    assert BAD.search(sentence) is None


def test_only_prose_is_read() -> None:
    assert list(of_markdown("a `nobody`\n```\nnobody\n```\nb")) == [(1, "a x"), (5, "b")]
    sql = "-- head\nselect 'nobody'; -- why\ncomment on table t is 'It''s\ntwo lines';\n"
    assert list(of_sql(sql)) == [(1, "head"), (2, "why"), (3, "It''s"), (4, "two lines")]
    python = '"""About `nobody`."""\n\nname = "nobody"  # a comment\n'
    assert list(of_python(python)) == [(3, "a comment"), (1, "About x.")]
