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
from .outputs import DEFAULT_OUTPUT_LIMIT

CONFIG_VARIABLE = "HYDRA_RESOLVER_CONFIG"


class SettingsError(Exception):
    """A setting that can't be understood; the message says which, where, and what it should be."""


class Value(NamedTuple):
    """What a setting is, and who said so."""

    value: Any
    origin: str

    @property
    def is_default(self) -> bool:
        """Whether nobody said anything."""
        return self.origin == "default"


@dataclass(frozen=True, slots=True)
class Kind:
    """What values a setting may have. Both functions raise ValueError for others."""

    words: str
    check: Callable[[Any], Any]
    """Of a value in the file."""
    parse: Callable[[str], Any]
    """Of a variable's text."""


def _of(kind: type) -> Callable[[Any], Any]:
    def checked(value: Any) -> Any:
        if type(value) is not kind:  # true is no number
            raise ValueError
        return value

    return checked


def _words(value: Any, known: tuple[str, ...] = ()) -> list[str]:
    if not isinstance(value, list) or not value or not all(isinstance(word, str) and word for word in value):
        raise ValueError
    if known and not set(value) <= set(known):
        raise ValueError
    return value


def _truth(text: str) -> bool:
    if text.lower() not in ("true", "false", "1", "0", "yes", "no", "on", "off"):
        raise ValueError
    return text.lower() in ("true", "1", "yes", "on")


def _numbers(at_least: int) -> Kind:
    def check(value: Any) -> int:
        if type(value) is not int or value < at_least:
            raise ValueError
        return value

    return Kind(f"a whole number, {at_least} or more", check, lambda text: check(int(text)))


def is_feature_limit(text: str) -> bool:
    """Whether it is FEATURE=NUMBER."""
    feature, equals, number = text.partition("=")
    return bool(feature and equals and number.isdecimal())


def _limits(value: Any) -> list[str]:
    if not all(is_feature_limit(word) for word in _words(value)):
        raise ValueError
    return list(value)


def _one_of(known: tuple[str, ...]) -> Kind:
    def check(value: Any) -> str:
        if value not in known:
            raise ValueError
        return str(value)

    return Kind(" or ".join(known), check, check)


def _lists(words: str, known: tuple[str, ...] = ()) -> Kind:
    return Kind(words, lambda value: _words(value, known), lambda text: _words(text.replace(",", " ").split(), known))


TEXT = Kind("a string", _of(str), str)
PATH = Kind(
    "a path, as a string", lambda value: Path(_of(str)(value)).expanduser(), lambda text: Path(text).expanduser()
)
TRUTH = Kind("true or false", _of(bool), _truth)
VERBS = ("load", "resolve", "build")
ONLY_KINDS = ("local", "prefer-local")


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting. `derive` makes its default from other settings; else it is `default`, or what `words` says."""

    name: str
    kind: Kind
    words: str
    default: Any = None
    variables: tuple[str, ...] = ()
    derive: Callable[[Settings], Any] | None = None

    @property
    def all_variables(self) -> tuple[str, ...]:
        """The variables of the environment that set it; the first that is there counts."""
        return self.variables or (f"HYDRA_RESOLVER_{self.name.upper()}",)


def _below_hydra_data(name: str) -> Callable[[Settings], Any]:
    def derive(settings: Settings) -> Path | None:
        directory = settings.value("hydra_data")
        # An embedded database has nothing to do with a Hydra that happens to be on this machine.
        return None if directory is None or settings.value("database") is None else Path(directory) / name

    return derive


_DATABASE_VARIABLES = ("HYDRA_RESOLVER_DATABASE", "HYDRA_DATABASE_URL", "HYDRA_DBI")
SETTINGS = (
    Setting("database", TEXT, "an embedded one", variables=_DATABASE_VARIABLES),
    Setting("listen_database", TEXT, "where `database` is; 'none': workers poll"),
    Setting("store", TEXT, "an embedded one"),
    Setting("state", PATH, "hydra-resolver in the user's state directory"),
    Setting("hydra_data", PATH, "not known", variables=("HYDRA_DATA",)),
    Setting("hydra_config", PATH, "hydra.conf in `hydra_data`", variables=("HYDRA_CONFIG",),
            derive=_below_hydra_data("hydra.conf")),
    Setting("logs", PATH, "build-logs in `hydra_data`, else in `state`", derive=_below_hydra_data("build-logs")),
    Setting("jobs", _numbers(1), "Nix's max-jobs"),
    Setting("verbs", _lists("a list of load, resolve, build", VERBS), "all three", list(VERBS)),
    Setting("systems", _lists("a list of strings, such as [\"x86_64-linux\"]"), "Nix's system and extra-platforms"),
    Setting("features", _lists("a list of strings, such as [\"kvm\"]"), "Nix's system-features"),
    Setting("feature_limits", Kind("a list of limits, such as [\"big-parallel=1\"]", _limits,
                                   lambda text: _limits(text.replace(",", " ").split())), "none"),
    Setting("only", _one_of(ONLY_KINDS), "all that can be built here, or by Nix's builders"),
    Setting("trust_store", TRUTH, "only of an embedded store"),
    Setting("max_log_size", _numbers(0), "64 MiB; 0: no limit", DEFAULT_LIMIT),
    Setting("max_output_size", _numbers(0), "2 GiB; 0: no limit", DEFAULT_OUTPUT_LIMIT),
)  # fmt: skip
BY_NAME = {setting.name: setting for setting in SETTINGS}


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of one command."""

    given: Mapping[str, Any] = field(default_factory=dict)
    """What was said on the command line; `None` where nothing was."""
    environment: Mapping[str, str] = field(default_factory=dict)
    file: Path | None = None
    in_file: Mapping[str, Any] = field(default_factory=dict)

    def get(self, name: str, given: Any = None) -> Value:
        """A setting with its origin; `given`: what the command line of this command says."""
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
            return Value(derived, "hydra_data")
        return Value(setting.default, "default")

    def value(self, name: str, given: Any = None) -> Any:
        """A setting, without its origin."""
        return self.get(name, given).value


def _understood(setting: Setting, read: Callable[[Any], Any], value: Any, where: str) -> Any:
    try:
        return read(value)
    except ValueError:
        raise SettingsError(f"{where}: {setting.name} has to be {setting.kind.words}.") from None


def default_file() -> Path:
    """Where the file is when nobody names one; it need not be there."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "hydra-resolver" / "config.toml"


def load_settings(given: Mapping[str, Any], config: Path | None = None) -> Settings:
    """Read the environment and the file: `config`, else the one that HYDRA_RESOLVER_CONFIG names, else the user's.

    Raises SettingsError: the file does not exist though it was named, can't be read, or has what is not known.
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
    """The same, when no variable has a value that can't be understood."""
    for name in BY_NAME:
        settings.get(name)
    return settings


def parse_settings_file(text: str, file: Path) -> dict[str, Any]:
    """The settings in the text of a file. Paths in it are relative to its directory. Raises SettingsError."""
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"the settings file {file} is not TOML: {error}.") from None
    found: dict[str, Any] = {}
    for name, value in values.items():
        setting = BY_NAME.get(name)
        if setting is None:
            near = difflib.get_close_matches(name.lower().replace("-", "_"), BY_NAME, 1, 0.0)[0]
            raise SettingsError(f"{file}: there is no setting '{name}'. The nearest that there is: '{near}'.")
        found[name] = _understood(setting, setting.kind.check, value, str(file))
        if setting.kind is PATH:
            found[name] = file.absolute().parent / found[name]
    return found
