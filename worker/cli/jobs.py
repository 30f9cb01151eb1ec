"""From a file to builds in the database: evaluate the file, root its .drv files, add the builds."""

from __future__ import annotations

import dataclasses
import re
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from ..database.procedures import Procedures
from ..evaluation import EvaluationFailure, Job, evaluate, is_derivation_file
from ..nix.derivation import DerivationError
from ..nix.errors import NixError
from ..nix.roots import RootDirectory
from ..nix.store import Store
from ..nix.store_path import InvalidStorePath, derivation_name
from .errors import CouldNotRun
from .target import Options, open_roots

PROJECT = "local"


def evaluation_options(command: Any) -> Any:
    """Add the options of commands that evaluate."""
    for decorate in (
        click.argument("file", type=click.Path(path_type=Path)),
        click.option("-A", "--attr", "attributes", multiple=True, metavar="ATTR", help="Only this attribute."),
        click.option(
            "--arg", "args", type=(str, str), multiple=True, metavar="N EXPR", help="Argument: an expression."
        ),
        click.option(
            "--argstr", "argstrs", type=(str, str), multiple=True, metavar="N VALUE", help="Argument: a string."
        ),
        click.option("--cached-failures", is_flag=True, help="Do not retry cached failures."),
    ):
        command = decorate(command)
    return command


def enqueue_file(
    options: Options,
    procedures: Procedures,
    store: Store,
    file: Path,
    *,
    attributes: Sequence[str] = (),
    args: Sequence[tuple[str, str]] = (),
    argstrs: Sequence[tuple[str, str]] = (),
    cached_failures: bool = False,
    on_progress: Callable[[str], None] | None = None,
) -> tuple[list[int], list[EvaluationFailure]]:
    """Evaluate a file and add a build for each job; return the builds, and the attributes that failed to evaluate.

    The .drv files get roots before the database gets their names. Raises EvaluationError if the evaluation yields
    nothing.
    """
    roots = open_roots(options)
    if is_derivation_file(file):
        results: Sequence[Job | EvaluationFailure] = [_job_of_derivation(store, roots, file)]
    else:
        with tempfile.TemporaryDirectory(prefix=".evaluation-", dir=roots.path) as while_evaluating:
            results = evaluate(
                file,
                gc_roots=Path(while_evaluating),
                env=store.env,
                attributes=attributes,
                args=dict(args),
                argstrs=dict(argstrs),
                store=store.uri or None,
                on_progress=on_progress,
            )
            with store.connect() as client:
                drvs = sorted({store.base_name(result.drv) for result in results if isinstance(result, Job)})
                client.protect(drvs)
                roots.add_many(client, drvs)
    jobs = [result for result in results if isinstance(result, Job)]
    failures = [result for result in results if isinstance(result, EvaluationFailure)]
    builds = procedures.enqueue(
        project=PROJECT,
        jobset="derivations" if is_derivation_file(file) else re.sub(r"[^A-Za-z0-9._-]", "-", file.stem),
        file=str(file.resolve()),
        jobs=[_for_database(job) for job in jobs],
        errors="\n".join(f"{failure.attribute}: {failure.message}" for failure in failures) or None,
        retry=not cached_failures,
    )
    return builds, failures


def _for_database(job: Job) -> dict[str, Any]:
    fields = dataclasses.asdict(job)
    return fields | {"job": fields.pop("name"), "priority": fields.pop("scheduling_priority")}


def _job_of_derivation(store: Store, roots: RootDirectory, file: Path) -> Job:
    absent = f"{file} is not in the store: name a valid .drv file of {store.store_dir.path}."
    try:
        drv = store.base_name(str(file if file.is_absolute() or file.parent != Path() else file.name))
    except InvalidStorePath:
        raise CouldNotRun(absent) from None
    with store.connect() as client:
        if not client.protect([drv]):
            raise CouldNotRun(absent)
        roots.add(client, drv)
        try:
            derivation = store.read_derivation(drv, client)
        except (NixError, DerivationError) as error:
            raise CouldNotRun(
                f"{file} can't be used: {error}. Name another .drv, or instantiate and verify this one again"
                " (nix-store --verify --check-contents)."
            ) from error
    name = derivation_name(drv)
    return Job(
        name=name,
        drv=store.full_path(drv),
        system=derivation.platform.decode(errors="replace"),
        nix_name=name,
        description=None,
        license=None,
        homepage=None,
        maintainers=None,
        max_silent=None,
        timeout=None,
        scheduling_priority=100,
        is_channel=False,
        outputs={
            output: store.full_path(path) if (path := derivation.output_path(output, store.store_dir)) else None
            for output in derivation.outputs
        },
    )
