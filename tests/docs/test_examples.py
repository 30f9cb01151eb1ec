"""The examples, built by Nix alone: their comments are true for any builder."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hydra_resolver.embedded.store import EmbeddedStore
from hydra_resolver.evaluation import Job, evaluate

EXAMPLES = Path(__file__).parents[2] / "examples"

FAILING = {"fails", "fails-resolved", "on-failed", "on-failed-resolved", "wrong-hash"}
SUCCEEDING = {
    "chain.first",
    "chain.second",
    "chain.third",
    "deferred",
    "failed-with-output",
    "fixed-on-floating",
    "fixed-output",
    "input-addressed",
    "leaf",
    "on-deferred",
    "on-leaf",
    "outputs",
    "products",
    "refers-to-itself",
    "uses-all-outputs",
    "uses-one-output",
    *(f"words-{way}.{job}" for way in ("first", "second") for job in ("list", "count", "report")),
}


def jobs_of(store: EmbeddedStore, file: Path, roots: Path, **argstrs: str) -> dict[str, Job]:
    found = evaluate(file, gc_roots=roots, env=store.child_environment(), argstrs=argstrs)
    assert all(isinstance(job, Job) for job in found), found
    return {job.name: job for job in found if isinstance(job, Job)}


def realise(store: EmbeddedStore, *drvs: str) -> list[Path] | None:
    """Realise derivations; return the output paths, or None if a derivation fails."""
    words = ["nix-store", "--realise", "--keep-going", *drvs]
    done = subprocess.run(words, env=store.child_environment(), check=False, capture_output=True, text=True)
    return [Path(line) for line in done.stdout.split()] if done.returncode == 0 else None


def built(store: EmbeddedStore) -> set[str]:
    """Return the names of all .drv files that Nix has built in this store, according to Nix's logs."""
    logs = Path(store.child_environment()["NIX_LOG_DIR"]) / "drvs"
    return {(log.parent.name + log.name).removesuffix(".bz2") for log in logs.glob("??/*")}


def by_name(paths: list[Path]) -> list[Path]:
    """Sort paths by their names without the hash: `out` comes first, since its name has no suffix."""
    return sorted(paths, key=lambda path: path.name.split("-", 1)[1])


def test_the_demo_has_the_outputs_and_failures_that_its_comments_promise(
    nix_store: EmbeddedStore, tmp_path: Path
) -> None:
    jobs = jobs_of(nix_store, EXAMPLES / "demo.nix", tmp_path / "roots")
    assert set(jobs) == FAILING | SUCCEEDING
    realise(nix_store, *(job.drv for job in jobs.values()))
    outputs = {name: realise(nix_store, job.drv) for name, job in jobs.items()}
    assert {name for name, paths in outputs.items() if paths is None} == FAILING
    paths = {name: paths for name, paths in outputs.items() if paths is not None}

    out, lib = by_name(paths["refers-to-itself"])
    assert out.read_text() == f"I am {out}, and I use {lib}\n"
    program, dev, doc = by_name(paths["outputs"])
    assert paths["uses-one-output"][0].read_text() == f"reads {dev}\n"
    assert paths["uses-all-outputs"][0].read_text() == f"reads {program} {dev} {doc}\n"
    assert paths["on-deferred"][0].read_text() == "a leaf, deferred, and floating again\n"
    assert (paths["failed-with-output"][0] / "nix-support" / "failed").is_file()
    support = paths["products"][0] / "nix-support"
    products = [line.split() for line in (support / "hydra-build-products").read_text().splitlines()]
    assert [(kind, subtype, Path(path).is_file()) for kind, subtype, path in products] == [
        ("doc", "manual", True),
        ("file", "binary-dist", True),
    ]
    assert [len(line.split()) for line in (support / "hydra-metrics").read_text().splitlines()] == [3, 3, 2]
    assert (support / "hydra-release-name").read_text() == "demo-1.0\n"


def test_the_demo_is_cut_off_early(nix_store: EmbeddedStore, tmp_path: Path) -> None:
    jobs = jobs_of(nix_store, EXAMPLES / "demo.nix", tmp_path / "roots")
    first = [realise(nix_store, jobs[f"words-first.{name}"].drv) for name in ("list", "count", "report")]
    before = built(nix_store)
    second = [realise(nix_store, jobs[f"words-second.{name}"].drv) for name in ("list", "count", "report")]
    assert first == second
    assert None not in first
    assert jobs["words-first.list"].drv != jobs["words-second.list"].drv
    assert built(nix_store) - before == {Path(jobs["words-second.list"].drv).name}


@pytest.mark.skipif(not shutil.which("cc", path="/usr/bin:/bin"), reason="there is no C compiler")
def test_a_comment_in_the_library_rebuilds_only_the_library(nix_store: EmbeddedStore, tmp_path: Path) -> None:
    old = jobs_of(nix_store, EXAMPLES / "library.nix", tmp_path / "old")
    outputs = {name: realise(nix_store, job.drv) for name, job in old.items()}
    assert set(outputs) == {"library", "to-fahrenheit", "to-kelvin"}
    before = built(nix_store)

    new = jobs_of(nix_store, EXAMPLES / "library.nix", tmp_path / "new", comment='Other words, "quoted"; and longer.')
    assert {name: realise(nix_store, job.drv) for name, job in new.items()} == outputs
    assert {job.drv for job in old.values()}.isdisjoint(job.drv for job in new.values())
    assert built(nix_store) - before == {Path(new["library"].drv).name}

    assert outputs["to-kelvin"] is not None
    (to_kelvin,) = outputs["to-kelvin"]
    program = [to_kelvin / "bin" / "to-kelvin", "10"]
    assert subprocess.run(program, check=True, capture_output=True, text=True).stdout == "283.15\n"


def test_the_dynamic_example_is_built_as_its_comments_say(nix_store: EmbeddedStore, tmp_path: Path) -> None:
    """Our command builds it, since a Nix before 2.30 cannot."""
    done = subprocess.run(
        [sys.executable, "-m", "hydra_resolver", "demo", "--dynamic", "--state", tmp_path / "state"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Every build ended as expected" in done.stdout
    outputs = dict(re.findall(r"^ +\d+ +(\S+) +succeeded +built +(\S+)$", done.stdout, re.MULTILINE))
    assert {job: Path(path).read_text() for job, path in outputs.items() if job != "file-and-derivation"} == {
        "wrapper": "hello, world\n", "two-levels": "very deep\n", "counted": "The list has 4 words.\n",
    }  # fmt: skip
    written = r"hello was written with \d{3,4} bytes\n"
    assert re.fullmatch(written, Path(outputs["file-and-derivation"]).read_text())
    chain = r"-deep\.drv\.drv\.drv\^out is .*\n.*-deep\.drv\.drv\^out is .*\n.*-deep\.drv\^out is \w{7}-deep\n"
    assert re.search(chain, done.stdout)
    assert set(jobs_of(nix_store, EXAMPLES / "dynamic.nix", tmp_path / "roots")) == {*outputs, "on-written-failure"}
