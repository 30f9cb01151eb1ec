"""The HTTP status server answers Hydra's pages and monitors as a queue runner does, if it is switched on."""

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
    """Hold a port, so that no other program gets it. A server that reuses addresses, as ours does, can listen there."""
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        yield int(held.getsockname()[1])


def get(port: int, path: str) -> tuple[int, str, str]:
    """Return status, content type and text of an answer."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=PATIENCE) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["Content-Type"], error.read().decode()


@contextmanager
def serving(conninfo: str) -> Iterator[int]:
    """Serve the status of a database; yield the port."""
    with (
        free_port() as port,
        closing(Procedures(conninfo, connections=1)) as procedures,
        StatusServer(f"127.0.0.1:{port}", procedures),
    ):
        yield port


def machine_of_a_page(machine: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a machine as Hydra's web server computes and shows them."""
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


def test_machines_have_the_form_that_hydras_page_reads(database: str) -> None:
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
    assert here["numbers"][-1] > 0, "the memory of this machine is known"
    far = machine_of_a_page(found["machines"]["ssh-ng://far"])
    assert (far["primarySystemType"], far["supportedFeatures"]) == ("m68k-linux", ["big"])
    assert found["machines"]["localhost"]["maxJobs"] == 1


def test_systems_of_a_machine_keep_the_order_of_the_database(database: str) -> None:
    execute(
        database,
        "create or replace function resolver.machines() returns jsonb language sql as $$ select jsonb_build_object("
        "'localhost', jsonb_build_object('systems', array['z', 'a', 'm'], 'features', '{}'::text[],"
        " 'mandatory', '{}'::text[], 'jobs', 1, 'running', 0)) $$",
    )
    with serving(database) as port:
        found = json.loads(get(port, "/status/machines")[2])
    assert machine_of_a_page(found["machines"]["localhost"])["primarySystemType"] == "z"


def test_the_http_status_agrees_with_the_queue(database: str) -> None:
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


def test_metrics_have_the_form_that_prometheus_reads(database: str) -> None:
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


def test_an_unknown_path_is_not_found(database: str) -> None:
    with serving(database) as port:
        assert get(port, "/build") == (404, "application/json", '{"error": "Not found"}')
        request = urllib.request.Request(f"http://127.0.0.1:{port}/status", method="POST", data=b"")
        with pytest.raises(urllib.error.HTTPError, match="501"):
            urllib.request.urlopen(request, timeout=PATIENCE)


def test_an_error_of_the_database_is_reported_with_status_503(database: str) -> None:
    with serving(database) as port:
        execute(database, "drop function resolver.machines()")
        status, _, text = get(port, "/status/machines")
        assert status == 503
        assert "machines" in json.loads(text)["error"]
        assert get(port, "/nothing")[0] == 404, "the server goes on"


def silent(port: int, number: int) -> list[socket.socket]:
    """Open connections and send nothing."""
    return [socket.create_connection(("127.0.0.1", port), timeout=5) for _ in range(number)]


def closed(connection: socket.socket) -> bool:
    """Whether the other side closes a connection, after some waiting."""
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def test_the_server_limits_the_number_of_connections(database: str) -> None:
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
    """Whether the other side still accepts text."""
    try:
        connection.sendall(text)
    except OSError:
        return False
    return True


def test_the_server_closes_silent_and_slow_connections(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status_server, "LONGEST_SECONDS", 1.0)
    with serving(database) as port:
        nothing, slow = silent(port, 2)
        wait_until(lambda: not says(slow, b"G"))
        assert closed(nothing)
        assert get(port, "/status")[0] == 200


def test_a_server_without_free_descriptors_neither_spins_nor_ends(
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
        assert accepted[5] - accepted[1] > 0.2, "the server waits between two tries"
        assert get(port, "/status")[0] == 200


def test_a_thousand_slow_connections_do_not_disturb_a_worker(tmp_path: Path) -> None:
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
def test_a_status_address_is_local_unless_a_host_is_named(text: str, address: tuple[str, int]) -> None:
    assert address_of(text) == address


@pytest.mark.parametrize("text", ["", "localhost", "localhost:", ":80", "localhost:http", "1:70000", "::1:80", "[]:1"])
def test_an_invalid_status_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="address"):
        address_of(text)


def test_a_worker_serves_its_status_at_the_given_address(tmp_path: Path) -> None:
    with free_port() as port, open_farm(tmp_path) as farm:
        worker = start_worker(farm, "--status-address", str(port))
        farm.wait_for("select 1 from resolver.worker where gone_at is null")
        assert json.loads(get(port, "/status/machines")[2])["machines"].keys() == {"localhost"}
        second = farm.command("worker", "--drain", "--status-address", str(port))
        assert second.returncode == 0
        assert f"The status is not served at {port}: " in second.stderr
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(PATIENCE) == 0, worker.communicate()[0]
