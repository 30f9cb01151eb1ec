"""The lock of Hydra's own queue runner: the queue runner and workers must not run at the same time.

Sources: ``acquireGlobalLock`` and ``lock_file`` in the source of Hydra, ``PathLocks`` in that of Nix.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

_NAMES = ("lock", "lock.lock")
"""The names of the queue runner in Rust, and of the one in C++. Both hold the lock exclusively, by flock(2)."""


class QueueRunnerError(Exception):
    """Hydra's queue runner is running."""


@contextmanager
def lock_out_queue_runner(hydra_data: Path | None) -> Iterator[str | None]:
    """Keep Hydra's queue runner from starting; any number of workers can do so at once.

    Yields a sentence if it is unknown whether a queue runner runs, such as when the lock can't be opened; else `None`.
    Does nothing if no queue runner ever ran there. Raises QueueRunnerError if a queue runner is running.
    """
    told = None
    with ExitStack() as locks:
        for path in [hydra_data / "queue-runner" / name for name in _NAMES] if hydra_data else []:
            try:
                file = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
                locks.callback(os.close, file)
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except FileNotFoundError:
                continue
            except BlockingIOError:
                raise QueueRunnerError(
                    f"Hydra's queue runner is running: it holds {path}. Stop it first, and see that it is not started"
                    " again: the two would build the same builds."
                ) from None
            except OSError as error:
                told = f"Can't check whether Hydra's queue runner is running: {error}. Make sure that it is stopped."
        yield told
