"""Messages of Nix before the answer to a request: errors, log lines, builds that begin and end.

Source: ``TunnelLogger`` and ``processStderr`` in the source of Nix.
"""

from __future__ import annotations

from typing import Final

from ..errors import NixError, ProtocolError, without_terminal_codes
from .wire import WireReader

NEXT: Final = 0x6F6C6D67
LAST: Final = 0x616C7473
ERROR: Final = 0x63787470
WRITE: Final = 0x64617416
START_ACTIVITY: Final = 0x53545254
STOP_ACTIVITY: Final = 0x53544F50
RESULT: Final = 0x52534C54

_ACTIVITY_BUILD: Final = 105
_RESULT_LOG_LINE: Final = 101
_RESULT_PHASE: Final = 104


class BuildEvents:
    """Events of a call that builds; override the methods of interest.

    The thread that waits for the build calls them as events arrive. ``drv_path`` is the full path of the derivation
    that Nix builds, which need not be the requested one. An exception from a method ends the connection, and with it
    the build, and is passed on to the caller.
    """

    def started(self, drv_path: str, machine: str) -> None:
        """Nix began to build ``drv_path``, on this machine if ``machine`` is empty."""

    def log_line(self, drv_path: str, line: bytes) -> None:
        """The builder wrote a line, without its line end. It need not be UTF-8."""

    def phase(self, drv_path: str, phase: str) -> None:
        """The builder entered this phase."""

    def stopped(self, drv_path: str) -> None:
        """Nix ended the build of ``drv_path``, with success or not."""


def read_messages(reader: WireReader, events: BuildEvents | None = None) -> None:
    """Read until the answer begins. Raises :class:`NixError` if Nix reports an error instead."""
    message = reader.u64()
    if message == LAST:
        return
    builds: dict[int, str] = {}
    while message != LAST:
        if message == ERROR:
            raise _read_error(reader)
        if message in (NEXT, WRITE):
            reader.string()
        elif message == START_ACTIVITY:
            _start(reader, events, builds)
        elif message == STOP_ACTIVITY:
            drv_path = builds.pop(reader.u64(), None)
            if drv_path is not None and events is not None:
                events.stopped(drv_path)
        elif message == RESULT:
            _result(reader, events, builds)
        else:
            raise ProtocolError(f"Nix sent an unknown message {message:#x}")
        message = reader.u64()


def _start(reader: WireReader, events: BuildEvents | None, builds: dict[int, str]) -> None:
    activity, _level, kind = reader.three()
    reader.string()  # text for people
    fields = _read_fields(reader, reader.u64())
    reader.u64()  # parent
    if kind == _ACTIVITY_BUILD and fields and isinstance(fields[0], bytes):
        drv_path = builds[activity] = fields[0].decode(errors="replace")
        machine = fields[1] if len(fields) > 1 else b""
        if events is not None:
            events.started(drv_path, machine.decode(errors="replace") if isinstance(machine, bytes) else "")


def _result(reader: WireReader, events: BuildEvents | None, builds: dict[int, str]) -> None:
    activity, kind, count = reader.three()
    fields = _read_fields(reader, count)
    drv_path = builds.get(activity)
    if drv_path is None or events is None or not fields or not isinstance(fields[0], bytes):
        return
    if kind == _RESULT_LOG_LINE:
        events.log_line(drv_path, fields[0])
    elif kind == _RESULT_PHASE:
        events.phase(drv_path, fields[0].decode(errors="replace"))


def _read_fields(reader: WireReader, count: int) -> list[int | bytes]:
    fields: list[int | bytes] = []
    for _ in range(count):
        kind, number = reader.two()
        if kind > 1:
            raise ProtocolError(f"Nix sent an activity field of unknown type {kind}")
        fields.append(reader.rest_of_string(number) if kind else number)
    return fields


def _read_error(reader: WireReader) -> NixError:
    reader.string()  # always "Error"
    level = reader.u64()
    reader.string()  # a name, no longer used
    message = without_terminal_codes(reader.string())
    reader.u64()  # no position follows
    traces = []
    for _ in range(reader.u64()):
        reader.u64()
        traces.append(without_terminal_codes(reader.string()))
    return NixError(level, message.removeprefix("error:").strip(), tuple(traces))
