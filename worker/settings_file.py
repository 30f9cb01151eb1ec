"""Settings: from the command line, else from the environment, else from a TOML file, else the default."""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from .build_log import DEFAULT_LIMIT
from .hydra_conf import last_value
from .outputs import DEFAULT_OUTPUT_LIMIT
from .setting_kinds import ADDRESS, LIMITS, MOST_JOBS, PATH, TEXT, TRUTH, Kind, lists, numbers, one_of

CONFIG_VARIABLE = "HYDRA_RESOLVER_CONFIG"
HYDRAS_DIRECTORY = Path("/var/lib/hydra")
"""Hydra's data directory, if no setting names another one."""
VERBS = ("load", "resolve", "build")
ONLY_KINDS = ("local", "prefer-local")


class SettingsError(Exception):
    """A setting can't be parsed; the message names the setting, its place, and the values that it may have."""


class Value(NamedTuple):
    """The value of a setting, and its origin."""

    value: Any
    origin: str

    @property
    def is_default(self) -> bool:
        """Whether the value is the default."""
        return self.origin == "default"


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting. `derive` may find its default elsewhere; else the default is `default`, or described by `words`."""

    name: str
    kind: Kind
    words: str
    default: Any = None
    variables: tuple[str, ...] = ()
    derive: Callable[[Settings], Value | None] | None = None

    @property
    def all_variables(self) -> tuple[str, ...]:
        """The environment variables that set it; the first that exists counts."""
        return self.variables or (f"HYDRA_RESOLVER_{self.name.upper()}",)


def _hydra_data(settings: Settings) -> Value | None:
    """Return Hydra's directory, unless database or store is embedded: then a Hydra on this machine is unrelated."""
    named = settings.value("database") is not None and settings.value("store") is not None
    return Value(HYDRAS_DIRECTORY, "found") if named and HYDRAS_DIRECTORY.is_dir() else None


def _below_hydra_data(name: str) -> Callable[[Settings], Value | None]:
    def derive(settings: Settings) -> Value | None:
        directory = settings.value("hydra_data")
        if directory is None or settings.value("database") is None:
            return None
        return Value(Path(directory) / name, "hydra_data")

    return derive


def _in_hydra_conf(name: str) -> Callable[[Settings], Value | None]:
    def derive(settings: Settings) -> Value | None:
        file = settings.value("hydra_config")
        if file is None or settings.value("database") is None or (text := last_value(Path(file), name)) is None:
            return None
        return Value(_understood(BY_NAME[name], BY_NAME[name].kind.parse, text, str(file)), f"file, {file}")

    return derive


_DATABASE_VARIABLES = ("HYDRA_RESOLVER_DATABASE", "HYDRA_DATABASE_URL", "HYDRA_DBI")
SETTINGS = (
    Setting("database", TEXT, "an embedded one", variables=_DATABASE_VARIABLES),
    Setting("listen_database", TEXT, "where `database` is; 'none': workers poll"),
    Setting("store", TEXT, "an embedded one"),
    Setting("state", PATH, "hydra-resolver in the user's state directory"),
    Setting("hydra_data", PATH, "not known", variables=("HYDRA_DATA",), derive=_hydra_data),
    Setting("hydra_config", PATH, "hydra.conf in `hydra_data`", variables=("HYDRA_CONFIG",),
            derive=_below_hydra_data("hydra.conf")),
    Setting("logs", PATH, "build-logs in `hydra_data`, else in `state`", derive=_below_hydra_data("build-logs")),
    Setting("jobs", numbers(1, MOST_JOBS), "Nix's max-jobs"),
    Setting("verbs", lists("a list of load, resolve, build", VERBS), "all three", list(VERBS)),
    Setting("systems", lists("a list of strings, such as [\"x86_64-linux\"]"), "Nix's system and extra-platforms"),
    Setting("features", lists("a list of strings, such as [\"kvm\"]"), "Nix's system-features"),
    Setting("feature_limits", LIMITS, "none"),
    Setting("only", one_of(ONLY_KINDS), "all that can be built here, or by Nix's builders"),
    Setting("trust_store", TRUTH, "only of an embedded store"),
    Setting("max_log_size", numbers(0), "64 MiB; 0: no limit", DEFAULT_LIMIT, derive=_in_hydra_conf("max_log_size")),
    Setting("max_output_size", numbers(0), "2 GiB; 0: no limit", DEFAULT_OUTPUT_LIMIT,
            derive=_in_hydra_conf("max_output_size")),
    Setting("status_address", ADDRESS, "nowhere"),
)  # fmt: skip
BY_NAME = {setting.name: setting for setting in SETTINGS}


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of one command."""

    given: Mapping[str, Any] = field(default_factory=dict)
    """The values from the command line; `None` for a setting that the command line does not have."""
    environment: Mapping[str, str] = field(default_factory=dict)
    file: Path | None = None
    in_file: Mapping[str, Any] = field(default_factory=dict)

    def get(self, name: str, given: Any = None) -> Value:
        """Return a setting with its origin; `given`: the value from the command line of this command."""
        setting = BY_NAME[name]
        given = self.given.get(name) if given is None else given
        if given is not None:
            return Value(given, "command line")
        for variable in setting.all_variables:
            if text := self.environment.get(variable):
                return Value(_understood(setting, setting.kind.parse, text, variable), f"environment, {variable}")
        if name in self.in_file:
            return Value(self.in_file[name], f"file, {self.file}")
        if setting.derive is not None and (derived := setting.derive(self)) is not None:
            return derived
        return Value(setting.default, "default")

    def value(self, name: str, given: Any = None) -> Any:
        """Return a setting, without its origin."""
        return self.get(name, given).value


def _understood(setting: Setting, read: Callable[[Any], Any], value: Any, where: str) -> Any:
    try:
        return read(value)
    except ValueError:
        raise SettingsError(f"{where}: {setting.name} has to be {setting.kind.words}.") from None


def default_file() -> Path:
    """Return the path of the settings file if no other one is named; the file may be missing."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "hydra-resolver" / "config.toml"


def load_settings(given: Mapping[str, Any], config: Path | None = None) -> Settings:
    """Read the environment and the file: `config`, else the file that HYDRA_RESOLVER_CONFIG names, else the user's.

    Raises SettingsError if the named file does not exist, can't be read, or has an unknown setting or a wrong value.
    """
    named = config or (Path(os.environ[CONFIG_VARIABLE]) if os.environ.get(CONFIG_VARIABLE) else None)
    file = named or default_file()
    try:
        text = file.read_text()
    except FileNotFoundError:
        if named is not None:
            raise SettingsError(f"there is no settings file {file}. Name another one with --config.") from None
        return _checked(Settings(given, os.environ))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"the settings file {file} can't be read: {error}") from None
    return _checked(Settings(given, os.environ, file, parse_settings_file(text, file)))


def _checked(settings: Settings) -> Settings:
    """Return the same settings, if every variable can be parsed. Raises SettingsError."""
    for name in BY_NAME:
        settings.get(name)
    return settings


def parse_settings_file(text: str, file: Path) -> dict[str, Any]:
    """Parse the text of a settings file. Paths in it are relative to the file's directory. Raises SettingsError."""
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"the settings file {file} is not TOML: {error}.") from None
    found: dict[str, Any] = {}
    for name, value in values.items():
        setting = BY_NAME.get(name)
        if setting is None:
            near = difflib.get_close_matches(name.lower().replace("-", "_"), BY_NAME, 1, 0.0)[0]
            raise SettingsError(f"{file}: there is no setting '{name}'. The most similar setting is '{near}'.")
        found[name] = _understood(setting, setting.kind.check, value, str(file))
        if setting.kind is PATH:
            found[name] = file.absolute().parent / found[name]
    return found
