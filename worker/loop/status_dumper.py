"""Answers programs of Hydra that ask a queue runner for its status, by the notification ``dump_status``."""

from __future__ import annotations

import psycopg

from .worker_state import WorkerState


class StatusDumper:
    """Answers when the listener has received a request; a worker that does not listen never answers."""

    name = "status_dumper"

    def __init__(self, shared: WorkerState) -> None:
        self._shared = shared

    def run(self) -> None:
        """Answer until the worker stops."""
        shared = self._shared
        while True:
            shared.status_asked.wait()
            shared.status_asked.clear()
            if shared.stopping.is_set():
                return
            try:
                shared.procedures.dump_status()
            except psycopg.Error as error:
                shared.observer.event("database_error", verb="dump_status", message=str(error))
