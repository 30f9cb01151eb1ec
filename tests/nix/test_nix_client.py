"""The client against a real Nix: it adds texts, looks up paths, makes roots, and starts and aborts builds."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from hydra_resolver.nix.aterm_print import derivation_path, print_derivation
from hydra_resolver.nix.build_result import BuildStatus
from hydra_resolver.nix.client import Client, Text
from hydra_resolver.nix.closure import InvalidPath, PathInfos
from hydra_resolver.nix.derivation import Derivation, Floating, InputNode, Method
from hydra_resolver.nix.errors import ConnectionLost, NixError, NixNotFound, PathMismatch, ProtocolError
from hydra_resolver.nix.path_info import PathInfo
from hydra_resolver.nix.placeholder import output_placeholder
from hydra_resolver.nix.protocol.messages import BuildEvents
from hydra_resolver.nix.protocol.transport import ProcessTransport, SocketTransport
from hydra_resolver.nix.roots import RootDirectory
from hydra_resolver.nix.store import Store
from hydra_resolver.nix.store_path import StoreDir

from ..support.waiting import PATIENCE, wait_until

NOTHING = "0" * 32 + "-nothing"


def text_of(store: Store, name: str, content: bytes, references: tuple[str, ...] = ()) -> Text:
    return Text(store.store_dir.text_path(name, content, references), content, references)


def add_derivation(client: Client, name: str, script: str, **env: str) -> str:
    entries = {"out": output_placeholder("out"), "PATH": os.environ["PATH"], **env}
    derivation = Derivation(
        name=name,
        outputs={"out": Floating(Method.NAR, "sha256")},
        input_drvs={},
        input_srcs=(),
        platform=os.uname().machine.encode() + b"-linux",
        builder=b"/bin/sh",
        args=(b"-c", script.encode()),
        env={key.encode(): value.encode() for key, value in sorted(entries.items())},
    )
    text = print_derivation(derivation, client.store_dir)
    path = derivation_path(derivation, client.store_dir, text)
    client.add_text(Text(path, text, ()))
    return path


class Recorder(BuildEvents):
    def __init__(self) -> None:
        self.events: list[tuple[str, object]] = []
        self.has_started = threading.Event()

    def started(self, drv_path: str, machine: str) -> None:
        self.events.append(("started", (drv_path, machine)))
        self.has_started.set()

    def log_line(self, drv_path: str, line: bytes) -> None:  # noqa: ARG002
        self.events.append(("line", line))

    def phase(self, drv_path: str, phase: str) -> None:  # noqa: ARG002
        self.events.append(("phase", phase))

    def stopped(self, drv_path: str) -> None:
        self.events.append(("stopped", drv_path))


def test_a_store_knows_its_directories_its_version_and_its_settings(store: Store, client: Client) -> None:
    assert store.store_dir.path == store.env["NIX_STORE_DIR"]
    assert str(store.real_dir) == store.store_dir.path
    assert store.nix_version >= (2, 26)
    assert client.protocol_minor >= 34
    assert client.trusted is True
    assert store.settings.max_jobs == 2
    assert store.settings.builders == ()


def test_a_store_with_a_root_has_its_files_below_that_root(store: Store, tmp_path: Path) -> None:
    environment = {name: value for name, value in store.env.items() if name != "NIX_STORE_DIR"}
    for uri in (f"local?root={tmp_path}", str(tmp_path)):
        rooted = Store(uri, environment)
        assert rooted.store_dir == StoreDir("/nix/store")
        assert rooted.real_dir == tmp_path / "nix" / "store"
        with rooted.connect() as client:
            text = text_of(rooted, "rooted", uri.encode())
            client.add_text(text)
            assert rooted.read_derivation_text(text.path) == uri.encode()
            assert rooted.base_name(str(rooted.real_path(text.path))) == text.path
            assert rooted.base_name(rooted.full_path(text.path)) == text.path


def test_an_added_text_is_valid_and_can_be_read(store: Store, client: Client) -> None:
    one = text_of(store, "one", b"1")
    two = text_of(store, "two", b"", (one.path,))
    client.add_text(one)
    client.add_text(two)
    assert client.query_valid_paths([one.path, two.path, NOTHING]) == {one.path, two.path}
    info = client.query_path_info(two.path)
    assert info is not None
    assert info.references == (one.path,)
    assert info.deriver is None
    assert info.nar_size == 112
    assert client.query_path_info(NOTHING) is None
    assert client.read_file(two.path) == b""
    assert store.read_derivation_text(one.path) == b"1"


def test_a_connection_is_usable_after_a_refused_request(store: Store, client: Client) -> None:
    malformed = text_of(store, "malformed.drv", b"x" * 300_000)
    dangling = text_of(store, "dangling", b"x", (NOTHING,))
    good = text_of(store, "good", b"good")
    answers = client.add_texts([malformed, good, dangling])
    assert isinstance(answers[0], NixError)
    assert answers[1] is None
    assert isinstance(answers[2], NixError)
    with pytest.raises(NixError, match="is not valid") as caught:
        client.add_text(dangling)
    assert "\x1b" not in caught.value.message
    assert client.query_valid_paths([good.path]) == {good.path}


def test_the_client_notices_a_wrongly_computed_path(client: Client) -> None:
    with pytest.raises(PathMismatch, match="store directories"):
        client.add_text(Text("0" * 32 + "-x", b"x", ()))


def test_a_client_writes_thousands_of_requests_before_it_reads_their_answers(store: Store, client: Client) -> None:
    texts = [text_of(store, f"n{number}", str(number).encode() * 2000) for number in range(300)]
    assert client.add_texts(texts) == [None] * 300
    paths = [text.path for text in texts]
    infos = client.query_path_infos(paths * 10)
    assert [info.path for info in infos if info is not None and not isinstance(info, NixError)] == paths * 10
    assert client.protect(paths) == set(paths)


def test_a_query_can_protect_its_paths_from_the_collector_in_the_same_round_trip(store: Store) -> None:
    asked, protected = text_of(store, "asked", b"x"), text_of(store, "protected", b"x")
    with store.connect() as client:
        client.add_texts([asked, protected])
    with store.connect() as client:
        for text, protect in ((asked, False), (protected, True)):
            [info] = client.query_path_infos([text.path], protect=protect)
            assert isinstance(info, PathInfo)
            assert info.path == text.path
        collect_garbage(store)
        assert client.query_valid_paths([asked.path, protected.path]) == {protected.path}


def test_the_paths_of_unbuilt_outputs_are_none(client: Client) -> None:
    drv = add_derivation(client, "unbuilt", "exit 1")
    assert client.query_derivation_output_map(drv) == {"out": None}
    with pytest.raises(NixError):
        client.query_derivation_output_map("0" * 32 + "-gone.drv")


def test_a_build_reports_its_start_its_log_its_phases_and_its_end(store: Store, client: Client) -> None:
    script = r"""
        echo one; printf 'bytes \377\n'
        echo '@nix {"action":"setPhase","phase":"buildPhase"}' >&2
        printf 'no line end'; echo x > $out
    """
    drv = add_derivation(client, "loud", script)
    recorder = Recorder()
    result = client.build(drv, events=recorder)
    full = store.full_path(drv)
    assert result.status is BuildStatus.BUILT
    assert recorder.events == [
        ("started", (full, "")),
        ("line", b"one"),
        ("line", b"bytes \xff"),
        ("phase", "buildPhase"),
        ("line", b"no line end"),
        ("stopped", full),
    ]
    assert client.query_derivation_output_map(drv) == dict(result.built_outputs)
    assert client.build(drv, ["out"]).status is BuildStatus.ALREADY_VALID


def test_a_build_reports_the_inputs_that_nix_builds_first(store: Store, client: Client) -> None:
    unbuilt = add_derivation(client, "unbuilt-input", "echo x > $out")
    asked = store.read_derivation(unbuilt)
    asked = replace(asked, name="asked-for", input_drvs={unbuilt: InputNode(("out",))})
    text = print_derivation(asked, store.store_dir)
    path = derivation_path(asked, store.store_dir, text)
    client.add_text(Text(path, text, asked.references))
    recorder = Recorder()
    client.build(path, events=recorder)
    assert ("started", (store.full_path(unbuilt), "")) in recorder.events


def test_a_failing_builder_is_a_permanent_failure(client: Client) -> None:
    result = client.build(add_derivation(client, "failing", "echo why; exit 7"))
    assert result.status is BuildStatus.PERMANENT_FAILURE
    assert not result.succeeded
    assert "exit code 7" in result.error
    assert "\x1b" not in result.error


def test_a_build_without_its_output_is_rejected(client: Client) -> None:
    assert client.build(add_derivation(client, "lazy", "true")).status is BuildStatus.OUTPUT_REJECTED


@pytest.mark.parametrize("limit", ["timeout", "max_silent_time"])
def test_time_limits_end_a_build(store: Store, client: Client, limit: str) -> None:
    drv = add_derivation(client, f"slow-{limit.replace('_', '-')}", "sleep 60; true")
    client.set_options(store.settings.with_limits(**{limit: 1}))
    began = time.monotonic()
    assert client.build(drv).status is BuildStatus.TIMED_OUT
    assert time.monotonic() - began < 50


def test_a_connection_survives_a_build_of_a_missing_derivation(client: Client) -> None:
    with suppress(NixError):
        assert not client.build("0" * 32 + "-gone.drv").succeeded
    assert client.query_valid_paths([NOTHING]) == set()


def is_running(mark: str) -> bool:
    return mark in subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout


def test_another_thread_can_abort_a_build(store: Store) -> None:
    recorder = Recorder()
    seconds = f"98765{os.getpid()}"
    with store.connect() as client:
        drv = add_derivation(client, "endless", f"sleep {seconds}; true")

        def abort() -> None:
            recorder.has_started.wait(PATIENCE)
            client.abort()

        thread = threading.Thread(target=abort)
        thread.start()
        with pytest.raises(ConnectionLost, match="aborted"):
            client.build(drv, events=recorder)
        thread.join()
        assert client.closed
    assert not is_running(f"sleep {seconds}")


def test_an_exception_of_the_callback_ends_the_build(store: Store) -> None:
    class Refuse(BuildEvents):
        def started(self, drv_path: str, machine: str) -> None:  # noqa: ARG002
            raise LookupError(drv_path)

    with store.connect() as client:
        drv = add_derivation(client, "unwanted", "sleep 60; true")
        with pytest.raises(LookupError):
            client.build(drv, events=Refuse())
        assert client.closed
        with pytest.raises(ConnectionLost):
            client.query_valid_paths([drv])


def program(store: Store, name: str) -> str:
    found = shutil.which(name, path=store.env["PATH"])
    assert found is not None
    return found


def collect_garbage(store: Store) -> None:
    subprocess.run([program(store, "nix-store"), "--gc"], env=store.env, capture_output=True, check=True)


def test_a_root_outlives_the_connection_until_it_is_removed(new_store: Callable[[], Store], tmp_path: Path) -> None:
    store = new_store()
    roots = RootDirectory(tmp_path / "roots")
    kept, lost = text_of(store, "kept", b"kept"), text_of(store, "lost", b"lost")
    many = [text_of(store, f"many-{number}", b"x") for number in range(20)]
    with store.connect() as client:
        client.add_texts([kept, lost, *many])
        collect_garbage(store)
        assert client.query_valid_paths([kept.path, lost.path]) == {kept.path, lost.path}
        roots.add(client, kept.path)
        roots.add(client, kept.path)
        roots.add_many(client, [text.path for text in many])
    assert kept.path in roots
    assert set(roots.names()) == {kept.path, *(text.path for text in many)}
    collect_garbage(store)
    with store.connect() as client:
        assert client.query_valid_paths([lost.path]) == set()
        assert len(client.query_valid_paths([kept.path, *(text.path for text in many)])) == 21
    assert roots.remove(kept.path)
    assert not roots.remove(kept.path)
    collect_garbage(store)
    with store.connect() as client:
        assert client.query_valid_paths([kept.path]) == set()


def test_roots_below_the_stores_own_directory_work_without_a_request_to_nix(new_store: Callable[[], Store]) -> None:
    store = new_store()
    roots = RootDirectory(Path(store.env["NIX_STATE_DIR"]) / "gcroots" / "ours", direct=True)
    first, *more, lost = (text_of(store, f"text-{number}", b"x") for number in range(6))
    with store.connect() as client:
        client.add_texts([first, *more, lost])
        roots.add(client, first.path)
        assert roots.remove(first.path)
        roots.add_many(client, [first.path, *(text.path for text in more), first.path])
        named = roots.add(client, first.path, name="current")
    kept = {first.path, *(text.path for text in more)}
    assert set(roots.names()) == {*kept, "current"}
    assert all(name in roots for name in roots.names())
    assert named.readlink() == Path(store.full_path(first.path))
    collect_garbage(store)
    with store.connect() as client:
        assert client.query_valid_paths([*kept, lost.path]) == kept
    for name in list(roots.names()):
        assert roots.remove(name)
    collect_garbage(store)
    with store.connect() as client:
        assert client.query_valid_paths(kept) == set()


def test_a_young_root_is_not_listed_as_old(store: Store, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    roots = RootDirectory(Path(store.env["NIX_STATE_DIR"]) / "gcroots" / "young", direct=True)
    old, young, youngest = (text_of(store, f"aging-{number}", b"x") for number in range(3))
    client.add_texts([old, young, youngest])
    now, mono = time.time(), time.monotonic()
    roots.add(client, old.path)
    monkeypatch.setattr(time, "monotonic", lambda: mono + 59)
    roots.add(client, young.path)
    monkeypatch.setattr(time, "time", lambda: now + 659)  # `young` is 600 seconds old; its link has the time of `old`
    assert list(roots.names(older_than=601)) == []
    monkeypatch.setattr(time, "time", lambda: now + 721)
    assert set(roots.names(older_than=600)) == {old.path, young.path}
    monkeypatch.setattr(time, "monotonic", lambda: mono + 100)
    roots.add(client, youngest.path)
    assert (roots.path / youngest.path).stat().st_ino != (roots.path / old.path).stat().st_ino


def test_a_root_can_be_moved_to_another_path(store: Store, client: Client, tmp_path: Path) -> None:
    roots = RootDirectory(tmp_path)
    for content in (b"old", b"new"):
        text = text_of(store, "moved", content)
        client.add_text(text)
        link = roots.add(client, text.path, name="current")
        assert link.readlink() == Path(store.full_path(text.path))
    assert list(roots.names()) == ["current"]


def test_abandoned_temporary_links_of_roots_are_removed(tmp_path: Path) -> None:
    roots = RootDirectory(tmp_path)
    left, new, root = (tmp_path / name for name in (".new-left", ".new-new", "root"))
    for link in (left, new, root):
        link.symlink_to("nowhere")
    for link in (left, root):
        os.utime(link, (0, time.time() - 61), follow_symlinks=False)
    assert list(roots.names()) == ["root"]
    assert set(tmp_path.iterdir()) == {new, root}, "the new link may still get its name"


def test_the_size_of_a_closure_counts_every_path_once(store: Store, client: Client) -> None:
    base = text_of(store, "base", b"base")
    left, right = (text_of(store, name, name.encode(), (base.path,)) for name in ("left", "right"))
    top = text_of(store, "top", b"top", (left.path, right.path))
    client.add_texts([base, left, right, top])
    infos = PathInfos(client)
    sizes = {text.path: infos.get(text.path).nar_size for text in (base, left, right, top)}
    assert infos.closure_size([top.path]) == sum(sizes.values())
    assert infos.closure([left.path]).keys() == {left.path, base.path}
    with pytest.raises(InvalidPath):
        infos.closure([NOTHING])


@contextmanager
def daemon(store: Store) -> Iterator[str]:
    process = subprocess.Popen([program(store, "nix-daemon")], env=store.env, stderr=subprocess.PIPE)
    socket = Path(store.env["NIX_STATE_DIR"]) / "daemon-socket" / "socket"
    try:
        wait_until(socket.exists)
        yield str(socket)
    finally:
        process.kill()
        process.wait()
        assert process.stderr is not None
        process.stderr.close()


def test_a_client_can_use_the_socket_of_a_daemon(new_store: Callable[[], Store]) -> None:
    store = new_store()
    with daemon(store) as socket:
        for uri in (f"unix://{socket}", "daemon"):
            over_socket = Store(uri, store.env)
            assert over_socket.store_dir == store.store_dir
            assert over_socket.real_dir == store.real_dir
            with over_socket.connect() as client:
                text = text_of(store, "socket", uri.encode())
                client.add_text(text)
                assert client.query_valid_paths([text.path]) == {text.path}
                recorder = Recorder()
                drv = add_derivation(client, "endless", "sleep 60; true")
                threading.Thread(target=lambda r=recorder, c=client: r.has_started.wait(PATIENCE) and c.abort()).start()
                with pytest.raises(ConnectionLost):
                    client.build(drv, events=recorder)


@pytest.mark.parametrize(
    ("script", "error", "message"),
    [
        ("head -c 16 > /dev/null; echo hello world, this is no nix", ProtocolError, "no Nix daemon"),
        ("echo broken installation >&2; exit 1", ConnectionLost, "broken installation"),
        (
            "head -c 16 > /dev/null; printf 'oixd\\0\\0\\0\\0\\031\\001\\0\\0\\0\\0\\0\\0'",
            ProtocolError,
            "protocol 1.25",
        ),
    ],
)
def test_a_program_that_is_not_nix_is_reported(
    tmp_path: Path, script: str, error: type[Exception], message: str
) -> None:
    fake = tmp_path / "nix-daemon"
    fake.write_text(f"#!/bin/sh\n{script}\n")
    fake.chmod(0o755)
    with pytest.raises(error, match=message):
        Client(ProcessTransport({"PATH": f"{tmp_path}:/usr/bin:/bin"}), StoreDir("/nix/store"))


@pytest.mark.parametrize(
    ("chosen", "given"),
    [
        ({}, "glibc.malloc.tcache_count=200:glibc.malloc.tcache_max=65536"),
        ({"GLIBC_TUNABLES": "glibc.malloc.check=1"}, "glibc.malloc.check=1"),
    ],
)
def test_nix_gets_allocator_settings_unless_the_user_has_set_some(
    tmp_path: Path, chosen: dict[str, str], given: str
) -> None:
    fake = tmp_path / "nix-daemon"
    fake.write_text('#!/bin/sh\necho "it has $GLIBC_TUNABLES" >&2\n')
    fake.chmod(0o755)
    with pytest.raises(ConnectionLost, match=f"it has {given}"):
        Client(ProcessTransport({"PATH": f"{tmp_path}:/usr/bin:/bin", **chosen}), StoreDir("/nix/store"))


def test_a_connection_ends_on_a_python_without_pidfd(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "pidfd_open")
    client = store.connect()
    client.close()
    assert client.closed


def test_the_error_names_the_missing_nix_program_or_socket(tmp_path: Path) -> None:
    with pytest.raises(NixNotFound, match="nix-instantiate"):
        _ = Store(environment={"PATH": str(tmp_path)}).store_dir
    with pytest.raises(NixNotFound, match="nix-daemon"):
        ProcessTransport({"PATH": str(tmp_path)})
    with pytest.raises(ConnectionLost, match="can't reach"):
        SocketTransport(str(tmp_path / "socket"))
