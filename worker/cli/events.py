"""Events of a worker, as text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .words import base_name, counted, first_line, short_name

_NOT_RECORDED = {
    "already": "reported before",
    "lease_lost": "the claim had been taken back",
    "stale": "an input was lost meanwhile",
    "refused": "the report was refused",
}
_STYLES = {
    "built": "green",
    "failed": "red",
    "error": "red",
    "retrying": "yellow",
    "database": "yellow",
    "store": "yellow",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One event: a word for its kind, the rest, and whether it deserves a line among many others."""

    word: str
    rest: str
    notable: bool = False

    @property
    def style(self) -> str:
        """The style of the word on a terminal."""
        return _STYLES.get(self.word, "bold")

    def __str__(self) -> str:
        return f"{self.word:<8} {self.rest}"


def describe(kind: str, details: dict[str, Any], *, short: bool = False) -> Line:
    """Describe the event; `short`: store paths are shortened."""
    named = short_name if short else base_name
    drv = named(details.get("drv") or "")
    step = f"{drv}{_step(details)}"
    outcome = details.get("outcome")
    message = details.get("message")
    reason = first_line(message, short=short)
    known = ", which is realised already" if details.get("known") else ""
    match kind:
        case "loaded" | "resolved" if outcome == "failed":
            return Line("failed", f"{drv}: {reason}", notable=True)
        case "loaded" | "resolved" if outcome == "retried":
            return Line("retrying", f"{drv}: {reason}", notable=True)
        case "loaded" | "resolved" | "built" | "build_failed" if outcome in _NOT_RECORDED:
            words = _NOT_RECORDED[outcome] + (f": {reason}" if message and kind != "build_failed" else "")
            return Line("dropped", f"{step}: {words}", notable=outcome != "already")
        case "resolved":
            resolved = details.get("resolved")
            return Line("resolved", f"{drv} -> {named(resolved)}{known}" if resolved else f"{drv} -> itself")
        case "loaded":
            return Line(kind, drv + known)
        case "building" | "built":
            return Line(kind, step)
        case "build_failed":
            return Line("retrying" if outcome == "retried" else "failed", f"{step}: {reason}", notable=True)
        case "released":
            return Line("released", f"{step}: {reason}", notable=True)
        case "aborting":
            return Line("aborting", step, notable=True)
        case "unexpected":
            return Line("error", f"{details.get('verb')}: {f'{drv}: ' if drv else ''}{reason}", notable=True)
        case "note":
            return Line(kind, reason, notable=True)
        case "swept":
            return Line("swept", f"{counted(details.get('claims', 0), 'claim')} of workers that are gone", notable=True)
        case "database_error" | "store_error":
            return Line(kind.removesuffix("_error"), f"{details.get('verb')}: {reason}", notable=True)
    rest = " ".join(f"{name}={value}" for name, value in details.items() if value is not None)
    return Line(kind, rest, notable=True)


def _step(details: dict[str, Any]) -> str:
    if details.get("build") is None:
        return ""
    stepnr = details.get("stepnr")
    return f"  build {details['build']}" + (f" step {stepnr}" if stepnr is not None else "")
