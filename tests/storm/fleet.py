"""Worker processes that can be killed, suspended and restarted, and a database server that can crash."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from hydra_resolver.embedded.postgres import EmbeddedPostgres, server_pid

PATIENCE = 60.0


class Member:
    """One place for a worker: a process, which is replaced by another one after its end."""

    def __init__(self, number: int, state: Path, database: str) -> None:
        self.number = number
        self.suspended = False
        self.process: subprocess.Popen[bytes] | None = None
        self._words = ["worker", "--json", "--jobs", "3", "--state", str(state), "--database", database]
        self._log = state / f"worker-{number}.log"

    @property
    def runs(self) -> bool:
        """Whether the process exists, even if it is suspended."""
        return self.process is not None and self.process.poll() is None

    def start(self, *, deaf: bool = False) -> None:
        """Start a process unless there is one. If `deaf`, it gets no notifications and must poll."""
        if not self.runs:
            with self._log.open("ab") as log:
                self.process = command([*self._words, *(["--listen-database", "none"] if deaf else [])], log)
            self.suspended = False

    def send(self, number: signal.Signals) -> None:
        """Send the process a signal; after SIGKILL, wait for its end."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(number)
        if number in (signal.SIGSTOP, signal.SIGCONT):
            self.suspended = number == signal.SIGSTOP
        elif number == signal.SIGKILL:
            self.process.wait()

    def stop(self) -> int:
        """Stop the process with SIGTERM; return its exit status."""
        assert self.process is not None
        self.send(signal.SIGCONT)
        self.send(signal.SIGTERM)
        return self.process.wait(PATIENCE)

    def said(self) -> str:
        """Return the output of all processes in this place."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""


def command(words: Sequence[str], output: IO[bytes]) -> subprocess.Popen[bytes]:
    """Start the command."""
    return subprocess.Popen(
        [sys.executable, "-m", "hydra_resolver", *words],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        env={name: value for name, value in os.environ.items() if not name.startswith("HYDRA_")},
    )


def crash(server: EmbeddedPostgres) -> None:
    """Do what `pg_ctl stop -m immediate` does: sessions end without notice, and the next start must recover."""
    pid = server_pid(server.data)
    if pid is not None:
        os.kill(pid, signal.SIGQUIT)
    deadline = time.monotonic() + PATIENCE
    while server_pid(server.data) is not None:
        assert time.monotonic() < deadline, "the server did not end in time"
        time.sleep(0.02)
