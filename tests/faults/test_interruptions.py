"""Commands that are interrupted, run at the same time, or meet a full disk: they end in order and lose nothing."""

from __future__ import annotations

import ctypes
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from ..support.failing import assert_sound, ended, running
from ..support.farm import Farm, open_farm
from ..support.waiting import PATIENCE, wait_until

SLEEPERS = "".join(
    f'{verb}-{number} = floating "{verb}-{number}" "echo $$ > $file; sleep 100"'
    f' {{ file = "@state@/{verb}-{number}"; }};'
    for verb in ("run", "worker")
    for number in (signal.SIGINT, signal.SIGTERM)
)
ENDLESS = """let numbers = builtins.genList (x: x) 10000;
in builtins.foldl' (sum: _: builtins.foldl' builtins.add sum numbers) 0 (numbers ++ numbers ++ numbers)"""


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    with open_farm(tmp_path_factory.mktemp("interruptions")) as farm:
        yield farm


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
@pytest.mark.parametrize("verb", ["run", "worker"])
def test_an_interrupted_command_ends_its_builds_and_releases_its_claims(
    farm: Farm, verb: str, number: signal.Signals
) -> None:
    job = f"{verb}-{int(number)}"
    words = [farm.write("sleepers.nix", f"{{ {SLEEPERS.replace('@state@', str(farm.state))} }}"), "-A", job]
    if verb == "worker":
        farm.command("enqueue", *words)
        words = []
    with running(farm, verb, *words) as command:
        wait_until(lambda: (farm.state / job).exists() and (farm.state / job).read_text().endswith("\n"))
        if number == signal.SIGINT:
            os.killpg(command.process.pid, number)  # as a terminal does
        else:
            command.process.send_signal(number)
        assert command.ends() == (1 if verb == "run" else 0)
        assert_sound(farm)
        assert f"released  {job}" in re.sub("[a-z0-9]{32}-", " ", command.output())
        if verb == "run":
            assert re.search(rf"{job} +queued: ", command.output())
            assert "is being built" not in command.output()
            assert command.output().splitlines()[-1].startswith("interrupted: 1 build left in the queue.")
    builder = int((farm.state / job).read_text())
    wait_until(lambda: not Path(f"/proc/{builder}").exists())
    (step,) = farm.rows("select build, status, stopTime from BuildSteps where drvPath like %s", f"%-{job}.drv")
    assert step["status"] == 3
    assert step["stoptime"] is not None
    farm.command("cancel", str(step["build"]))


def test_a_signal_to_any_thread_ends_the_worker(farm: Farm) -> None:
    with running(farm, "worker") as command:
        wait_until(lambda: bool(farm.rows("select 1 from resolver.worker where gone_at is null")))
        process = command.process.pid
        other = next(int(task.name) for task in Path(f"/proc/{process}/task").iterdir() if task.name != str(process))
        assert ctypes.CDLL(None).tgkill(process, other, int(signal.SIGTERM)) == 0
        assert command.ends(within=10) == 0
    assert_sound(farm)


@pytest.mark.parametrize(("verb", "status"), [("run", 2), ("enqueue", 1)])
def test_a_signal_ends_an_evaluation_at_once(farm: Farm, verb: str, status: int) -> None:
    before = farm.rows("select count(*) from Builds")
    file = farm.state / "endless.nix"
    file.write_text(ENDLESS)
    with running(farm, verb, file) as command:
        command.says("evaluating")
        wait_until(lambda: b"nix-instantiate" in processes_of(command.process.pid))
        command.process.terminate()
        assert command.ends() == status
        wait_until(lambda: processes_of(command.process.pid) == b"")
    assert farm.rows("select count(*) from Builds") == before
    assert not list((farm.store.directory / "var" / "gcroots" / "hydra-resolver").glob(".evaluation-*"))
    assert_sound(farm)


def processes_of(group: int) -> bytes:
    """Return the commands of a process group."""
    return subprocess.run(["pgrep", "-g", str(group), "-l"], capture_output=True, check=False).stdout


def test_two_runs_can_share_a_new_state_directory(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    file = tmp_path / "chain.nix"
    file.write_text(
        """let job = name: input: derivation {
          inherit name input; system = builtins.currentSystem; builder = "/bin/sh"; PATH = "/bin:/usr/bin";
          args = [ "-c" "sleep 0.2; echo $name $input > $out" ];
          __contentAddressed = true; outputHashMode = "recursive"; outputHashAlgo = "sha256";
        };
        in rec {
          a = job "a" ""; b = job "b" ""; c = job "c" a; d = job "d" b; e = job "e" "${c} ${d}"; f = job "f" e;
        }"""
    )
    words = [sys.executable, "-m", "hydra_resolver", "run", file, "--state", state]
    runs = [subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for _ in range(2)]
    said = [run.communicate(timeout=PATIENCE)[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], said
    assert all("6 builds: 6 succeeded" in text for text in said)
    with open_farm(state) as farm:
        assert_sound(farm)
        assert farm.rows("select count(*) from Builds where buildStatus = 0") == [{"count": 12}]
        successes = "from BuildSteps where type = 0 and status = 0"
        built = farm.rows(f"select count(*), count(distinct drvPath) as once {successes}")
        assert built == [{"count": 6, "once": 6}]
        assert farm.built_by_nix() == farm.built_by_rows()


@contextmanager
def small_disk(place: Path, size: str) -> Iterator[None]:
    """Mount a file system of this size. Without the right to mount one, skip the test; under CI, fail."""
    place.mkdir()
    words: list[str | Path] = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", place]
    mounted = subprocess.run(words, capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        reason = f"a small file system can't be mounted: {mounted.stderr.strip()}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


def enlarge(place: Path) -> None:
    """Make room on a small disk."""
    subprocess.run(["mount", "-o", "remount,size=200m", place], check=True)


def test_a_full_disk_aborts_the_step_and_loses_nothing(tmp_path: Path) -> None:
    disk = tmp_path / "nix"
    with small_disk(disk, "32m"), open_farm(tmp_path) as farm:
        file = farm.write(
            "full.nix",
            """rec {
              small = floating "small" "echo > $out" { };
              large = floating "large" "dd if=/dev/zero of=$out bs=1M count=40" { };
              on-large = floating "on-large" "echo $large > $out" { inherit large; };
            }""",
        )
        ended(farm, "run", file, "-A", "small", status=0)
        with running(farm, "run", file, "-A", "on-large", "-A", "large") as run:
            run.says("failed with exit code 1, perhaps for lack of free disk space")
            steps = "select job, s.status, busy from Builds b join BuildSteps s on s.build = b.id order by job, stepnr"
            farm.wait_for("select from BuildSteps having count(*) = 2")
            assert farm.rows(steps) == [
                {"job": "large", "status": 3, "busy": 0},
                {"job": "small", "status": 0, "busy": 0},
            ]
            assert re.search(
                "on-large  .*-large.drv: is tried again at [0-9:]{8} UTC: .*lack of free disk space",
                farm.command("status").stdout,
            )
            assert_sound(farm)

            # A new run does not wait for the back-off, and the waiting run gets the result too.
            enlarge(disk)
            assert "3 builds: 3 succeeded" in ended(farm, "run", file, status=0).stdout
            assert run.ends(within=40) == 0  # less than the back-off, which is a minute
        assert farm.rows(steps)[:2] == [{"job": "large", "status": status, "busy": 0} for status in (3, 0)]
        assert farm.built_by_nix() == farm.built_by_rows()
        assert_sound(farm)


def test_a_log_that_cannot_be_written_aborts_the_step(tmp_path: Path) -> None:
    logs = tmp_path / "build-logs"
    with small_disk(logs, "64k"), open_farm(tmp_path) as farm:
        script = "i=0; while [ $i -lt 1000 ]; do printf '%100d\\n' $i; i=$((i+1)); done; echo > $out"
        file = farm.write("loud.nix", f'floating "loud" "{script}" {{ }}')
        with running(farm, "run", file) as run:
            run.says("retrying")
            run.process.send_signal(signal.SIGINT)
            assert run.ends() == 1
        assert re.search(
            "loud +queued: .* is tried again at .*: the log can't be written: .*No space left", run.output()
        )
        assert_sound(farm)

        # A drain waits for a short back-off, but not for a long one.
        with psycopg.connect(farm.conninfo, autocommit=True) as connection:
            connection.execute("update resolver.derivation_state set not_before = now() + interval '3 minutes'")
        ended(farm, "worker", "--drain", status=0)
        assert farm.rows("select finished from Builds") == [{"finished": 0}]

        enlarge(logs)
        assert "1 succeeded" in ended(farm, "run", file, status=0).stdout
        assert farm.rows("select buildStatus from Builds") == [{"buildstatus": 0}] * 2
