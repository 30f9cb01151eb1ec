"""The embedded database and store: they start, survive kills, can be shared, and work below closed directories."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from hydra_resolver.embedded import EmbeddedError, place
from hydra_resolver.embedded.postgres import EmbeddedPostgres, server_pid, shared_postgres
from hydra_resolver.embedded.session import database_environment, run_in_environment
from hydra_resolver.embedded.state import StateDirectory
from hydra_resolver.embedded.store import EmbeddedStore
from hydra_resolver.embedded.tools import nix_bin, nix_version

from ..support.temporary import temporary_directory
from ..support.waiting import PATIENCE, wait_until

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="PostgreSQL runs as another user only when we are root")


def socket_of(server: EmbeddedPostgres) -> Path:
    return Path(str(ask(server.superuser_conninfo(), "select current_setting('unix_socket_directories')")))


def ask(url: str, query: str = "select 1") -> object:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(query)
        row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None


@pytest.fixture
def directory() -> Iterator[Path]:
    with temporary_directory() as made:
        yield made


@pytest.fixture
def server(directory: Path) -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres(directory / "postgres", fsync=False) as running:
        yield running


def wait_until_dead(pid: int) -> None:
    command = Path(f"/proc/{pid}/cmdline")
    wait_until(lambda: not command.exists() or not command.read_bytes())


def test_the_database_belongs_to_a_plain_role(server: EmbeddedPostgres) -> None:
    assert ask(server.conninfo(), "select current_user || current_database()") == "hydrahydra"
    assert (
        ask(server.conninfo(), "select rolsuper or rolcreaterole from pg_roles where rolname = current_user") is False
    )
    assert ask(server.conninfo(), "select count(*) from pg_extension where extname = 'pg_trgm'") == 1
    assert ask(server.conninfo(), "select current_setting('server_encoding')") == "UTF8"
    assert ask(server.superuser_conninfo(), "select rolsuper from pg_roles where rolname = current_user") is True


def test_the_server_has_a_private_socket_only(server: EmbeddedPostgres) -> None:
    assert ask(server.conninfo(), "select current_setting('listen_addresses')") == ""
    assert socket_of(server).stat().st_mode & 0o077 == 0


def test_committed_data_is_there_after_a_stop_and_a_start(server: EmbeddedPostgres) -> None:
    ask(server.conninfo(), "create table kept as select 1 as one")
    server.stop()
    assert server_pid(server.data) is None
    server.stop()
    server.start()
    assert ask(server.conninfo(), "select one from kept") == 1


def test_a_killed_server_starts_again(server: EmbeddedPostgres) -> None:
    ask(server.conninfo(), "create table kept as select 1 as one")
    pid = server_pid(server.data)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    wait_until_dead(pid)
    assert (server.data / "postmaster.pid").exists()
    assert ask(server.start(), "select one from kept") == 1


def test_the_pid_of_another_program_is_not_mistaken_for_the_server(server: EmbeddedPostgres) -> None:
    lines = (server.data / "postmaster.pid").read_text().splitlines()
    server.stop()
    lines[0] = str(os.getpid())
    (server.data / "postmaster.pid").write_text("\n".join(lines))
    assert server_pid(server.data) is None
    assert ask(server.start()) == 1


def test_a_server_that_was_killed_with_sessions_open_starts_again(server: EmbeddedPostgres) -> None:
    pid = server_pid(server.data)
    assert pid is not None
    with psycopg.connect(server.conninfo(), autocommit=True) as session:
        session.execute("create table kept as select 1 as one")
        session.execute("set client_connection_check_interval = 0")
        os.kill(pid, signal.SIGKILL)
        wait_until_dead(pid)
        assert ask(server.start(), "select one from kept") == 1


def test_a_running_server_is_used_as_it_is(server: EmbeddedPostgres, directory: Path) -> None:
    pid = server_pid(server.data)
    other = EmbeddedPostgres(directory / "postgres", fsync=False)
    assert other.start() == server.conninfo()
    assert server_pid(server.data) == pid


def test_an_interrupted_creation_of_a_cluster_is_repeated(directory: Path) -> None:
    rest = directory / "postgres" / "data.new"
    rest.mkdir(parents=True)
    (rest / "PG_VERSION").write_text("15\n")
    with EmbeddedPostgres(directory / "postgres", fsync=False) as running:
        assert ask(running.conninfo()) == 1
        assert not running.data.with_name("data.new").exists()


def test_a_cluster_of_a_version_that_is_not_installed_is_refused(directory: Path) -> None:
    data = directory / "postgres" / "data"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("9\n")
    with pytest.raises(EmbeddedError, match="install postgresql-9"):
        EmbeddedPostgres(directory / "postgres").start()


def test_a_long_directory_path_gets_a_short_and_stable_socket(directory: Path) -> None:
    deep = directory / ("d" * 100) / "postgres"
    deep.parent.mkdir()
    with EmbeddedPostgres(deep, fsync=False) as running:
        url = running.conninfo()
        assert ask(url) == 1
        socket = socket_of(running)
    with EmbeddedPostgres(deep, fsync=False) as running:
        assert running.conninfo() == url
    socket.rmdir()
    with EmbeddedPostgres(deep, fsync=False) as running:
        assert ask(running.conninfo()) == 1
        again = socket_of(running)
    again.rmdir()


@as_root
def test_a_cluster_below_a_directory_closed_to_the_servers_user_lives_elsewhere(directory: Path) -> None:
    directory.chmod(0o700)
    with EmbeddedPostgres(directory / "postgres", fsync=False) as running:
        assert ask(running.conninfo()) == 1
        elsewhere = running.data.parent
    assert elsewhere.parent == place.SHARED_CLUSTERS
    assert (directory / "postgres").resolve() == elsewhere
    assert elsewhere not in place.orphans()
    (directory / "postgres").unlink()
    assert elsewhere in place.orphans()
    with temporary_directory() as other, EmbeddedPostgres(other / "postgres", fsync=False):
        assert not elsewhere.exists()


@as_root
def test_the_lack_of_any_place_for_a_cluster_is_reported(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory.chmod(0o700)
    monkeypatch.setattr(place, "SHARED_CLUSTERS", directory / "clusters")
    with pytest.raises(EmbeddedError, match="--state"):
        EmbeddedPostgres(directory / "postgres", fsync=False).start()


def test_the_last_user_of_a_shared_server_stops_it(directory: Path) -> None:
    with shared_postgres(StateDirectory(directory), fsync=False) as first:
        with shared_postgres(StateDirectory(directory), fsync=False) as second:
            assert ask(second.conninfo()) == 1
        assert ask(first.conninfo()) == 1
    assert server_pid(first.data) is None


def test_many_processes_share_one_server(directory: Path) -> None:
    program = f"""
import sys, psycopg
from hydra_resolver.embedded.postgres import shared_postgres
from hydra_resolver.embedded.state import StateDirectory
with shared_postgres(StateDirectory({str(directory)!r}), fsync=False) as server:
    print(psycopg.connect(server.conninfo()).execute("select 'here'").fetchone()[0])
"""
    users = [subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) for _ in range(6)]
    assert [user.communicate(timeout=PATIENCE)[0].strip() for user in users] == ["here"] * 6
    assert server_pid(directory / "postgres" / "data") is None


def test_a_killed_user_leaves_the_server_running_for_the_next_user(directory: Path) -> None:
    program = f"""
import os, signal
from hydra_resolver.embedded.postgres import shared_postgres
from hydra_resolver.embedded.state import StateDirectory
with shared_postgres(StateDirectory({str(directory)!r}), fsync=False):
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -signal.SIGKILL
    pid = server_pid(directory / "postgres" / "data")
    assert pid is not None
    with shared_postgres(StateDirectory(directory), fsync=False) as server:
        assert server_pid(server.data) == pid
    assert server_pid(directory / "postgres" / "data") is None


def test_the_default_state_directory_is_in_the_users_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("HYDRA_RESOLVER_STATE", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
    assert StateDirectory().path == tmp_path / "xdg" / "hydra-resolver"
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert StateDirectory().path == tmp_path / "home/.local/state/hydra-resolver"
    monkeypatch.setenv("HYDRA_RESOLVER_STATE", str(tmp_path / "chosen"))
    assert StateDirectory().path == tmp_path / "chosen"


def test_a_state_directory_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EmbeddedError, match="--state"):
        StateDirectory(tmp_path / "file" / "state")


def evaluate(store: EmbeddedStore, expression: str) -> str:
    command = [f"{nix_bin()}/nix-instantiate", "--eval", "-E", expression]
    return subprocess.check_output(command, env=store.child_environment(), text=True).strip()


def test_the_embedded_store_evaluates_in_its_own_directory(
    nix_store: EmbeddedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NIX_REMOTE", "daemon")
    monkeypatch.setenv("NIX_CONFIG", "store = /nowhere")
    monkeypatch.setenv("NIX_DAEMON_SOCKET_PATH", "/nowhere")
    assert evaluate(nix_store, "1") == "1"
    assert evaluate(nix_store, "builtins.storeDir") == f'"{nix_store.store_dir}"'


def test_the_embedded_store_builds_content_addressed_derivations(
    nix_store: EmbeddedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", "/nowhere")
    expression = """derivation {
        name = "a"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" "echo a > $out" ];
        __contentAddressed = true; outputHashMode = "recursive"; outputHashAlgo = "sha256";
    }"""
    command = [f"{nix_bin()}/nix-build", "--no-out-link", "-E", expression]
    done = subprocess.run(command, env=nix_store.child_environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).read_text() == "a\n"


def test_a_store_behind_a_link_is_used_by_its_real_path(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    store = EmbeddedStore(tmp_path / "link" / "nix")
    store.prepare()
    store.prepare()
    assert evaluate(store, "builtins.storeDir") == f'"{tmp_path}/real/nix/store"'


def test_the_version_of_nix_is_not_confused_with_that_of_its_distribution(tmp_path: Path) -> None:
    program = tmp_path / "nix"
    for said, version in {
        "nix (Nix) 2.26.3": (2, 26, 3),
        "nix (Determinate Nix 3.16.3) 2.33.3": (2, 33, 3),
        "nix (Nix) 2.36pre20260801_abcdef0": (2, 36, 0),
    }.items():
        program.write_text(f"#!/bin/sh\necho '{said}'\n")
        program.chmod(0o755)
        assert nix_version(program) == version


def test_a_program_started_by_exec_finds_database_and_store(directory: Path, capfd: pytest.CaptureFixture[str]) -> None:
    script = "psql -XAtc 'select current_user' && nix-instantiate --eval -E builtins.storeDir && exit 3"
    assert run_in_environment(["sh", "-c", script], state=directory, store=None, database=None) == 3
    assert capfd.readouterr().out.splitlines() == ["hydra", f'"{directory}/nix/store"']
    assert run_in_environment(["sh", "-c", "kill -9 $$"], state=directory, store=None, database=None) == 137
    assert run_in_environment(["no-such-program"], state=directory, store=None, database=None) == 127


def test_terminating_exec_stops_the_server_too(directory: Path) -> None:
    program = f"""
import sys
from pathlib import Path
from hydra_resolver.embedded.session import run_in_environment
command = ["sh", "-c", "echo here; exec sleep 60"]
sys.exit(run_in_environment(command, state=Path({str(directory)!r}), store=None, database=None))
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as user:
        assert user.stdout is not None
        assert user.stdout.readline() == "here\n"
        user.terminate()
        assert user.wait(PATIENCE) == 128 + signal.SIGTERM
    assert server_pid(directory / "postgres" / "data") is None


def test_a_database_url_becomes_variables_of_libpq() -> None:
    assert database_environment("postgresql://me@db.example:5433/hydra?sslmode=require") == {
        "PGHOST": "db.example",
        "PGPORT": "5433",
        "PGUSER": "me",
        "PGDATABASE": "hydra",
        "PGSSLMODE": "require",
        "HYDRA_RESOLVER_DATABASE": "postgresql://me@db.example:5433/hydra?sslmode=require",
    }
    with pytest.raises(EmbeddedError, match="connection string"):
        database_environment("not a database")
