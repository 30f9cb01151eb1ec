"""What a person sees while work goes on: live on a terminal, a line for each event in a pipe, or JSON."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from ..database.procedures import Procedures
from ..loop.shared import Observer


class LineObserver(Observer):
    """One line for each event, on stderr."""

    def __init__(self, *, as_json: bool = False) -> None:
        self._as_json = as_json
        self._lock = threading.Lock()

    def event(self, kind: str, **details: Any) -> None:
        if self._as_json:
            line = json.dumps({"event": kind, **details})
        else:
            line = " ".join([kind, *(f"{name}={value}" for name, value in details.items() if value is not None)])
        with self._lock:
            click.echo(line, err=not self._as_json)

    @contextmanager
    def shown(self, procedures: Procedures) -> Iterator[None]:
        """Show progress as long as this is open."""
        yield


def observer_for(*, as_json: bool = False) -> LineObserver:
    """The observer that fits where the output goes."""
    return LineObserver(as_json=as_json)
