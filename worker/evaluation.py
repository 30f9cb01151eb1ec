"""Evaluates a Nix file into jobs, with nix-instantiate. Uses no database.

For most files one process is enough: the process lists all jobs with their fields, and lists attributes that throw as
failed; one more process for each failed attribute gets Nix's error message. An error that Nix can't catch (a wrong
type, `abort`, endless recursion) ends the process. In this case each half of the file is evaluated, then each half of
the half that failed, until every failing attribute is found.

The .drv files are rooted afterwards, since the temporary roots of an evaluation end with its process. The roots of all
jobs are created first, then the store is asked which of the rooted .drv files are valid. If a collector deleted some in
between, these are evaluated once more: Nix writes them again, and now their roots exist before the files.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra_resolver.attribute_path import AttributePath, format_attribute_path, parse_attribute_path
from hydra_resolver.nix_programs import NixProgramError, NixPrograms, add_roots, invalid_paths, nix_string

_HELPER = Path(__file__).with_name("evaluation.nix")
_ROOTING_ROUNDS = 5
_DEFAULT_PRIORITY = 100


class EvaluationError(Exception):
    """A file yields no jobs at all. `message` is the reason, in Nix's words; `hint` says what to do."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(f"{message}\n{hint}")
        self.message = message
        self.hint = hint


@dataclass(frozen=True)
class Job:
    """One derivation to build. Times are in seconds; a field that the derivation's `meta` does not have is None."""

    name: str
    drv: str
    system: str
    nix_name: str
    description: str | None
    license: str | None
    homepage: str | None
    maintainers: str | None
    max_silent: int | None
    timeout: int | None
    scheduling_priority: int
    is_channel: bool
    outputs: dict[str, str | None]
    """Output name -> path; None if the path depends on a build."""


@dataclass(frozen=True)
class EvaluationFailure:
    """An attribute that yields no job, with the error message."""

    attribute: str
    message: str


Found = dict[AttributePath, Job | EvaluationFailure]


def is_derivation_file(file: Path) -> bool:
    """Return whether the name is that of a .drv file, which is used as it is, and not of a Nix expression."""
    return file.name.endswith(".drv")


def evaluate(
    file: Path,
    *,
    gc_roots: Path,
    env: Mapping[str, str],
    attributes: Sequence[str] = (),
    args: Mapping[str, str] | None = None,
    argstrs: Mapping[str, str] | None = None,
    store: str | None = None,
    on_progress: Callable[[str], None] | None = None,
) -> list[Job | EvaluationFailure]:
    """Return all jobs of a Nix file, or of the `attributes` chosen in it, in the order of their attribute names.

    The file and every chosen attribute may be a derivation or a set. Sets further down are entered if they have
    `recurseForDerivations = true`; lists are never entered. Functions are called with `args` (Nix expressions) and
    `argstrs` (strings). Below a chosen attribute, functions that can't be called are skipped, and so are null and other
    sets. The evaluation builds and substitutes nothing: import from derivation is off.

    When this function returns, each .drv file has a root of its own in the directory `gc_roots`, which is created if it
    is missing. A root is a symbolic link named evaluation-ID, evaluation-ID-2, ...; the caller may delete it.

    `env` is the environment of the Nix programs; `store` is a store URI that overrides the environment's. `on_progress`
    receives a text that describes the next step.

    Raises EvaluationError if the file as a whole can't be evaluated, AttributePathError for a malformed attribute.
    """
    chosen = list(dict.fromkeys(parse_attribute_path(attribute) for attribute in attributes)) or [()]
    flags = [word for name, value in (args or {}).items() for word in ("--arg", name, value)]
    flags += [word for name, value in (argstrs or {}).items() for word in ("--argstr", name, value)]
    evaluation = _Evaluation(file.absolute(), chosen, flags, NixPrograms(env, store), on_progress or (lambda _: None))
    return list(evaluation.find_and_root(gc_roots).values())


@dataclass
class _Evaluation:
    file: Path
    chosen: list[AttributePath]
    flags: list[str]
    nix: NixPrograms
    progress: Callable[[str], None]
    file_is_sound: bool = False

    def find_and_root(self, directory: Path) -> Found:
        """Return all jobs and failures at or below the chosen paths; every .drv file has a root."""
        if not self.file.exists():
            raise EvaluationError(f"there is no file {self.file}", "Give the path of a Nix file or of a .drv file.")
        self.progress(f"evaluating {self.file.name}")
        found = self.find(self.chosen)
        try:
            return self.root(found, directory)
        except (NixProgramError, OSError) as error:
            hint = f"See that {directory} can be written, and that the store can be reached."
            raise EvaluationError(f"can't create roots for the derivations: {error}", hint) from None

    def root(self, found: Found, directory: Path) -> Found:
        """Create the roots. If .drv files were lost meanwhile, the result has their attributes evaluated again."""
        rooted: set[str] = set()
        for _ in range(_ROOTING_ROUNDS):
            drvs = {job.drv for job in found.values() if isinstance(job, Job)}
            if not drvs <= rooted:
                self.progress(f"rooting {len(drvs - rooted)} derivations")
                add_roots(self.nix, sorted(drvs - rooted), directory)
                rooted |= drvs
            lost = invalid_paths(self.nix, sorted(drvs))
            if not lost:
                return found
            self.progress(f"evaluating {len(lost)} derivations again: the garbage collector deleted them")
            found |= self.find([path for path, job in found.items() if isinstance(job, Job) and job.drv in lost])
        raise EvaluationError(
            f"{min(lost)} is deleted again and again, although it has a root",
            f"See that the store's garbage collector can read {directory}.",
        )

    def find(self, paths: Sequence[AttributePath]) -> Found:
        """Return all jobs and failures at or below these paths, each failure with its message."""
        found: Found = {}
        unexplained = []
        for item in self.search(paths):
            path = tuple(item["path"])
            message = item["failed"]
            found[path] = EvaluationFailure(format_attribute_path(path), message) if message else _job(path, item)
            if message is True:
                unexplained.append(path)
        if unexplained:
            self.check_file()
            self.progress(f"evaluating {len(unexplained)} failed attributes one by one")
            with ThreadPoolExecutor(4) as pool:
                found |= zip(unexplained, pool.map(self.explained, unexplained), strict=True)
        return found

    def search(self, paths: Sequence[AttributePath]) -> list[dict[str, Any]]:
        """Return the items of evaluation.nix; `failed` is False, a message, or True if Nix gave no message."""
        if not paths:
            return []
        try:
            jobs: list[dict[str, Any]] = self.ask("jobs", paths)
            return jobs
        except NixProgramError as error:
            message = str(error)
        self.check_file()
        if len(paths) > 1:
            half = len(paths) // 2
            return self.search(paths[:half]) + self.search(paths[half:])
        path = paths[0]
        try:
            names: list[str] | None = self.ask("children", paths)
        except NixProgramError as error:
            names, message = None, str(error)
        if names is None:
            return [self.failed(path, message)]
        return self.search([(*path, name) for name in names])

    def explained(self, path: AttributePath) -> EvaluationFailure:
        """Evaluate the one attribute that threw, to get its message."""
        try:
            self.ask("jobs", [path], guard=False)
            message = "this attribute failed once, and succeeded when it was tried again: evaluate the file once more"
        except NixProgramError as error:
            message = str(error)
        return EvaluationFailure(format_attribute_path(path), self.failed(path, message)["failed"])

    def failed(self, path: AttributePath, message: str) -> dict[str, Any]:
        if not path:
            raise EvaluationError(message, f"Correct {self.file}, or give what it asks for with --arg or --argstr.")
        return {"path": path, "failed": message}

    def check_file(self) -> None:
        """Raise EvaluationError if even the names in the file can't be evaluated: then no attribute can."""
        if not self.file_is_sound:
            try:
                self.ask("children", [()])
            except NixProgramError as error:
                self.failed((), str(error))
            self.file_is_sound = True

    def ask(self, attribute: str, paths: Sequence[AttributePath], *, guard: bool = True) -> Any:
        """Evaluate one attribute of evaluation.nix. Raises NixProgramError; EvaluationError if all attributes fail."""
        places = [{"path": path, "chosen": not path or path in self.chosen} for path in paths]
        request = json.dumps({"file": str(self.file), "places": places, "guard": guard})
        expression = f"import (/. + {nix_string(str(_HELPER))}) (builtins.fromJSON {nix_string(request)})"
        words = ["--eval", "--strict", "--json", "--read-write-mode", "-A", attribute, *self.flags, "-"]
        try:
            return json.loads(self.nix.run("nix-instantiate", *words, stdin=expression, hide=str(_HELPER)))
        except NixProgramError as error:
            if "'ca-derivations' is disabled" in str(error):
                raise EvaluationError(
                    "this store has no content-addressed derivations: the experimental feature ca-derivations is off",
                    "Add the line `extra-experimental-features = ca-derivations` to its nix.conf"
                    " (to the daemon's, if there is one, and restart it).",
                ) from None
            raise


def _job(path: AttributePath, item: Mapping[str, Any]) -> Job:
    priority = item["schedulingPriority"]
    return Job(
        name=format_attribute_path(path) or item["name"],
        drv=item["drv"],
        system=item["system"],
        nix_name=item["name"],
        description=item["description"],
        license=item["license"],
        homepage=item["homepage"],
        maintainers=item["maintainers"],
        max_silent=item["maxSilent"],
        timeout=item["timeout"],
        scheduling_priority=_DEFAULT_PRIORITY if priority is None else priority,
        is_channel=item["isChannel"],
        outputs=item["outputs"],
    )
