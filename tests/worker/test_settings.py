"""Settings come from the command line, the environment and one file; unknown ones are refused, passwords are hidden."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hydra_resolver import settings_file
from hydra_resolver.build_log import DEFAULT_LIMIT
from hydra_resolver.cli.config import without_passwords
from hydra_resolver.cli.target import conninfo_of
from hydra_resolver.database.procedures import VERBS
from hydra_resolver.hydra_conf import UploadError, refuse_uploads, top_level
from hydra_resolver.outputs import DEFAULT_OUTPUT_LIMIT
from hydra_resolver.settings_file import BY_NAME, SETTINGS, SettingsError, load_settings, parse_settings_file

from ..support.farm import open_farm

FILE = Path("/etc/hydra-resolver.toml")
WHOLE = """
database = "postgresql://hydra@/hydra"
listen_database = "none"
store = "daemon"
state = "/var/lib/hydra-resolver"
hydra_data = "/var/lib/hydra"
hydra_config = "/etc/hydra.conf"
logs = "logs"
jobs = 4
verbs = ["load", "resolve"]
systems = ["x86_64-linux"]
features = ["kvm", "big-parallel"]
feature_limits = ["big-parallel=1"]
only = "local"
trust_store = true
max_log_size = 0
max_output_size = 1000000
status_address = "[::1]:8080"
"""


@pytest.fixture(autouse=True)
def nobody_says_anything(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith("HYDRA_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def command(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "hydra_resolver", *words], capture_output=True, text=True, check=False, timeout=120
    )


def shown(*words: str | Path) -> dict[str, tuple[Any, str]]:
    """Run `config --json`; return value and origin by name."""
    done = command("config", "--json", *words)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["settings"]
    return {name: (entry["value"], entry["origin"]) for name, entry in found.items()}


# Origins of settings


def test_the_command_line_has_priority_over_the_environment_and_that_over_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert shown()["store"] == (None, "default")
    (tmp_path / "config" / "hydra-resolver").mkdir(parents=True)
    file = tmp_path / "config" / "hydra-resolver" / "config.toml"
    file.write_text('store = "in-the-file"')
    assert shown()["store"] == ("in-the-file", f"file, {file}")
    monkeypatch.setenv("HYDRA_RESOLVER_STORE", "in-the-environment")
    assert shown()["store"] == ("in-the-environment", "environment, HYDRA_RESOLVER_STORE")
    assert shown("--store", "on-the-command-line")["store"] == ("on-the-command-line", "command line")


def test_an_option_or_a_variable_can_name_another_settings_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("option", "variable"):
        (tmp_path / name).write_text(f'store = "{name}"')
    monkeypatch.setenv("HYDRA_RESOLVER_CONFIG", str(tmp_path / "variable"))
    assert shown()["store"] == ("variable", f"file, {tmp_path / 'variable'}")
    assert shown("--config", tmp_path / "option")["store"] == ("option", f"file, {tmp_path / 'option'}")


def test_a_named_settings_file_must_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = command("config", "--config", tmp_path / "nowhere")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"Error: there is no settings file {tmp_path}/nowhere. Name another one with --config.\n"
    monkeypatch.setenv("HYDRA_RESOLVER_CONFIG", str(tmp_path))
    with pytest.raises(SettingsError, match="can't be read"):
        load_settings({})


def test_every_setting_can_be_in_the_file_and_in_the_environment() -> None:
    found = parse_settings_file(WHOLE, FILE)
    assert list(found) == [setting.name for setting in SETTINGS]
    assert found["logs"] == Path("/etc/logs"), "a path in the file is relative to the file's directory"
    for setting in SETTINGS:
        value = found[setting.name]
        text = ",".join(value) if isinstance(value, list) else str(value)
        assert setting.kind.parse(text) == value
        assert all(variable.startswith("HYDRA_") for variable in setting.all_variables)


def test_every_setting_is_documented_with_its_variables() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "hydra.md").read_text()
    for setting in SETTINGS:
        rows = [line for line in text.splitlines() if line.startswith(f"| `{setting.name}` |")]
        assert len(rows) == 1, setting.name
        for variable in setting.all_variables:
            assert f"`{variable}`" in rows[0]


def test_the_default_verbs_are_those_of_the_procedures() -> None:
    assert BY_NAME["verbs"].default == list(VERBS)
    assert BY_NAME["max_log_size"].default == DEFAULT_LIMIT


# Invalid settings


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("job = 4", "there is no setting 'job'. The most similar setting is 'jobs'."),
        (
            "listen-database = ''",
            "there is no setting 'listen-database'. The most similar setting is 'listen_database'.",
        ),
        ("databse = ''", "The most similar setting is 'database'."),
        ("[worker]\njobs = 4", "there is no setting 'worker'."),
        ("jobs = 0", "jobs has to be a whole number from 1 to 1000."),
        ("jobs = true", "jobs has to be a whole number from 1 to 1000."),
        ('jobs = "4"', "jobs has to be a whole number from 1 to 1000."),
        ("max_log_size = -1", "max_log_size has to be a whole number, 0 or more."),
        ('verbs = ["load", "bild"]', "verbs has to be a list of load, resolve, build."),
        ("verbs = []", "verbs has to be a list of load, resolve, build."),
        ('systems = "x86_64-linux"', "systems has to be a list of strings"),
        ("trust_store = 1", "trust_store has to be true or false."),
        ("status_address = 'here'", "status_address has to be a port, or an address with a port"),
        ("store = 1", "store has to be a string."),
        ("store = ", "is not TOML: "),
        ("store = 'a'\nstore = 'b'", "is not TOML: "),
    ],
)
def test_an_invalid_setting_in_the_file_is_reported(text: str, words: str) -> None:
    with pytest.raises(SettingsError) as raised:
        parse_settings_file(text, FILE)
    assert words in str(raised.value)
    assert str(FILE) in str(raised.value)


@pytest.mark.parametrize("variable", ["HYDRA_RESOLVER_JOBS", "HYDRA_RESOLVER_TRUST_STORE", "HYDRA_RESOLVER_VERBS"])
def test_an_invalid_variable_is_reported(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "perhaps")
    with pytest.raises(SettingsError, match=f"^{variable}: "):
        load_settings({})


# Hydra's own variables


@pytest.mark.parametrize(
    ("dbi", "conninfo"),
    [
        ("dbi:Pg:dbname=hydra;user=hydra;", "dbname=hydra user=hydra"),
        ("dbi:Pg:database=hydra;host=db.example;port=5433", "dbname=hydra host=db.example port=5433"),
        ("DBI:Pg:db=hydra", "dbname=hydra"),
        ("postgresql://hydra@/hydra", "postgresql://hydra@/hydra"),
        ("dbname=hydra", "dbname=hydra"),
    ],
)
def test_a_database_in_hydras_notation_is_understood(dbi: str, conninfo: str) -> None:
    assert conninfo_of(dbi) == conninfo


def test_hydras_variables_are_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYDRA_DBI", "dbi:Pg:dbname=hydra;user=hydra")
    assert shown()["database"] == ("dbname=hydra user=hydra", "environment, HYDRA_DBI")
    monkeypatch.setenv("HYDRA_DATABASE_URL", "postgres:///hydra")
    assert shown()["database"] == ("postgres:///hydra", "environment, HYDRA_DATABASE_URL")
    monkeypatch.setenv("HYDRA_RESOLVER_DATABASE", "postgres:///other")
    assert shown()["database"] == ("postgres:///other", "environment, HYDRA_RESOLVER_DATABASE")


def test_the_log_directory_is_where_hydra_looks_for_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYDRA_DATA", "/var/lib/hydra")
    assert shown("--state", "/s")["logs"] == ("/s/build-logs", "default"), "an embedded database is not Hydra's"
    found = shown("--state", "/s", "--database", "postgresql:///hydra")
    assert found["logs"] == ("/var/lib/hydra/build-logs", "hydra_data")
    assert found["hydra_config"] == ("/var/lib/hydra/hydra.conf", "hydra_data")
    monkeypatch.setenv("HYDRA_RESOLVER_LOGS", "/logs")
    assert shown("--database", "postgresql:///hydra")["logs"] == ("/logs", "environment, HYDRA_RESOLVER_LOGS")


def named(**given: str) -> settings_file.Settings:
    """Load settings for a command that names a database and a store, with other given settings."""
    return load_settings({"database": "postgresql:///hydra", "store": "daemon"} | given)


def test_hydras_data_directory_is_found_at_its_usual_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert str(settings_file.HYDRAS_DIRECTORY) == "/var/lib/hydra"
    monkeypatch.setattr(settings_file, "HYDRAS_DIRECTORY", tmp_path / "hydra")
    assert named().get("hydra_data") == (None, "default"), "there is no data directory yet"
    assert named().get("logs") == (None, "default")
    (tmp_path / "hydra").mkdir()
    assert named().get("hydra_data") == (tmp_path / "hydra", "found")
    assert named().value("logs") == tmp_path / "hydra" / "build-logs"
    for embedded in ("database", "store"):
        settings = load_settings({"database": "postgresql:///hydra", "store": "daemon"} | {embedded: None})
        assert settings.value("hydra_data") is None, "embedded ones do not belong to this machine's Hydra"
    monkeypatch.setenv("HYDRA_DATA", "/data")
    assert named().get("hydra_data") == (Path("/data"), "environment, HYDRA_DATA")


def test_a_worker_tells_the_log_directory_if_hydras_pages_may_not_find_it(
    tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["worker", "--drain", "--state", tmp_path, "--database", database]
    done = command(*words)
    assert done.returncode == 0, done.stderr
    assert f" Build logs are written to {tmp_path}/build-logs, " in done.stderr
    assert "HYDRA_DATA" in done.stderr
    assert "Build logs" not in command(*words, "--logs", tmp_path / "elsewhere").stderr
    monkeypatch.setenv("HYDRA_DATA", str(tmp_path))
    assert "Build logs" not in command(*words).stderr


# Passwords


@pytest.mark.parametrize(
    "conninfo",
    [
        "postgresql://hydra:secret@db.example/hydra",
        "postgresql://hydra@db.example/hydra?password=secret",
        "postgresql://hydra@db.example/hydra?pass%77ord=secret",
        "postgresql://hydra@db.example/hydra?sslpassword=secret",
        "host=db.example password=secret",
        r"host=db.example password = 'se\'cret secret'",
        "host=db.example password=secret =broken=",
    ],
)
def test_config_hides_passwords(conninfo: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "secret" not in without_passwords(conninfo)
    assert "cret" not in without_passwords(conninfo)
    monkeypatch.setenv("HYDRA_RESOLVER_LISTEN_DATABASE", conninfo)
    for words in (["config"], ["config", "--json"]):
        done = command(*words, "--database", conninfo)
        assert done.returncode == 0
        assert "cret" not in done.stdout + done.stderr


def test_a_connection_string_without_a_password_is_shown_unchanged() -> None:
    for conninfo in (
        "postgresql://hydra@db.example/hydra?sslmode=require",
        "dbname=hydra host=/run/postgresql",
        "none",
    ):
        assert without_passwords(conninfo) == conninfo


def test_the_output_of_config_is_a_settings_file(tmp_path: Path) -> None:
    (tmp_path / "one.toml").write_text(WHOLE)
    done = command("config", "--config", tmp_path / "one.toml")
    assert done.stdout.splitlines()[0] == f"# the settings file is {tmp_path}/one.toml"
    (tmp_path / "two.toml").write_text(done.stdout)
    first, second = shown("--config", tmp_path / "one.toml"), shown("--config", tmp_path / "two.toml")
    assert {name: value for name, (value, _) in first.items()} == {name: value for name, (value, _) in second.items()}


# Settings of a worker


def test_a_worker_takes_its_settings_from_the_file(tmp_path: Path) -> None:
    with open_farm(tmp_path) as farm:
        build = farm.command("enqueue", farm.write("one.nix", 'floating "one" "echo one; echo 1 > $out" { }')).stdout
        file = tmp_path / "settings.toml"
        file.write_text(
            'verbs = ["load"]\njobs = 3\nsystems = ["riscv64-linux"]\nlisten_database = "none"\nlogs = "logs"\n'
        )
        farm.command("worker", "--drain", "--config", file)
        assert farm.rows("select verbs, systems from resolver.worker order by worker desc limit 1") == [
            {"verbs": ["load"], "systems": ["riscv64-linux"]}
        ]
        assert farm.rows("select stage from resolver.derivation_state") == [{"stage": "buildable"}]
        system = farm.nix("nix-instantiate", "--eval", "-E", "builtins.currentSystem").strip('"')
        options = ["--verb", "load", "--verb", "resolve", "--verb", "build", "--system", system]
        farm.command("worker", "--drain", "--config", file, *options)
        assert farm.rows("select buildStatus from Builds where id = %s", int(build)) == [{"buildstatus": 0}]
        (log,) = (tmp_path / "logs").glob("??/*")
        assert log.read_text() == "one\n"
        assert not (tmp_path / "build-logs").exists()


# hydra.conf

CONF = """
# a comment: store_uri = s3://commented
using_frontend_proxy = 1
max_output_size = 1000   # of hydra
<dynamicruncommand>
  store_uri = s3://inside
</dynamicruncommand>
<Plugin_Session::Store>
  <inner>
    binary_cache_dir = /inside
  </inner>
</Plugin_Session::Store>
notes = a \\
  store_uri = s3://continued
"""


@pytest.mark.parametrize(
    ("line", "refused"),
    [
        ("", False),
        ("store_uri = s3://bucket?secret-key=/run/secret", True),
        ("store_uri s3://bucket", True),
        ("  STORE_URI=file:///cache", True),
        ("store_uri = daemon", False),
        ("store_uri = auto", False),
        ('store_uri = "local"', False),
        ("binary_cache_dir = /cache", True),
        ("binary_cache_s3_bucket = bucket", True),
        ("binary_cache_dir =", False),
        ("binary_cache_public_uri = https://cache.example", False),
        ("binary_cache_secret_key_file = /run/secret", False),
        ("upload_logs_to_binary_cache = true", True),
        ("upload_logs_to_binary_cache = 0", False),
        ("server_store_uri = https://cache.example", False),
    ],
)
def test_a_hydra_conf_that_demands_uploads_is_refused(tmp_path: Path, line: str, refused: bool) -> None:
    file = tmp_path / "hydra.conf"
    file.write_text(f"{CONF}{line}\n")
    if not refused:
        refuse_uploads(file)
        return
    with pytest.raises(UploadError, match=r"hydra-resolver can't upload yet") as raised:
        refuse_uploads(file)
    assert str(file) in str(raised.value)
    assert "secret" not in str(raised.value)


def test_limits_of_hydra_conf_apply_unless_other_settings_override_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "hydra.conf"
    monkeypatch.setenv("HYDRA_DATA", str(tmp_path))
    assert named().get("max_output_size") == (DEFAULT_OUTPUT_LIMIT, "default"), "there is no hydra.conf yet"
    file.write_text(f"{CONF}max_output_size = 5000000000\nmax_log_size = 7\n")
    assert named().get("max_output_size") == (5_000_000_000, f"file, {file}"), "the last of several lines counts"
    assert named().get("max_log_size") == (7, f"file, {file}")
    assert load_settings({}).value("max_log_size") == DEFAULT_LIMIT, "an embedded database is not Hydra's"
    file.write_text("max_output_size = 0\n")
    assert named().value("max_output_size") == 0
    assert named().get("max_log_size") == (DEFAULT_LIMIT, "default")
    monkeypatch.setenv("HYDRA_RESOLVER_MAX_OUTPUT_SIZE", "1")
    assert named().value("max_output_size") == 1
    monkeypatch.delenv("HYDRA_RESOLVER_MAX_OUTPUT_SIZE")
    file.write_text("max_output_size = plenty\n")
    with pytest.raises(SettingsError, match=f"^{file}: max_output_size has to be a whole number, 0 or more"):
        named()
    monkeypatch.setenv("HYDRA_CONFIG", str(tmp_path))
    assert named().get("max_output_size") == (DEFAULT_OUTPUT_LIMIT, "default"), "an unreadable hydra.conf has no effect"


def test_files_included_by_hydra_conf_are_read(tmp_path: Path) -> None:
    (tmp_path / "hydra.conf").write_text("<<include private.conf>>\ninclude missing.conf\nInclude hydra.conf\na = 1\n")
    (tmp_path / "private.conf").write_text("store_uri = s3://bucket\n")
    assert ("a", "1") in list(top_level(tmp_path / "hydra.conf"))
    with pytest.raises(UploadError):
        refuse_uploads(tmp_path / "hydra.conf")
    refuse_uploads(tmp_path / "missing.conf")
    refuse_uploads(None)


def test_a_worker_of_a_hydra_that_uploads_does_not_start(
    tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hydra.conf").write_text("store_uri = s3://bucket\n")
    monkeypatch.setenv("HYDRA_DATA", str(tmp_path))
    done = command("worker", "--drain", "--state", tmp_path / "state", "--database", database)
    assert done.returncode == 2
    assert f"Error: {tmp_path}/hydra.conf sets store_uri: " in done.stderr
    monkeypatch.setenv("HYDRA_CONFIG", str(tmp_path / "elsewhere.conf"))
    done = command("worker", "--drain", "--state", tmp_path / "state", "--database", database)
    assert done.returncode == 0, done.stderr
