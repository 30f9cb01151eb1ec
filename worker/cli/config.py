"""`config`: the settings in force, and who said so."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import click
import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from ..embedded.state import default_state
from ..settings_file import CONFIG_VARIABLE, SETTINGS, Setting, Settings, default_file
from .errors import clear_errors
from .target import Options, conninfo_of, target_options

HIDDEN = "********"
_CONNECTIONS = ("database", "listen_database")
_PASSWORDS = ("password", "sslpassword")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@target_options
@clear_errors
def config(options: Options, as_json: bool) -> None:
    """Print the settings in force and where each comes from; passwords are hidden.

    The command line counts before the environment, that before the settings file, that before the default.
    """
    settings = options.settings
    if as_json:
        found = {
            setting.name: {"value": _plain(_value(setting, settings)), "origin": settings.get(setting.name).origin}
            for setting in SETTINGS
        }
        click.echo(json.dumps({"file": _plain(settings.file), "settings": found}))
        return
    click.echo(f"# {_about_the_file(settings)}")
    lines = [_line(setting, settings) for setting in SETTINGS]
    width = min(50, max(len(line) for line, _ in lines))
    for line, comment in lines:
        click.echo(f"{line:<{width}}  # {comment}")


def _about_the_file(settings: Settings) -> str:
    if settings.file is not None:
        return f"the settings file is {settings.file}"
    return f"there is no settings file; it would be {default_file()}, or what --config or {CONFIG_VARIABLE} names"


def _line(setting: Setting, settings: Settings) -> tuple[str, str]:
    """A line of TOML, and the comment after it."""
    value, origin = _value(setting, settings), settings.get(setting.name).origin
    if value is None:
        return f"# {setting.name} =", f"{origin}: {setting.words}"
    return f"{setting.name} = {json.dumps(_plain(value), ensure_ascii=False)}", origin


def _value(setting: Setting, settings: Settings) -> Any:
    """A setting as it may be shown; null when only a worker can tell."""
    value = settings.value(setting.name)
    if setting.name in _CONNECTIONS and value is not None:
        return without_passwords(conninfo_of(value))
    if setting.name == "state" and value is None:
        return default_state()
    if setting.name == "logs" and value is None:
        return Path(settings.value("state") or default_state()) / "build-logs"
    return value


def without_passwords(conninfo: str) -> str:
    """A connection string as it may be shown to anybody."""
    try:
        parameters = conninfo_to_dict(conninfo)
    except psycopg.ProgrammingError:
        return conninfo if "://" not in conninfo and "=" not in conninfo else HIDDEN
    hidden = {name: HIDDEN for name in _PASSWORDS if name in parameters}
    return make_conninfo("", **parameters | hidden) if hidden else conninfo


def _plain(value: Any) -> Any:
    """Paths as strings, the rest as it is."""
    return os.fspath(value) if isinstance(value, Path) else value
