"""Files, derivations and builders that cannot be used: each gets a clear error, and the others are not affected."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..support.failing import could_not_run, ended, only_step
from ..support.farm import Farm, open_farm

JOBS = """{
  fine = floating "fine" "echo fine > $out" { };
  throws = throw "this one is broken on purpose";
  number = 3;
  list = [ ];
  function = { wanted }: wanted;
  elsewhere = floating "elsewhere" "echo > $out" { system = "riscv64-linux"; };
  quantum = floating "quantum" "echo > $out" { requiredSystemFeatures = [ "quantum" ]; };
  impure = floating "impure" "echo > $out" { __contentAddressed = false; __impure = true; };
  on-impure = floating "on-impure" "echo > $out" {
    input = floating "impure" "echo > $out" { __contentAddressed = false; __impure = true; };
  };
  no-derivation = floating "made.drv" "echo hello > $out" { outputHashMode = "text"; };
  kill = floating "kill" "kill -9 $$" { };
  segfault = floating "segfault" "kill -SEGV $$" { };
  exits = floating "exits" "exit 3" { };
  no-builder = floating "no-builder" "" { builder = "/no/such/program"; };
  fifo = floating "fifo" "mkfifo $out" { };
  fifo-of-products = floating "fifo-of-products" ''
    mkdir -p $out/nix-support
    mkfifo $out/nix-support/hydra-build-products
  '' { };
  reference = floating "reference" "echo $dep > $out" { outputHashMode = "flat"; dep = builtins.toFile "dep" ""; };
  no-output = floating "no-output" ":" { };
  slow = floating "slow" "while :; do echo working; sleep 0.1; done" { } // { meta.timeout = 1; };
  silent = floating "silent" "sleep 100" { } // { meta.maxSilent = 1; };
  flood = floating "flood" "while :; do echo yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy; done" { };
  flood-without-lines = floating "flood-without-lines" "while :; do printf %1000d 1; done" { };
}"""


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    with open_farm(tmp_path_factory.mktemp("bad-input")) as farm:
        farm.command("status")
        farm.write("jobs.nix", JOBS)
        yield farm


@pytest.fixture
def jobs(farm: Farm) -> Path:
    return farm.state / "jobs.nix"


BAD_FILES = {
    "syntax": ("{ a = 1;", "unexpected end of file"),
    "empty": ("", "unexpected end of file"),
    "undefined": ("{ a = b; } // c", "undefined variable 'b'"),
    "throws": ('throw "not today"', "not today"),
    "endless": ("let f = x: f x; in f 1", "max-call-depth exceeded"),
    "no-set": ("3", "neither a derivation nor a set of derivations"),
    "binary": ("\x00\x01", "syntax error"),
    "argument": ("{ wanted }: { }", "give it with --arg or --argstr"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_file_that_does_not_evaluate_adds_no_builds(farm: Farm, name: str) -> None:
    text, reason = BAD_FILES[name]
    file = farm.state / f"{name}.nix"
    file.write_text(text)
    said = could_not_run(farm, "run", file)
    assert reason in said
    assert f"Correct {file}, or give what it asks for" in said


@pytest.mark.parametrize("verb", ["run", "enqueue"])
def test_a_missing_file_is_reported(farm: Farm, verb: str) -> None:
    said = could_not_run(farm, verb, farm.state / "none.nix")
    assert said.splitlines() == [
        f"Error: there is no file {farm.state / 'none.nix'}",
        "Give the path of a Nix file or of a .drv file.",
    ]


def test_a_directory_without_default_nix_is_reported(farm: Farm, tmp_path: Path) -> None:
    assert f"path '{tmp_path}/default.nix' does not exist" in could_not_run(farm, "run", tmp_path)


def test_a_run_of_a_file_without_derivations_says_that_there_is_nothing_to_build(farm: Farm) -> None:
    done = ended(farm, "run", farm.write("nothing.nix", "{ }"), status=0)
    assert "nothing to build" in done.stderr


@pytest.mark.parametrize(
    ("attribute", "reason"),
    [
        ("throws", "throws: this one is broken on purpose"),
        ("number", "'number' is an integer, neither a derivation nor a set of derivations"),
        ("list", "name its elements in a set"),
        ("function", "give it with --arg or --argstr"),
        ("none", "there is no attribute 'none'"),
        ("a..b", "is not an attribute path"),
    ],
)
def test_an_attribute_that_is_not_a_derivation_is_reported(farm: Farm, jobs: Path, attribute: str, reason: str) -> None:
    assert reason in could_not_run(farm, "run", jobs, "-A", attribute)


def test_an_attribute_that_is_not_a_derivation_does_not_stop_the_others(farm: Farm, jobs: Path) -> None:
    done = ended(farm, "run", jobs, "-A", "fine", "-A", "throws", "-A", "number", status=1)
    assert "1 build: 1 succeeded" in done.stdout
    (jobset,) = farm.rows("select errorMsg from Jobsets where name = 'jobs'")
    assert "throws: this one is broken on purpose" in jobset["errormsg"]
    assert "number: 'number' is an integer" in jobset["errormsg"]


def pair(farm: Farm, name: str) -> tuple[Path, Path]:
    """Write two derivations of which the second needs the first; return their .drv files."""
    file = farm.write(
        f"{name}.nix",
        f'let low = floating "{name}-low" "echo > $out" {{ }};'
        f' in [ low (floating "{name}-high" "cat $low > $out" {{ inherit low; }}) ]',
    )
    low, high = map(Path, farm.nix("nix-instantiate", file).split())
    low.chmod(0o644)
    return low, high


def test_a_truncated_or_malformed_drv_fails_its_builds(farm: Farm) -> None:
    contents = [b'Derive([("out","","r:sha', b"", b"hello\n", b"\xff\x00"]
    pairs = [pair(farm, f"malformed-{number}") for number in range(len(contents))]
    for (low, _), content in zip(pairs, contents, strict=True):
        low.write_bytes(content)
    said = could_not_run(farm, "run", pairs[0][0])
    assert "is malformed" in said
    assert "Name another .drv" in said

    for _, high in pairs:
        farm.command("enqueue", high)
    done = ended(farm, "worker", "--drain", status=0)
    for low, high in pairs:
        assert f"loaded   {high.name}" in done.stderr
        assert f"failed   {low.name}: the derivation can't be used: " in done.stderr
        (step,) = farm.rows("select status, errorMsg from BuildSteps where drvPath = %s", str(low))
        assert step["status"] == 1
        assert "is malformed" in step["errormsg"]
        assert farm.rows("select finished, buildStatus from Builds where drvPath = %s", str(high)) == [
            {"finished": 1, "buildstatus": 2}
        ]


def test_a_drv_whose_file_is_lost_fails_and_other_builds_go_on(farm: Farm) -> None:
    low, high = pair(farm, "lost")
    other = pair(farm, "other")[0]
    farm.command("enqueue", high)
    farm.command("enqueue", other)
    low.unlink()
    done = ended(farm, "worker", "--drain", status=0)
    assert f"failed   {low.name}: the .drv can't be read: the file '{low}' is lost" in done.stderr
    assert f"built    {other.name}" in done.stderr
    assert "is lost" in could_not_run(farm, "run", low)


def test_a_build_is_aborted_if_the_collector_took_its_drv(farm: Farm) -> None:
    drv = pair(farm, "collected")[1]
    build = int(farm.command("enqueue", drv).stdout)
    for root in (farm.store.directory / "var" / "gcroots" / "hydra-resolver").glob(drv.name):
        root.unlink()
    farm.nix("nix-store", "--delete", drv)
    done = ended(farm, "worker", "--drain", status=0)
    assert f"failed   {drv.name}: the .drv can't be read: '{drv}' is not in the store" in done.stderr
    assert farm.rows("select finished, buildStatus from Builds where id = %s", build) == [
        {"finished": 1, "buildstatus": 3}
    ]
    assert f"{drv} is not in the store: name a valid .drv file of " in could_not_run(farm, "run", drv)


def test_a_build_is_aborted_if_the_collector_took_its_drv_before_it_was_resolved(farm: Farm) -> None:
    drv = pair(farm, "late")[1]
    build = int(farm.command("enqueue", drv).stdout)
    ended(farm, "worker", "--drain", "--verb", "load", "--verb", "build", status=0)
    for root in (farm.store.directory / "var" / "gcroots" / "hydra-resolver").glob(drv.name):
        root.unlink()
    farm.nix("nix-store", "--delete", drv)
    done = ended(farm, "worker", "--drain", "--verb", "resolve", status=0)
    assert f"failed   {drv.name}: the .drv can't be read: '{drv}' is not in the store" in done.stderr
    assert farm.rows("select finished, buildStatus from Builds where id = %s", build) == [
        {"finished": 1, "buildstatus": 3}
    ]
    steps = farm.rows("select status from BuildSteps where build = %s and drvPath = %s", build, str(drv))
    assert steps == [{"status": 3}]


def test_a_restarted_build_whose_drv_was_collected_is_aborted_at_once(farm: Farm) -> None:
    drv = pair(farm, "restarted")[0]
    build = int(farm.command("enqueue", drv).stdout)
    ended(farm, "worker", "--drain", "--verb", "load", status=0)
    farm.command("cancel", str(build))
    for root in (farm.store.directory / "var" / "gcroots" / "hydra-resolver").glob(drv.name):
        root.unlink()
    farm.nix("nix-store", "--delete", *map(str, [pair_user(farm, drv), drv]))
    farm.command("restart", str(build))
    ended(farm, "worker", "--drain", status=0)
    assert farm.rows("select finished, buildStatus from Builds where id = %s", build) == [
        {"finished": 1, "buildstatus": 3}
    ]
    (step,) = farm.rows("select errorMsg from BuildSteps where build = %s and status = 3", build)
    assert step["errormsg"].startswith(f"the .drv is not in the store any more: {drv}. ")
    assert "Evaluate the jobset again" in step["errormsg"]


def pair_user(farm: Farm, low: Path) -> str:
    """Return the .drv that refers to the first one of a pair."""
    return farm.nix("nix-store", "--query", "--referrers", low).splitlines()[0]


def test_a_drv_outside_of_the_store_is_refused(farm: Farm, tmp_path: Path) -> None:
    copy = shutil.copy(pair(farm, "copied")[0], tmp_path / "copy.drv")
    for name in (copy, "none.drv", tmp_path / "none.drv"):
        assert "is not in the store: name a valid .drv file of " in could_not_run(farm, "run", name)


@pytest.mark.parametrize(
    ("job", "reason"),
    [
        ("elsewhere", "no worker builds for riscv64-linux"),
        ("quantum", "has the system features quantum"),
    ],
)
def test_a_derivation_that_no_worker_can_build_stays_queued_with_the_reason(
    farm: Farm, jobs: Path, job: str, reason: str
) -> None:
    done = ended(farm, "run", jobs, "-A", job, status=1)
    assert re.search(rf"{job}  queued:  -  .*{reason}", done.stdout)
    assert "1 build left in the queue" in done.stderr
    if job == "elsewhere":
        assert re.search(rf"{job}  {reason}", farm.command("status").stdout)
    (build,) = farm.rows("select id, finished from Builds where job = %s", job)
    assert build["finished"] == 0
    assert ended(farm, "worker", "--drain", status=0).stderr == ""
    farm.command("cancel", str(build["id"]))


def test_impure_derivations_are_refused_with_the_reason(farm: Farm, jobs: Path) -> None:
    words = [word for job in ("impure", "on-impure") for word in ("-A", job)]
    stdout = ended(farm, "run", jobs, *words, status=1).stdout
    assert re.search("impure +failed .*impure derivations are not supported", stdout)
    assert re.search("on-impure +dependency failed .*impure derivations are not supported", stdout)


BUILDERS = {
    "kill": (1, "signal 9"),
    "segfault": (1, "signal 11"),
    "exits": (1, "exit code 3"),
    "no-builder": (1, "exit code 1"),
    "fifo": (1, "has an unsupported type: a FIFO, a socket or a device"),
    "fifo-of-products": (1, "has an unsupported type: a FIFO, a socket or a device"),
    "reference": (1, "is not allowed to refer to other store paths"),
    "no-output": (1, "failed to produce output path"),
    "no-derivation": (1, "error parsing derivation"),
    "slow": (7, "timed out after 1 seconds"),
    "silent": (7, "timed out after 1 seconds"),
}


def test_each_way_in_which_a_builder_fails_has_its_status_and_message(farm: Farm, jobs: Path) -> None:
    words = [word for job in BUILDERS for word in ("-A", job)]
    done = ended(farm, "run", jobs, *words, "--jobs", "8", status=1)
    for job, (status, reason) in BUILDERS.items():
        (build,) = farm.rows("select id, finished, buildStatus from Builds where job = %s", job)
        step = only_step(farm, build["id"])
        assert (job, build["finished"], build["buildstatus"], step["status"]) == (job, 1, status, status)
        assert reason in str(step["errormsg"])
        assert re.search(rf"\b{job} .*{reason}", done.stdout)


def test_a_builder_that_floods_its_log_is_ended(farm: Farm, jobs: Path) -> None:
    builds = farm.command("enqueue", jobs, "-A", "flood", "-A", "flood-without-lines").stdout.split()
    done = ended(farm, "worker", "--drain", "--max-log-size", "100000", status=0)
    assert done.stderr.count("100000 bytes") == 2
    for build in map(int, builds):
        (row,) = farm.rows("select finished, buildStatus, drvPath from Builds where id = %s", build)
        assert (row["finished"], row["buildstatus"], only_step(farm, build)["status"]) == (1, 10, 10)
        drv = row["drvpath"].rpartition("/")[2]
        assert (farm.state / "build-logs" / drv[:2] / drv[2:]).stat().st_size < 101000


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--realisation", "nonsense"], "Write it as DRV^OUTPUT=PATH"),
        (["--realisation", "a=b"], "Write it as DRV^OUTPUT=PATH"),
        (["--realisation", "^="], "Write it as DRV^OUTPUT=PATH"),
        (["--realisation", "{low}^=b"], "Write it as DRV^OUTPUT=PATH"),
        (["--realisation", "{low}^out=/elsewhere/file"], "is not in the store directory"),
        (["--database", "nonsense"], "not a PostgreSQL URL or connection string"),
        (["--store", "nonsense://x"], "don't know how to open Nix store"),
    ],
)
def test_resolve_reports_wrong_options(farm: Farm, words: list[str], reason: str) -> None:
    low, high = pair(farm, "options")
    assert reason in could_not_run(farm, "resolve", high, *(word.format(low=low) for word in words))


def test_resolve_lists_missing_inputs(farm: Farm) -> None:
    names = ["first", "second"]
    inputs = " ".join(f'{name} = floating "missing-{name}" "echo > $out" {{ }};' for name in names)
    file = farm.write("missing.nix", f'floating "missing" "cat $first $second > $out" {{ {inputs} }}')
    drv = farm.nix("nix-instantiate", file)
    done = ended(farm, "resolve", drv, status=1)
    assert done.stderr == f"Error: derivation '{Path(drv).name}' can't be resolved yet: 2 outputs must be built first\n"
    assert sorted(re.sub(r".*/[a-z0-9]{32}-", "", line) for line in done.stdout.splitlines()) == [
        f"missing-{name}.drv^out" for name in names
    ]


@pytest.mark.parametrize(
    "drv", ["nonsense", "/elsewhere/file.drv", "{store}/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx-none.drv"]
)
def test_resolve_refuses_a_path_that_is_not_a_derivation(farm: Farm, drv: str) -> None:
    said = could_not_run(farm, "resolve", drv.format(store=farm.store.store_dir))
    assert re.search("is not in the store|is not the base name of a store path", said)


@pytest.mark.parametrize("words", [["run"], ["enqueue"], ["worker", "--drain"]], ids=lambda words: words[0])
def test_a_store_without_content_addressed_derivations_is_refused_with_the_setting(
    farm: Farm, jobs: Path, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "nix.conf").write_text("experimental-features = nix-command\nbuild-users-group =\nsandbox = false\n")
    for name, value in farm.store.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("NIX_CONF_DIR", str(tmp_path))
    file = [] if words[0] == "worker" else [jobs, "-A", "fine"]
    said = could_not_run(farm, *words, *file, "--store", "local")
    assert "ca-derivations is off" in said
    assert "extra-experimental-features = ca-derivations" in said


def test_a_state_directory_that_cannot_be_made_is_reported(farm: Farm, jobs: Path) -> None:
    assert "Name another one with --state" in could_not_run(farm, "run", jobs, "--state", os.devnull + "/x")
