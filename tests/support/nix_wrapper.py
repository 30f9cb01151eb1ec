"""A `nix-daemon --stdio` that dies once in the middle of an operation, and otherwise passes everything on.

Run as a program: REAL-PROGRAM PLAN-DIRECTORY WORDS... A file in the plan directory, named by the number of an
operation, contains the moment of death: `asked` (the request is never read), `halfway` (the operation has begun),
`done` (the answer is lost). The file is renamed when the wrapper dies.
"""

from __future__ import annotations

import os
import select
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

ENDS = [code.to_bytes(8, "little") for code in (0x616C7473, 0x63787470)]
"""The messages with which Nix ends its output before an answer, and before an error."""
QUIET_SECONDS = 0.2
HAPPENED = ".happened"


def wrap(directory: Path, real: Path, plan: Mapping[int, str]) -> Path:
    """Return a directory for PATH with a wrapped nix-daemon; the plan maps numbers of operations to moments."""
    (directory / "plan").mkdir(parents=True)
    for operation, moment in plan.items():
        (directory / "plan" / str(operation)).write_text(moment)
    program = directory / "bin" / "nix-daemon"
    program.parent.mkdir()
    words = [sys.executable, "-I", "-S", __file__, str(real / "nix-daemon"), str(directory / "plan")]
    program.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
    program.chmod(0o755)
    return program.parent


def left(directory: Path) -> list[int]:
    """Return the operations of the plan that have not happened yet."""
    return [int(file.name) for file in (directory / "plan").iterdir() if file.suffix != HAPPENED]


class Wrapper:
    """Runs the real program and passes bytes to it and from it."""

    def __init__(self, real: str, plan: Path, words: list[str]) -> None:
        self._plan = plan
        self._child = subprocess.Popen([real, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        self._moment = ""
        signal.signal(signal.SIGTERM, lambda *_: self._child.terminate())

    def run(self) -> int:
        """Pass everything on until either side ends."""
        answers = threading.Thread(target=self._pass_answers)
        answers.start()
        self._pass_requests()
        answers.join()
        return self._child.wait()

    def _pass_requests(self) -> None:
        assert self._child.stdin is not None
        # A client waits for each answer before it writes again, so each read begins with an operation.
        while request := os.read(0, 1 << 16):
            self._moment = self._moment or self._due(int.from_bytes(request[:8], "little"))
            if self._moment == "asked":
                self._die()
            try:
                self._child.stdin.write(request)
            except OSError:
                break
        self._child.stdin.close()

    def _due(self, operation: int) -> str:
        file = self._plan / str(operation)
        try:
            moment = file.read_text()
            file.rename(file.with_suffix(HAPPENED))  # only one of several processes succeeds
        except FileNotFoundError:
            return ""
        return moment

    def _pass_answers(self) -> None:
        assert self._child.stdout is not None
        swallowed = b""
        while True:
            if self._moment and swallowed and (self._moment == "halfway" or any(end in swallowed for end in ENDS)):
                ready, _, _ = select.select([self._child.stdout], [], [], QUIET_SECONDS)
                if not ready:
                    self._die()
            answer = os.read(self._child.stdout.fileno(), 1 << 16)
            if not answer:
                return
            if self._moment:
                swallowed += answer
            else:
                os.write(1, answer)

    def _die(self) -> None:
        self._child.kill()
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(Wrapper(sys.argv[1], Path(sys.argv[2]), sys.argv[3:]).run())
