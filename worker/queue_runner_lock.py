"""The lock of Hydra's own queue runner: it and workers are not to run at the same time.

Sources: ``acquireGlobalLock`` and ``lock_file`` in the source of Hydra, ``PathLocks`` in that of Nix.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

_NAMES = ("lock", "lock.lock")
"""Of the queue runner in Rust, and of the one in C++. Both hold it exclusively, by flock(2)."""


class QueueRunnerError(Exception):
    """Hydra's queue runner is running."""


@contextmanager
def lock_out_queue_runner(hydra_data: Path | None) -> Iterator[str | None]:
    """Keep Hydra's queue runner from starting; any number of workers can do it at once.

    Gives a sentence if it can't be told whether one runs, such as when the lock may not be opened. Does nothing where
    there never was one. Raises QueueRunnerError when one runs.
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
                told = f"Whether Hydra's queue runner runs can't be told: {error}. It has to be stopped."
        yield told
