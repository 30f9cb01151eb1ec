"""`config`: the settings in force, with their origins."""

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
    """Print the settings in force and the origin of each; passwords are hidden.

    The command line overrides the environment, the environment the settings file, and the file the defaults.
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
    return f"there is no settings file; its place is {default_file()}, or the path in --config or {CONFIG_VARIABLE}"


def _line(setting: Setting, settings: Settings) -> tuple[str, str]:
    """Return a line of TOML, and the comment after it."""
    value, origin = _value(setting, settings), settings.get(setting.name).origin
    if value is None:
        return f"# {setting.name} =", f"{origin}: {setting.words}"
    return f"{setting.name} = {json.dumps(_plain(value), ensure_ascii=False)}", origin


def _value(setting: Setting, settings: Settings) -> Any:
    """Return a setting without passwords; None if only a worker can find the value."""
    value = settings.value(setting.name)
    if setting.name in _CONNECTIONS and value is not None:
        return without_passwords(conninfo_of(value))
    if setting.name == "state" and value is None:
        return default_state()
    if setting.name == "logs" and value is None:
        return Path(settings.value("state") or default_state()) / "build-logs"
    return value


def without_passwords(conninfo: str) -> str:
    """Return a connection string with its passwords hidden."""
    try:
        parameters = conninfo_to_dict(conninfo)
    except psycopg.ProgrammingError:
        return conninfo if "://" not in conninfo and "=" not in conninfo else HIDDEN
    hidden = {name: HIDDEN for name in _PASSWORDS if name in parameters}
    return make_conninfo("", **parameters | hidden) if hidden else conninfo


def _plain(value: Any) -> Any:
    """Return paths as strings, and other values unchanged."""
    return os.fspath(value) if isinstance(value, Path) else value
