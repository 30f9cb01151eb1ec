"""How many files a process may have open, and how many builds at a time that is enough for."""

from __future__ import annotations

import resource
from contextlib import suppress

EACH_SLOT = 6
"""A slot has three for its Nix, and while it begins or ends a build a few more: the log, a process, a ``.drv``."""
OTHERS = 100
"""For connections to the database, load and resolve, roots, and the status page."""


def jobs_within(jobs: int) -> tuple[int, int]:
    """How many of so many builds at a time there are descriptors for, at least one; and how many may be open in all.

    Raises the process's soft limit as far as it has to and may; what it starts inherits that.
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
