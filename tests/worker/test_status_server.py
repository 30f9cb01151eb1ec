"""What Hydra's pages and a monitor ask for by HTTP is answered as by a queue runner, where that was asked for."""

from __future__ import annotations

import json
import re
import resource
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from hydra_resolver import status_server
from hydra_resolver.database.procedures import Procedures
from hydra_resolver.setting_kinds import address_of
from hydra_resolver.status_server import MOST_CONNECTIONS, StatusServer

from ..support.databases import execute, rows, running_build
from ..support.farm import open_farm
from ..support.waiting import PATIENCE, wait_until
from .test_workers import start_worker


@contextmanager
def free_port() -> Iterator[int]:
    """A port that no other program gets meanwhile. A server that reuses addresses can listen there, as ours does."""
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        yield int(held.getsockname()[1])


def get(port: int, path: str) -> tuple[int, str, str]:
    """Status, type and text of an answer."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=PATIENCE) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["Content-Type"], error.read().decode()


@contextmanager
def serving(conninfo: str) -> Iterator[int]:
    """The port at which the status of a database is to be had."""
    with (
        free_port() as port,
        closing(Procedures(conninfo, connections=1)) as procedures,
        StatusServer(f"127.0.0.1:{port}", procedures),
    ):
        yield port


def machine_of_a_page(machine: dict[str, Any]) -> dict[str, Any]:
    """What Hydra's web server makes of a machine, and shows."""
    return {
        "systemTypes": machine["systems"],
        "primarySystemType": machine["systems"][0],
        "supportedFeatures": machine["supportedFeatures"] + machine["mandatoryFeatures"],
        "capacity": (machine["hasCapacity"], machine["hasStaticCapacity"], machine["hasDynamicCapacity"]),
        "score": machine["score"],
        "speedFactor": machine["speedFactor"],
        "numbers": [
            number + 0
            for number in (
                *(machine["stats"][name] for name in ("load1", "load5", "load15", "memUsage", "nrStepsDone")),
                machine["totalMem"],
            )
        ],
    }


def test_machines_are_told_as_hydras_page_reads_them(database: str) -> None:
    execute(
        database,
        "select resolver.register_worker('w', '{build}', '{x86_64-linux,i686-linux}', '{kvm}', '/nix/store', 'one', 1,"
        ' \'[{"machine": "ssh-ng://far", "systems": ["m68k-linux"], "features": ["big"], "mandatory": ["big"]}]\')',
    )
    with serving(database) as port:
        status, kind, text = get(port, "/status/machines")
    assert (status, kind) == (200, "application/json")
    found = json.loads(text)
    assert found["machinesCount"] == 2
    here = machine_of_a_page(found["machines"]["localhost"])
    assert here["systemTypes"] == ["x86_64-linux", "i686-linux"]
    assert here["supportedFeatures"] == ["kvm"]
    assert here["capacity"] == (True, True, True)
    assert here["numbers"][-1] > 0, "this machine has a memory"
    far = machine_of_a_page(found["machines"]["ssh-ng://far"])
    assert (far["primarySystemType"], far["supportedFeatures"]) == ("m68k-linux", ["big"])
    assert found["machines"]["localhost"]["maxJobs"] == 1


def test_systems_of_a_machine_are_told_in_the_order_that_the_database_has(database: str) -> None:
    execute(
        database,
        "create or replace function resolver.machines() returns jsonb language sql as $$ select jsonb_build_object("
        "'localhost', jsonb_build_object('systems', array['z', 'a', 'm'], 'features', '{}'::text[],"
        " 'mandatory', '{}'::text[], 'jobs', 1, 'running', 0)) $$",
    )
    with serving(database) as port:
        found = json.loads(get(port, "/status/machines")[2])
    assert machine_of_a_page(found["machines"]["localhost"])["primarySystemType"] == "z"


def test_the_status_is_that_of_the_queue(database: str) -> None:
    with serving(database) as port:
        status, kind, text = get(port, "/status/")
        found = json.loads(text)
        assert (status, kind) == (200, "application/json")
        assert found["queueRunner"] == {"status": "down", "machinesTotal": 0, "machinesInUse": 0}
        assert found["machines"] == {}
        running_build(database)
        found = json.loads(get(port, "/status")[2])
        assert found["queueRunner"]["status"] == "up"
        assert found["queueRunner"]["nrBuildsUnfinished"] == found["queueRunner"]["nrStepsBuilding"] == 1
        assert found["queueRunner"]["machinesTotal"] == found["queueRunner"]["machinesInUse"] == 1
        assert found["queueRunner"]["nrStepsUnfinished"] == 1
        execute(database, "select resolver.dump_status()")
        ((dumped,),) = rows(database, "select status from SystemStatus")
        assert isinstance(dumped, dict)
        of_both = found["queueRunner"].keys() & dumped.keys() - {"time", "uptime"}
        assert of_both >= {"status", "nrStepsDone", "nrBuildsRead", "nrRetries", "maxNrRetries", "nrQueueWakeups"}
        assert {name: found["queueRunner"][name] for name in of_both} == {name: dumped[name] for name in of_both}
        (machine,) = found["machines"].values()
        assert machine["stats"]["currentJobs"] == 1
        assert found["resolver"]["stages"] == {"building": 1}


def test_metrics_are_told_as_prometheus_reads_them(database: str) -> None:
    running_build(database)
    with serving(database) as port:
        status, kind, text = get(port, "/metrics")
    assert (status, kind) == (200, "text/plain; version=0.0.4; charset=utf-8")
    samples = {}
    kinds = set()
    for line in text.splitlines():
        if match := re.fullmatch(r"# (?:HELP \w+ .+|TYPE (\w+) gauge)", line):
            kinds.add(match[1])
            continue
        match = re.fullmatch(r'(\w+)((?:\{\w+="[^"]*"\})?) (\d+)', line)
        assert match, line
        assert match[1] in kinds
        samples[match[1] + match[2]] = int(match[3])
    assert samples['hydra_resolver_derivations{stage="building"}'] == 1
    assert samples['hydra_resolver_derivations{stage="failed"}'] == 0
    assert samples["hydra_resolver_builds_unfinished"] == samples["hydra_resolver_workers"] == 1
    assert samples['hydra_resolver_machine_steps{machine="localhost"}'] == 1


def test_what_there_is_not_is_not_found(database: str) -> None:
    with serving(database) as port:
        assert get(port, "/build") == (404, "application/json", '{"error": "Not found"}')
        request = urllib.request.Request(f"http://127.0.0.1:{port}/status", method="POST", data=b"")
        with pytest.raises(urllib.error.HTTPError, match="501"):
            urllib.request.urlopen(request, timeout=PATIENCE)


def test_a_database_that_does_not_answer_is_told_of(database: str) -> None:
    with serving(database) as port:
        execute(database, "drop function resolver.machines()")
        status, _, text = get(port, "/status/machines")
        assert status == 503
        assert "machines" in json.loads(text)["error"]
        assert get(port, "/nothing")[0] == 404, "it goes on"


def silent(port: int, number: int) -> list[socket.socket]:
    """Connections over which nothing is asked."""
    return [socket.create_connection(("127.0.0.1", port), timeout=5) for _ in range(number)]


def closed(connection: socket.socket) -> bool:
    """Whether the other side has closed a connection, waiting for a while."""
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def test_no_more_are_answered_at_a_time_than_there_may_be(database: str) -> None:
    with serving(database) as port:
        waiting = silent(port, MOST_CONNECTIONS)
        assert closed(*silent(port, 1))
        waiting.pop().close()
        wait_until(lambda: answers(port))
        for connection in waiting:
            connection.close()


def answers(port: int) -> bool:
    try:
        return get(port, "/status")[0] == 200
    except OSError:
        return False


def says(connection: socket.socket, text: bytes) -> bool:
    """Whether the other side still listens."""
    try:
        connection.sendall(text)
    except OSError:
        return False
    return True


def test_who_says_nothing_or_one_letter_after_the_other_is_not_waited_for(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status_server, "LONGEST_SECONDS", 1.0)
    with serving(database) as port:
        nothing, slow = silent(port, 2)
        wait_until(lambda: not says(slow, b"G"))
        assert closed(nothing)
        assert get(port, "/status")[0] == 200


def test_a_process_without_descriptors_to_spare_neither_spins_nor_ends(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    accepted: list[float] = []
    real = socket.socket.accept

    def accept(self: socket.socket) -> tuple[socket.socket, Any]:
        accepted.append(time.monotonic())
        return real(self)

    monkeypatch.setattr(socket.socket, "accept", accept)
    with serving(database) as port:
        assert get(port, "/status")[0] == 200
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        client = socket.socket()
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (client.fileno() + 1, limits[1]))
            client.connect(("127.0.0.1", port))
            wait_until(lambda: len(accepted) > 5)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            client.close()
        assert accepted[5] - accepted[1] > 0.2, "it waits between two tries"
        assert get(port, "/status")[0] == 200


def test_a_thousand_slow_connections_cost_a_worker_nothing(tmp_path: Path) -> None:
    with free_port() as port, open_farm(tmp_path) as farm:
        words = [sys.executable, "-m", "hydra_resolver", "worker", "--state", str(farm.state)]
        limited = shlex.join([*words, "--status-address", str(port)])
        worker = subprocess.Popen(["sh", "-c", f"ulimit -n 200; exec {limited}"])
        try:
            farm.wait_for("select 1 from resolver.worker where gone_at is null")
            connections = silent(port, 900)
            farm.command("enqueue", farm.write("one.nix", '{ one = floating "one" "echo > $out" { }; }'))
            farm.wait_for("select 1 from Builds where finished = 1 and buildStatus = 0")
            for connection in connections:
                connection.close()
            wait_until(lambda: answers(port))
        finally:
            worker.terminate()
            assert worker.wait(20) == 0


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("8080", ("127.0.0.1", 8080)),
        ("0.0.0.0:80", ("0.0.0.0", 80)),
        ("[::1]:8080", ("::1", 8080)),
        ("localhost:1", ("localhost", 1)),
    ],
)
def test_an_address_is_of_this_machine_only_unless_another_is_named(text: str, address: tuple[str, int]) -> None:
    assert address_of(text) == address


@pytest.mark.parametrize("text", ["", "localhost", "localhost:", ":80", "localhost:http", "1:70000", "::1:80", "[]:1"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="address"):
        address_of(text)


def test_a_worker_serves_its_status_where_it_was_told_to(tmp_path: Path) -> None:
    with free_port() as port, open_farm(tmp_path) as farm:
        worker = start_worker(farm, "--status-address", str(port))
        farm.wait_for("select 1 from resolver.worker where gone_at is null")
        assert json.loads(get(port, "/status/machines")[2])["machines"].keys() == {"localhost"}
        second = farm.command("worker", "--drain", "--status-address", str(port))
        assert second.returncode == 0
        assert f"The status is not served at {port}: " in second.stderr
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(PATIENCE) == 0, worker.communicate()[0]
