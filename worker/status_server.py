"""The HTTP interface of a queue runner, for Hydra's pages and for monitors: its status, its machines, metrics.

Sources: ``server/http.rs`` and ``io`` in the source of Hydra's queue runner for the paths and the names;
``getMachines`` and ``machine-status.tt`` in the source of Hydra's web server for the fields that it reads; Prometheus,
"Exposition formats".
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingTCPServer
from types import TracebackType
from typing import Any

import psycopg

from .database.errors import DatabaseError
from .database.procedures import Procedures
from .setting_kinds import address_of

MOST_CONNECTIONS = 32
"""Further connections are closed at once: each has a thread and a descriptor, and the worker needs those."""
LONGEST_SECONDS = 30.0
"""A connection is closed after this time, whatever the client does."""
PAUSE_SECONDS = 0.2
"""The interval at which connections are checked, and the wait after a connection could not be accepted."""
STAGES = ("unloaded", "waiting", "resolvable", "resolved", "buildable", "building", "realised", "failed")
_NEWER_NAMES = {
    "nrQueuedBuilds": "nrBuildsUnfinished",
    "nrRunnableSteps": "nrStepsRunnable",
    "nrUnfinishedSteps": "nrStepsUnfinished",
}
"""Names that the queue runner in Rust uses, by the names of the queue runner in C++."""


class StatusServer:
    """Answers GET of ``/status``, ``/status/machines`` and ``/metrics`` from the database, as long as it is open.

    Every client that can connect may ask. Raises ``OSError`` if the server can't listen at the address (see
    :func:`address_of`).
    """

    def __init__(self, address: str, procedures: Procedures) -> None:
        host, port = address_of(address)

        class Server(_Server):
            address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

        class Handler(_Handler):
            answers = Answers(procedures)

        self._server = Server((host, port), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=[PAUSE_SECONDS], name="status")

    def __enter__(self) -> StatusServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class Answers:
    """The answers: content type and text for each path, read from the database at each request."""

    def __init__(self, procedures: Procedures) -> None:
        self._procedures = procedures

    def get(self, path: str) -> tuple[str, str] | None:
        """Return content type and text; `None` for an unknown path. Raises psycopg.Error, DatabaseError."""
        match path.partition("?")[0].rstrip("/"):
            case "/status":
                return "application/json", json.dumps(self._status())
            case "/status/machines":
                machines = self._machines()
                return "application/json", json.dumps({"machines": machines, "machinesCount": len(machines)})
            case "/metrics":
                return "text/plain; version=0.0.4; charset=utf-8", "".join(self._metrics())
        return None

    def _machines(self) -> dict[str, dict[str, Any]]:
        return {name: _machine(name, found) for name, found in sorted(self._procedures.machines().items())}

    def _status(self) -> dict[str, Any]:
        queue, machines = self._procedures.queue_runner_status(), self._machines()
        queue.pop("machines", None)
        queue |= {newer: queue[older] for older, newer in _NEWER_NAMES.items() if older in queue}
        queue |= {
            f"{name}Ms": round(queue[name] * 1000) for name in ("avgStepTime", "avgStepBuildTime") if name in queue
        }
        queue["machinesTotal"] = len(machines)
        queue["machinesInUse"] = sum(machine["stats"]["currentJobs"] > 0 for machine in machines.values())
        return {"queueRunner": queue, "machines": machines, "resolver": self._procedures.status()}

    def _metrics(self) -> Iterator[str]:
        status, machines = self._procedures.status(), self._procedures.machines()
        stages = {stage: status["stages"].get(stage, 0) for stage in STAGES}
        yield from _gauge("derivations", "Derivations by stage.", stages, "stage")
        yield from _gauge("builds_unfinished", "Builds that have not ended.", {"": status["unfinished_builds"]})
        yield from _gauge("failures", "Cached failures.", {"": status["failures"]})
        yield from _gauge("workers", "Workers that are alive.", {"": len(status["workers"])})
        unsupported = {"": len(status["unsupported"])}
        yield from _gauge("machine_types_unsupported", "Machine types that no live worker builds.", unsupported)
        running = {name: machine["running"] for name, machine in sorted(machines.items())}
        yield from _gauge("machine_steps", "Running steps of a machine.", running, "machine")


class _Server(ThreadingTCPServer):
    """Limits the number of connections, and the time of each. No error of one connection ends the server."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128  # with 5, simultaneous connections wait for seconds

    def __init__(self, *words: Any) -> None:
        self._since: dict[Any, float] = {}
        """The open connections, with the time at which each was opened (monotonic)."""
        super().__init__(*words)

    def get_request(self) -> tuple[Any, Any]:
        try:
            return super().get_request()
        except OSError:
            time.sleep(PAUSE_SECONDS)  # without free descriptors the socket stays ready: accept would spin
            raise

    def verify_request(self, request: Any, client_address: Any) -> bool:  # noqa: ARG002
        return len(self._since) < MOST_CONNECTIONS

    def process_request(self, request: Any, client_address: Any) -> None:
        self._since[request] = time.monotonic()
        super().process_request(request, client_address)

    def close_request(self, request: Any) -> None:
        self._since.pop(request, None)
        super().close_request(request)

    def service_actions(self) -> None:
        oldest = time.monotonic() - LONGEST_SECONDS
        for request, since in list(self._since.items()):
            if since < oldest:
                with suppress(OSError):
                    request.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """The client has gone, or no thread can be started: the connection is closed."""


class _Handler(BaseHTTPRequestHandler):
    answers: Answers

    def do_GET(self) -> None:
        try:
            found = self.answers.get(self.path)
        except (psycopg.Error, DatabaseError, OSError) as error:
            self._answer(503, "application/json", json.dumps({"error": str(error)}))
            return
        if found is None:
            self._answer(404, "application/json", json.dumps({"error": "Not found"}))
        else:
            self._answer(200, *found)

    def _answer(self, status: int, kind: str, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Requests are not logged."""


def _machine(name: str, found: Mapping[str, Any]) -> dict[str, Any]:
    """Return a machine as a queue runner reports it. The load of machines other than this one is not known."""
    jobs, running = found["jobs"], found["running"]
    free = jobs is None or running < jobs
    total, used, load = _this_machine() if name == "localhost" else (0, 0, (0.0, 0.0, 0.0))
    return {
        "hostname": name,
        "systems": found["systems"],
        "supportedFeatures": [feature for feature in found["features"] if feature not in found["mandatory"]],
        "mandatoryFeatures": found["mandatory"],
        "maxJobs": jobs or 0,
        "speedFactor": 1.0,
        "score": 1.0,
        "totalMem": total,
        "hasCapacity": free,
        "hasDynamicCapacity": free,
        "hasStaticCapacity": free,
        "stats": {
            "currentJobs": running,
            "nrStepsDone": 0,
            "memUsage": used,
            "pressure": None,
            **dict(zip(("load1", "load5", "load15"), load, strict=True)),
        },
    }


def _this_machine() -> tuple[int, int, tuple[float, float, float]]:
    """Return the bytes of memory, the bytes in use, and the load."""
    lines = (line.split() for line in Path("/proc/meminfo").read_text().splitlines())
    memory = {words[0]: int(words[1]) << 10 for words in lines}
    return memory["MemTotal:"], memory["MemTotal:"] - memory["MemAvailable:"], os.getloadavg()


def _gauge(name: str, words: str, values: Mapping[str, int], label: str = "") -> Iterator[str]:
    full = f"hydra_resolver_{name}"
    yield f"# HELP {full} {words}\n# TYPE {full} gauge\n"
    for value, number in values.items():
        escaped = value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
        yield f'{full}{{{label}="{escaped}"}} {number}\n' if label else f"{full} {number}\n"
