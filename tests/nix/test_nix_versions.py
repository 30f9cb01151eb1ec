"""The client against each Nix: it adds texts, builds derivations and aborts builds."""

from __future__ import annotations

import threading

import pytest

from hydra_resolver.nix.build_result import BuildStatus
from hydra_resolver.nix.client import Client, Text
from hydra_resolver.nix.errors import ConnectionLost, NixError
from hydra_resolver.nix.placeholder import output_placeholder
from hydra_resolver.nix.protocol.messages import BuildEvents
from hydra_resolver.nix.store import Store

from ..support.waiting import PATIENCE
from . import conftest
from .conftest import Nix, nixes, programs_or_skip
from .oracle import add_derivation
from .raw import shell


class Started(BuildEvents):
    """Records whether a build has begun, and the lines of its log."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.has_started = threading.Event()

    def started(self, drv_path: str, machine: str) -> None:  # noqa: ARG002
        self.has_started.set()

    def log_line(self, drv_path: str, line: bytes) -> None:  # noqa: ARG002
        self.lines.append(line)


def test_the_version_of_a_store_is_that_of_its_nix_programs(nix: Nix, nix_store: Store) -> None:
    assert nix_store.nix_version == nix.number


def test_each_nix_stores_added_texts_and_refuses_malformed_derivations(nix_store: Store, nix_client: Client) -> None:
    texts = [
        Text(nix_store.store_dir.text_path(f"n{number}", b"\xff" * number, ()), b"\xff" * number, ())
        for number in range(200)
    ]
    assert nix_client.add_texts(texts) == [None] * 200
    info = nix_client.query_path_info(texts[-1].path)
    assert info is not None
    assert info.references == ()
    assert nix_client.read_file(texts[-1].path) == b"\xff" * 199
    with pytest.raises(NixError):
        nix_client.add_text(Text(nix_store.store_dir.text_path("wrong.drv", b"x", ()), b"x", ()))
    assert nix_client.query_valid_paths([texts[0].path]) == {texts[0].path}


def test_each_nix_reports_a_build_and_knows_its_outputs(nix_client: Client) -> None:
    script = b"printf 'a \\377 line\\n'; echo x > " + output_placeholder("out").encode()
    drv = add_derivation(nix_client, shell("reported", script=script))
    events = Started()
    assert nix_client.query_derivation_output_map(drv) == {"out": None}
    result = nix_client.build(drv, events=events)
    assert result.status is BuildStatus.BUILT
    assert events.lines == [b"a \xff line"]
    assert nix_client.query_derivation_output_map(drv) == dict(result.built_outputs)
    failing = add_derivation(nix_client, shell("failing", script=b"exit 7"))
    assert nix_client.build(failing).status is BuildStatus.PERMANENT_FAILURE


def test_an_aborted_build_ends_the_connection(nix_store: Store) -> None:
    events = Started()
    with nix_store.connect() as client:
        drv = add_derivation(client, shell("endless", script=b"PATH=/usr/bin:/bin; sleep 60; true"))
        thread = threading.Thread(target=lambda: events.has_started.wait(PATIENCE) and client.abort())
        thread.start()
        with pytest.raises(ConnectionLost, match="aborted"):
            client.build(drv, events=events)
        thread.join()
        assert client.closed


def test_a_missing_nix_skips_the_test_or_fails_it_under_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conftest, "find_nix", lambda: None)
    monkeypatch.setattr(conftest, "private_nix", lambda *_: None)
    assert nixes.__wrapped__(()) == [Nix("2.26", None), Nix("2.31 or newer", None)]
    for nix in nixes.__wrapped__(()):
        monkeypatch.delenv("CI", raising=False)
        with pytest.raises(pytest.skip.Exception, match=rf"no Nix {nix.version} here: .* \./dev test"):
            programs_or_skip(nix)
        monkeypatch.setenv("CI", "1")
        with pytest.raises(pytest.fail.Exception, match=rf"no Nix {nix.version} here"):
            programs_or_skip(nix)


def test_each_nix_version_is_tested_once_however_often_it_is_named(nix: Nix) -> None:
    once = nixes.__wrapped__((str(nix.programs),))
    assert nix.version in {found.version for found in once}
    assert nixes.__wrapped__((str(nix.programs), str(nix.programs))) == once
    with pytest.raises(pytest.UsageError, match="/nowhere"):
        nixes.__wrapped__(("/nowhere",))
