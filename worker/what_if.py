"""The changes downstream if an output had another path: the dependents are resolved again, in memory only.

This module writes nothing. Its caller passes the functions that query the database and the store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from .database.records import Dependent, Outcome
from .nix.derivation import DerivationError, InputOutput
from .nix.errors import NixError
from .nix.resolve import MissingOutputs, Resolved
from .nix.store_path import InvalidStorePath, StoreDir

AT_A_TIME = 500
"""The number of derivations in one query."""

Paths: TypeAlias = Mapping[InputOutput, str]
Dependents: TypeAlias = Callable[[Sequence[str]], Iterable[Dependent]]
Outcomes: TypeAlias = Callable[[Sequence[str]], Mapping[str, Outcome]]
Resolve: TypeAlias = Callable[[str, Paths], Resolved]
"""Resolves the derivation in a file (a base name) with these paths. Raises as `resolve` and `read_derivation` do."""


class Fate(StrEnum):
    """The effect on a derivation."""

    SAME = "same"
    """The derivation resolves to the same derivation as before, or its outputs are fixed."""
    CUT_OFF = "cut off"
    """The derivation resolves to another derivation, all of whose wanted outputs exist already."""
    BUILT = "built"
    """The derivation resolves to another derivation, which would have to be built."""
    FAILS = "fails"
    """The derivation resolves to one with a cached failure, or one of its inputs fails."""
    REFUSED = "refused"
    """The derivation can't be resolved with this path."""
    UNKNOWN = "unknown"
    """The result is unknown until another derivation is built."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One derivation downstream. Paths are base names.

    `before` and `resolved`: what the derivation resolved to, and would resolve to, if known. `outputs`: the paths that
    its outputs would have, `None` if unknown; `changed`: the outputs whose paths differ from before. `reason`: a
    sentence, if there is more to say.
    """

    drv: str
    fate: Fate
    before: str | None
    resolved: str | None
    outputs: Mapping[str, str | None]
    changed: tuple[str, ...]
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class _Lost:
    """A path that can't be known, with the reason; `failed`: the path will never exist."""

    reason: str
    failed: bool = False


def what_if(
    given: Paths, dependents: Dependents, outcomes: Outcomes, resolve: Resolve, store_dir: StoreDir
) -> list[Finding]:
    """Return a finding for each dependent of the given outputs, inputs before their dependents.

    The result leaves out dependents that use none of the changed outputs.
    """
    paths: dict[InputOutput, str | _Lost] = dict(given)
    findings: list[Finding] = []
    for wave in _waves(_downstream(given, dependents)):
        touched = [one for one in wave if any(output in paths for output in _used(one))]
        resolved = {one.drv: _resolve(one, paths, resolve) for one in touched}
        wanted = sorted({found.path for found in resolved.values() if isinstance(found, Resolved)})
        known = {drv: outcome for part in _parts(wanted) for drv, outcome in outcomes(part).items()}
        for one in touched:
            finding, changes = _judge(one, resolved[one.drv], known, store_dir)
            findings.append(finding)
            paths.update({output: path for output, path in changes.items() if output not in given})
    return findings


def _used(one: Dependent) -> Iterator[InputOutput]:
    for drv, outputs in one.inputs.items():
        for name in outputs:
            yield InputOutput(drv, (name,))


def _is_fixed(one: Dependent) -> bool:
    return one.kind in ("fixed", "input-addressed")


def _downstream(given: Paths, dependents: Dependents) -> dict[str, Dependent]:
    """Return all derivations that may change: users of a given output, or of any output that may change."""
    found: dict[str, Dependent] = {}
    layer = sorted({output.drv_path for output in given})
    while layer:
        new = {one.drv: one for part in _parts(layer) for one in dependents(part) if one.drv not in found}
        reached = {
            drv: one
            for drv, one in new.items()
            if any(output in given or output.drv_path in found for output in _used(one))
        }
        found.update(reached)
        layer = sorted(drv for drv, one in reached.items() if not _is_fixed(one))
    return found


def _waves(found: Mapping[str, Dependent]) -> Iterator[list[Dependent]]:
    """Yield the derivations in topological order: all inputs of a wave are in earlier waves."""
    users: dict[str, list[str]] = {}
    missing: dict[str, int] = {}
    for drv, one in found.items():
        inputs = [source for source in one.inputs if source in found]
        missing[drv] = len(inputs)
        for source in inputs:
            users.setdefault(source, []).append(drv)
    wave = sorted(drv for drv, number in missing.items() if number == 0)
    while wave:
        yield [found[drv] for drv in wave]
        following = []
        for drv in wave:
            for user in users.get(drv, ()):
                missing[user] -= 1
                if missing[user] == 0:
                    following.append(user)
        wave = sorted(following)


def _resolve(one: Dependent, paths: Mapping[InputOutput, str | _Lost], resolve: Resolve) -> Resolved | Finding | None:
    """Return the resolved derivation; or a finding if it can't be resolved; `None`: its outputs are fixed."""
    if _is_fixed(one):
        return None
    found = {output: paths.get(output, one.inputs[output.drv_path][output.chain[0]]) for output in _used(one)}
    inputs = {output: path for output, path in found.items() if isinstance(path, str)}
    lost = [path for path in found.values() if isinstance(path, _Lost)]
    if lost:
        worst = next((path for path in lost if path.failed), lost[0])
        return _unknown(one, Fate.FAILS if worst.failed else Fate.UNKNOWN, worst.reason)
    if len(inputs) < len(found):
        missing = next(output for output, path in found.items() if path is None)
        return _unknown(one, Fate.UNKNOWN, f"{missing} was never built")
    try:
        return resolve(one.drv, inputs)
    except NixError as error:
        return _unknown(one, Fate.UNKNOWN, f"its .drv can't be read: {error}")
    except MissingOutputs as error:
        return _unknown(one, Fate.UNKNOWN, f"the resolved derivation is not known: {error}")
    except (DerivationError, InvalidStorePath) as error:
        return _unknown(one, Fate.REFUSED, str(error))


def _unknown(one: Dependent, fate: Fate, reason: str) -> Finding:
    return Finding(one.drv, fate, one.resolved, None, dict.fromkeys(one.outputs), (), reason)


def _judge(
    one: Dependent, resolved: Resolved | Finding | None, known: Mapping[str, Outcome], store_dir: StoreDir
) -> tuple[Finding, dict[InputOutput, str | _Lost]]:
    """Return the finding, and the outputs whose paths differ from before, or can't be known."""
    if resolved is None:
        return Finding(one.drv, Fate.SAME, one.resolved, None, one.outputs, (), "its outputs are fixed"), {}
    if isinstance(resolved, Finding):
        failed = resolved.fate in (Fate.FAILS, Fate.REFUSED)
        reason = f"{one.drv} can't be built" if resolved.fate is Fate.REFUSED else resolved.reason or ""
        return resolved, _without_paths(one, _Lost(reason, failed))
    if resolved.path == one.resolved:
        return Finding(one.drv, Fate.SAME, one.resolved, resolved.path, one.outputs, ()), {}

    outcome = known.get(resolved.path)
    valid = (outcome.outputs if outcome is not None else None) or {}
    cut_off = bool(valid) and valid.keys() >= {*one.wanted}
    if outcome is not None and outcome.failure is not None and not cut_off:
        finding = Finding(
            one.drv, Fate.FAILS, one.resolved, resolved.path, dict.fromkeys(one.outputs), (), outcome.failure
        )
        return finding, _without_paths(one, _Lost(f"{one.drv} fails", failed=True))
    fate, derivation = Fate.CUT_OFF if cut_off else Fate.BUILT, resolved.derivation
    outputs = {name: valid.get(name) or derivation.output_path(name, store_dir) for name in derivation.outputs}
    changes: dict[InputOutput, str | _Lost] = {
        InputOutput(one.drv, (name,)): _Lost(f"{one.drv} has to be built first") if path is None else path
        for name, path in outputs.items()
        if path is None or path != one.outputs.get(name)
    }
    changed = tuple(name for name, path in outputs.items() if path is not None and path != one.outputs.get(name))
    return Finding(one.drv, fate, one.resolved, resolved.path, outputs, changed), changes


def _without_paths(one: Dependent, lost: _Lost) -> dict[InputOutput, str | _Lost]:
    return {InputOutput(one.drv, (name,)): lost for name in one.outputs}


def _parts(items: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(items), AT_A_TIME):
        yield items[start : start + AT_A_TIME]
