"""How many files a process may have open, and how many builds at a time these are enough for."""

from __future__ import annotations

import resource
from contextlib import suppress

EACH_SLOT = 6
"""Descriptors for each slot: three for its Nix; while a build begins or ends also the log, a process, a ``.drv``."""
OTHERS = 100
"""Descriptors for connections to the database, load and resolve, roots, and the status page."""


def jobs_within(jobs: int) -> tuple[int, int]:
    """Return how many of ``jobs`` builds at a time have enough descriptors, at least one, and the limit of open files.

    Raises the soft limit of the process as far as needed and allowed; child processes inherit the limit.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = OTHERS + EACH_SLOT * jobs
    if _allows(soft, needed):
        return jobs, needed
    wanted = needed if _allows(hard, needed) else hard
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    return max(1, min(jobs, (soft - OTHERS) // EACH_SLOT)), soft


def _allows(limit: int, number: int) -> bool:
    return limit == resource.RLIM_INFINITY or limit >= number
