"""Settings of builds: the operator's own, read from Nix, with our limits.

The fields of SetOptions replace the settings of the store's ``nix.conf``, even for untrusted clients. So the operator's
values are read once and sent back. Source: ``ClientSettings`` in the source of Nix; the Nix manual, "nix.conf".
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from .builders import RemoteBuilder, parse_builders
from .errors import StoreError
from .protocol.operations import set_options


@dataclass(frozen=True, slots=True)
class BuildSettings:
    """The content of SetOptions. Times in seconds, sizes in bytes, 0 for no limit; ``build_cores`` 0 for all.

    Nix takes ``max_log_size`` from trusted clients only. ``overrides`` are further settings by name. Substitution is
    off: the store gets only the requested paths.
    """

    keep_failed: bool = False
    keep_going: bool = False
    fallback: bool = False
    max_jobs: int = 1
    build_cores: int = 0
    max_silent_time: int = 0
    timeout: int = 0
    max_log_size: int = 0
    builders: tuple[RemoteBuilder, ...] = ()
    system: str = ""
    extra_platforms: tuple[str, ...] = ()
    system_features: tuple[str, ...] = ()
    experimental_features: tuple[str, ...] = ()
    overrides: Mapping[str, str] = field(default_factory=dict)

    def with_limits(
        self,
        *,
        timeout: int | None = None,
        max_silent_time: int | None = None,
        max_log_size: int = 0,
        remote: bool = True,
    ) -> BuildSettings:
        """Return settings with limits of one build; ``None`` keeps the operator's. The lower log size holds; 0 is none.

        ``remote``: whether the build may be sent to a remote builder.
        """
        return replace(
            self,
            timeout=self.timeout if timeout is None else timeout,
            max_silent_time=self.max_silent_time if max_silent_time is None else max_silent_time,
            max_log_size=min(filter(None, (self.max_log_size, max_log_size)), default=0),
            builders=self.builders if remote else (),
            overrides=self.overrides if remote else {**self.overrides, "builders": ""},
        )

    def request(self) -> bytes:
        """Return the request SetOptions."""
        overrides = {"timeout": str(self.timeout), "max-silent-time": str(self.max_silent_time), **self.overrides}
        if self.max_log_size:
            overrides.setdefault("max-build-log-size", str(self.max_log_size))
        if not self.builders:
            # Otherwise every call starts a process that asks for remote builders.
            overrides.setdefault("build-hook", "")
        return set_options(
            keep_failed=self.keep_failed,
            keep_going=self.keep_going,
            try_fallback=self.fallback,
            verbosity=0,
            max_build_jobs=self.max_jobs,
            max_silent_time=self.max_silent_time,
            build_cores=self.build_cores,
            use_substitutes=False,
            overrides=overrides,
        )


def parse_settings(text: str) -> BuildSettings:
    """Read the answer of ``nix config show --json``. Raises :class:`StoreError` if it can't be parsed."""
    try:
        values = {name: entry["value"] for name, entry in json.loads(text).items() if "value" in entry}
        return BuildSettings(
            keep_failed=bool(values.get("keep-failed", False)),
            keep_going=bool(values.get("keep-going", False)),
            fallback=bool(values.get("fallback", False)),
            max_jobs=_jobs(values.get("max-jobs", 1)),
            build_cores=int(values.get("cores", 0)),
            max_silent_time=int(values.get("max-silent-time", 0)),
            timeout=int(values.get("timeout", 0)),
            max_log_size=int(values.get("max-build-log-size", 0)),
            builders=parse_builders(str(values.get("builders", "")), str(values.get("system", ""))),
            system=str(values.get("system", "")),
            extra_platforms=tuple(values.get("extra-platforms", ())),
            system_features=tuple(values.get("system-features", ())),
            experimental_features=tuple(values.get("experimental-features", ())),
        )
    except (ValueError, TypeError, AttributeError) as error:
        raise StoreError(f"'nix config show --json' did not print settings: {error}") from None


def _jobs(value: Any) -> int:
    return (os.cpu_count() or 1) if value == "auto" else int(value)
