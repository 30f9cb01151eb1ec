"""The work that a worker takes: builders of nix.conf, limits by feature, local work only; and machines of steps."""

from __future__ import annotations

import hashlib
import json
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hydra_resolver.nix.builders import RemoteBuilder, parse_builders
from hydra_resolver.nix.settings import parse_settings

from ..support.farm import Farm, open_farm

# Builders in nix.conf


def test_a_line_of_builders_describes_a_machine() -> None:
    line = "ssh-ng://nix@big i686-linux,x86_64-linux /root/key 8 2 kvm,benchmark big-parallel c3NoLWVk"
    assert parse_builders(line, "x86_64-linux") == (
        RemoteBuilder("ssh-ng://nix@big", ("i686-linux", "x86_64-linux"), 8, ("kvm", "benchmark"), ("big-parallel",)),
    )


@pytest.mark.parametrize("line", ["ssh://far", "ssh://far -", "ssh://far - - - - - - -"])
def test_missing_columns_of_a_builders_line_have_defaults(line: str) -> None:
    assert parse_builders(line, "x86_64-linux") == (RemoteBuilder("ssh://far", ("x86_64-linux",)),)


def test_builders_are_separated_by_newlines_or_semicolons_and_may_be_in_files(tmp_path: Path) -> None:
    machines = tmp_path / "machines"
    machines.write_text("# all of them\n\nssh://one # the first\nssh://two m68k-linux\n")
    text = f"@{machines} ; ssh://three\n@{tmp_path}/absent"
    assert [builder.uri for builder in parse_builders(text, "x86_64-linux")] == [
        "ssh://one",
        "ssh://two",
        "ssh://three",
    ]
    assert parse_builders("", "x86_64-linux") == ()


def test_a_builders_line_that_nix_would_reject_is_skipped() -> None:
    assert parse_builders("ssh://one - - many\nssh://two", "any")[0].uri == "ssh://two"


def test_the_build_hook_is_off_without_builders_or_for_local_builds() -> None:
    with_some = parse_settings(json.dumps({"builders": {"value": "ssh://far"}, "system": {"value": "any"}}))
    assert [builder.uri for builder in with_some.builders] == ["ssh://far"]
    assert b"build-hook" not in with_some.request()
    assert b"build-hook" in with_some.with_limits(remote=False).request()
    assert b"build-hook" in parse_settings("{}").request()


# Workers on a real Nix


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[Farm]:
    with open_farm(tmp_path / "state") as open_one:
        yield open_one


@pytest.fixture
def farm_on_disk() -> Iterator[Farm]:
    """Open a farm in a directory that builders in Nix's sandbox can see: not /dev/shm, which the sandbox replaces."""
    with tempfile.TemporaryDirectory(dir="/tmp") as directory, open_farm(Path(directory)) as open_one:
        yield open_one


def enqueued(farm: Farm, name: str, expression: str) -> None:
    farm.command("enqueue", farm.write(name, expression))


def finished(farm: Farm) -> list[str]:
    return [
        row["job"] for row in farm.rows("select job from Builds where finished = 1 and buildStatus = 0 order by job")
    ]


def test_a_worker_builds_no_more_of_a_feature_at_a_time_than_its_limit(farm: Farm, tmp_path: Path) -> None:
    script = f"echo + >> {tmp_path}/log; sleep 0.3; echo - >> {tmp_path}/log; echo > $out"
    enqueued(
        farm,
        "big.nix",
        f"""builtins.listToAttrs (map (n: {{
              name = "big" + toString n;
              value = floating "big${{toString n}}" "{script}" {{ requiredSystemFeatures = [ "big-parallel" ]; }};
            }}) [ 1 2 3 4 ])""",
    )
    farm.command("worker", "--drain", "--jobs", "4", "--feature", "big-parallel", "--feature-limit", "big-parallel=1")
    assert finished(farm) == ["big1", "big2", "big3", "big4"]
    assert (tmp_path / "log").read_text().split() == ["+", "-"] * 4


def test_a_feature_limit_must_be_a_number(farm: Farm) -> None:
    done = farm.command("worker", "--drain", "--feature-limit", "big-parallel", check=False)
    assert done.returncode == 2
    assert "'big-parallel' is not a feature with a number, such as big-parallel=1" in done.stderr


def test_a_worker_can_be_limited_to_derivations_that_prefer_local_builds(farm: Farm) -> None:
    enqueued(
        farm,
        "some.nix",
        """{ tiny = floating "tiny" "echo > $out" { preferLocalBuild = true; };
             large = floating "large" "echo > $out" { }; }""",
    )
    farm.command("worker", "--drain", "--only", "prefer-local")
    assert finished(farm) == ["tiny"]
    farm.command("worker", "--drain", "--only", "local")
    assert finished(farm) == ["large", "tiny"]


def test_outputs_beyond_the_size_limit_fail(farm: Farm) -> None:
    enqueued(
        farm,
        "sizes.nix",
        """let large = floating "large" "head -c 100000 /dev/zero > $out" { }; in {
             inherit large; small = floating "small" "echo > $out" { };
             on-large = floating "on-large" "cat ${large} > $out" { }; }""",
    )
    farm.command("worker", "--drain", "--max-output-size", "50000")
    ended = {row["job"]: row["buildstatus"] for row in farm.rows("select job, buildStatus from Builds")}
    assert ended == {"large": 11, "small": 0, "on-large": 2}
    steps = farm.rows("select status, errorMsg from BuildSteps where status <> 0")
    assert [step["status"] for step in steps] == [11, 11]
    assert "bytes, and may have 50000" in steps[0]["errormsg"]


LARGE = """
let
  static = name: script: attrs: derivation ({
    inherit name; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" script ]; PATH = "/bin:/usr/bin";
  } // attrs);
  large = static "large" "head -c 100000 /dev/zero > $out; echo $two > $two" { outputs = [ "out" "two" ]; };
  small = floating "small" "echo > $out" { };
in {
  inherit large;
  fixed = static "fixed" "head -c 100000 /dev/zero > $out" {
    outputHashMode = "flat"; outputHashAlgo = "sha256"; outputHash = "%s";
  };
  floating = floating "floating" "head -c 100000 /dev/zero > $out" { };
  on-large = static "on-large" "cat ${large} > /dev/null; echo > $out" { };
  resolved = floating "resolved" "cat ${small}; head -c 100000 /dev/zero > $out; echo >> $out" { };
}
"""


def test_outputs_beyond_the_size_limit_are_not_used_later(farm: Farm) -> None:
    file = farm.write("large.nix", LARGE % hashlib.sha256(bytes(100000)).hexdigest())

    def ended(limit: str) -> dict[str, int]:
        farm.command("worker", "--drain", "--max-output-size", limit)
        rows = farm.rows("select job, buildStatus from Builds where finished = 1 order by id desc limit 5")
        return {row["job"]: row["buildstatus"] for row in rows}

    jobs = {"large", "fixed", "floating", "on-large", "resolved"}
    too_large = dict.fromkeys(jobs, 11) | {"on-large": 2}
    farm.command("enqueue", file)
    assert ended("50000") == too_large
    for row in farm.rows("select id from Builds where job <> 'on-large'"):
        farm.command("restart", str(row["id"]))
    assert ended("50000") == too_large
    steps = farm.rows("select status, errorMsg from BuildSteps where status = 11")
    assert len(steps) == 11  # two failures of each, also in on-large; one more of the derivation resolved again
    assert all("bytes, and may have 50000" in step["errormsg"] for step in steps)
    for row in farm.rows("select id from Builds where job <> 'on-large'"):
        farm.command("restart", str(row["id"]))
    assert ended("0") == dict.fromkeys(jobs, 0)
    assert farm.violations() == []


def test_an_input_beyond_the_size_limit_is_not_used_even_if_another_program_built_it(farm: Farm) -> None:
    file = farm.write("large.nix", LARGE % ("0" * 64))
    farm.nix("nix-store", "--realise", farm.nix("nix-instantiate", file, "-A", "large"))
    farm.command("enqueue", file, "-A", "on-large")
    farm.command("worker", "--drain", "--max-output-size", "50000")
    assert farm.rows("select buildStatus from Builds") == [{"buildstatus": 2}]
    assert [step[:2] for step in farm.steps(1)] == [(0, 11)]


def test_a_worker_registers_the_system_of_its_own_machine_first(farm: Farm, monkeypatch: pytest.MonkeyPatch) -> None:
    own = farm.nix("nix", "eval", "--raw", "--impure", "--expr", "builtins.currentSystem")
    farm.store.prepare()
    monkeypatch.setenv("NIX_CONFIG", "extra-platforms = riscv64-linux aarch64-linux")
    for name, value in farm.store.environment().items():
        if name != "NIX_CONFIG":
            monkeypatch.setenv(name, value)
    words = ["worker", "--drain", "--store", "local"]
    farm.command(*words)
    farm.command(*words, "--system", "aarch64-linux", "--system", own, "--system", "aarch64-linux")
    farm.command(*words, "--system", "riscv64-linux", "--system", "aarch64-linux")
    rows = farm.rows("select systems from resolver.worker order by worker")
    assert [row["systems"] for row in rows] == [
        [own, "aarch64-linux", "riscv64-linux"],
        [own, "aarch64-linux"],
        ["riscv64-linux", "aarch64-linux"],
    ]


@contextmanager
def remote_farm(farm: Farm, monkeypatch: pytest.MonkeyPatch, columns: str) -> Iterator[str]:
    """Let Nix build nothing itself (max-jobs = 0); its builder is another store on this machine."""
    farm.store.prepare()
    builder = f"local?root={farm.state}/far"
    settings = {
        "max-jobs": "0",
        "builders": f"{builder} {columns}",
        "sandbox": "true",
        "sandbox-paths": "/bin /usr /lib /lib64",
        "build-dir": "/tmp",
    }
    for name, value in farm.store.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("NIX_CONFIG", "".join(f"{name} = {value}\n" for name, value in settings.items()))
    yield builder


def test_the_machine_of_a_step_is_the_builder_that_nix_names(
    farm_on_disk: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    farm = farm_on_disk
    with remote_farm(farm, monkeypatch, "- - 3 1 ca-derivations"):
        job = farm.write("far.nix", """floating "far" "sleep 3; echo > $out" { }""")
        farm.command("enqueue", "--store", "local", job)
        seen: list[tuple[int, str]] = []
        worker = threading.Thread(target=lambda: farm.command("worker", "--drain", "--store", "local"))
        worker.start()
        while worker.is_alive():
            for row in farm.rows("select busy, machine from BuildSteps"):
                if (now := (row["busy"], row["machine"])) not in seen:
                    seen.append(now)
            time.sleep(0.02)
        assert finished(farm) == ["far"], farm.rows("select * from BuildSteps")
        ((_, machine),) = [now for now in seen if now[0] == 30]
        assert machine.endswith(f"?root={farm.state}/far")
        assert seen[-1] == (0, machine)
        assert seen in ([(35, ""), (30, machine), (0, machine)], [(30, machine), (0, machine)])
        assert farm.rows("select jobs, systems from resolver.worker") == [{"jobs": 3, "systems": []}]


def test_a_step_without_a_usable_builder_has_no_machine(farm_on_disk: Farm, monkeypatch: pytest.MonkeyPatch) -> None:
    farm = farm_on_disk
    with remote_farm(farm, monkeypatch, "- - 3 1 ca-derivations"):
        farm.rows("update resolver.setting set max_tries = 1 returning 1")
        (farm.state / "far").write_text("this is no store")
        job = farm.write("far.nix", """floating "far" "echo > $out" { }""")
        farm.command("enqueue", "--store", "local", job)
        farm.command("worker", "--drain", "--store", "local")
        steps = farm.rows("select busy, status, machine from BuildSteps")
        assert steps == [{"busy": 0, "status": 3, "machine": ""}]


def test_a_worker_does_not_claim_for_a_builder_that_nix_would_not_use(
    farm_on_disk: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    farm = farm_on_disk
    with remote_farm(farm, monkeypatch, "- - 3"):
        job = farm.write("far.nix", """floating "far" "echo > $out" { }""")
        farm.command("enqueue", "--store", "local", job)
        farm.command("worker", "--drain", "--store", "local")
        assert farm.rows("select stage from resolver.derivation_state") == [{"stage": "buildable"}]
