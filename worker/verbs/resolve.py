"""The verb resolve: compute resolved derivations, write them to the store, and root them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ..database.procedures import Claim
from ..nix.client import Client, Text
from ..nix.closure import PathInfos
from ..nix.derivation import Derivation, DerivationError, InputOutput
from ..nix.errors import NixError
from ..nix.resolve import MissingOutputs, Resolved
from ..nix.resolve import resolve as resolve_derivation
from ..nix.store_path import InvalidStorePath
from ..outputs import inspect_outputs
from ..step_status import HydraStatus, failure_of_refusal
from .context import Context, Withdraw, withdraw_lost
from .load import Report, describe, static_outputs

FIRST, PART = 2, 16
"""Reports in one part, while the next ones are written: few at first, so that a build starts soon."""
KnownOutputs = Callable[[Sequence[str]], Mapping[str, Mapping[str, str]]]
"""Returns the valid outputs of derivations that the database knows."""


class Resolution(NamedTuple):
    """A claim, its report, and its resolved derivation."""

    claim: Claim
    report: Report
    resolved: Resolved


def resolve(
    context: Context, client: Client, claims: Sequence[Claim], known_outputs: KnownOutputs, withdraw: Withdraw
) -> Iterator[list[Report]]:
    """Resolve claimed derivations; yield a report for each, in the form that `set_resolved_to` takes, a few at a time.

    If all outputs of a resolved derivation are known to be valid, nothing is written. Paths that are lost by now are
    withdrawn: the database then finds the report stale.
    """
    for start, end in [(0, FIRST), *((start, start + PART) for start in range(FIRST, len(claims), PART))]:
        part = claims[start:end]
        reports: list[Report] = []
        resolutions: list[Resolution] = []
        for claim in part:
            report: Report = {"lease": claim.lease, "samples": _samples(claim)}
            reports.append(report)
            if (resolved := _resolve_one(context, client, claim, report, withdraw)) is not None:
                resolutions.append(Resolution(claim, report, resolved))
        known = known_outputs([resolved.path for _, _, resolved in resolutions])
        if whole := [
            one
            for one in resolutions
            if known.get(one.resolved.path, {}).keys() == one.resolved.derivation.outputs.keys()
        ]:
            _confirm_known(context, client, whole, known, withdraw)
        if unknown := [one for one in resolutions if "resolved" not in one.report]:
            _write(context, client, unknown, withdraw)
        yield reports


def follow_chains(derivation: Derivation, inputs: Mapping[str, Mapping[str, str]]) -> dict[InputOutput, str]:
    """Return the paths of needed outputs that `inputs` leads to: outputs by name, by base name of the derivation."""
    paths: dict[InputOutput, str] = {}
    for wanted in derivation.needed_outputs():
        path: str | None = wanted.drv_path
        for output in wanted.chain:
            path = inputs.get(path, {}).get(output) if path is not None else None
        if path is not None:
            paths[wanted] = path
    return paths


def _resolve_one(context: Context, client: Client, claim: Claim, report: Report, withdraw: Withdraw) -> Resolved | None:
    """Return the resolved derivation; `None`: the report says that there is none, or that it is the same."""
    store = context.store
    try:
        derivation = context.derivations.get(claim.drv, client)
        outputs = follow_chains(derivation, claim.inputs)
        resolved = resolve_derivation(
            derivation, claim.drv, outputs, version=store.nix_version, store_dir=store.store_dir
        )
    except NixError as error:
        withdraw_lost(claim.drv, client, withdraw)
        report["failed"] = _failure(f"the .drv can't be read: {error}", HydraStatus.ABORTED)
    except (DerivationError, MissingOutputs, InvalidStorePath) as error:
        report["failed"] = _failure(f"the derivation can't be resolved: {error}")
    else:
        if resolved.path != claim.drv:
            context.derivations.put(resolved.path, resolved.derivation)
            return resolved
        report["resolved"] = None
    return None


def confirm(
    context: Context, client: Client, claim: Claim, report: Report, recorded: Mapping[str, str], withdraw: Withdraw
) -> Report:
    """Return the report for another try, after the database named recorded outputs: confirmed, or withdrawn."""
    paths = sorted(set(recorded.values()))
    valid = client.protect(paths)
    context.roots.add_many(client, sorted(valid))
    if gone := [path for path in paths if path not in valid]:
        withdraw(gone)
    resolved: dict[str, Any] = report["resolved"] | {"confirmed": sorted(valid)}
    served = {output["name"]: output["path"] for output in resolved["outputs"] if output["valid"]}
    served |= {name: path for name, path in recorded.items() if path in valid}
    info = None
    if claim.root and len(served) == len(resolved["outputs"]):
        info = inspect_outputs(context.store, PathInfos(client), served)
    return report | {"resolved": resolved, "info": info}


def _confirm_known(
    context: Context,
    client: Client,
    resolutions: Sequence[Resolution],
    known: Mapping[str, Mapping[str, str]],
    withdraw: Withdraw,
) -> None:
    """Complete the reports of resolutions whose outputs are all in the store, at the recorded paths."""
    served = {path for one in resolutions for path in known[one.resolved.path].values()}
    maps = _recorded(context, client, resolutions)
    valid = client.protect(sorted(served.union(*(one.values() for one in maps)))) if served else set()
    context.roots.add_many(client, sorted(valid & served))
    if gone := sorted(served - valid):
        withdraw(gone)
    infos = PathInfos(client)
    for (claim, report, resolved), recorded in zip(resolutions, maps, strict=True):
        outputs = known[resolved.path]
        if valid.issuperset(outputs.values()):
            # Another path that the store has is not served, but goes into the trace.
            others = recorded.items() - outputs.items()
            report["resolved"] = {
                "drv": resolved.path,
                "written": False,
                "outputs": [{"name": name, "path": path, "valid": True} for name, path in others if path in valid],
                "confirmed": sorted(outputs.values()),
            }
            if claim.root:
                report["info"] = inspect_outputs(context.store, infos, outputs)


def _write(context: Context, client: Client, written: Sequence[Resolution], withdraw: Withdraw) -> None:
    texts = [Text(resolved.path, resolved.text, resolved.derivation.references) for _, _, resolved in written]
    with context.turn.taken():
        answers = client.add_texts(texts)
    good: list[Resolution] = []
    for one, answer in zip(written, answers, strict=True):
        if answer is None:
            good.append(one)
            continue
        _, report, resolved = one
        sources = resolved.derivation.input_srcs
        gone = set(sources) - client.query_valid_paths(sources)
        if gone and withdraw(sorted(gone)):
            report["resolved"] = None  # the report is stale by now
        else:
            words = f"Nix refuses the resolved derivation {resolved.path}"
            report["failed"] = failure_of_refusal(answer, words).described()
    context.roots.add_many(client, [resolved.path for _, _, resolved in good])

    paths: list[dict[str, str | None]] = [
        {**static_outputs(context, resolved.derivation), **recorded}
        for (_, _, resolved), recorded in zip(good, _recorded(context, client, good), strict=True)
    ]
    candidates = sorted({path for outputs in paths for path in outputs.values() if path is not None})
    valid = client.protect(candidates) if candidates else set()
    context.roots.add_many(client, sorted(valid))
    infos = PathInfos(client)
    for (claim, report, resolved), outputs in zip(good, paths, strict=True):
        found = {name: path for name, path in outputs.items() if path is not None and path in valid}
        if len(found) == len(outputs) and context.too_large(infos, found.values()):
            found = {}  # the build, for which Nix returns the same outputs, then fails
        if claim.root and len(found) == len(outputs):
            report["info"] = inspect_outputs(context.store, infos, found)
        report["resolved"] = _described(resolved.path, resolved.derivation) | {
            "outputs": [{"name": name, "path": path, "valid": name in found} for name, path in outputs.items()],
            "confirmed": [],
        }


def _recorded(context: Context, client: Client, resolutions: Sequence[Resolution]) -> list[dict[str, str]]:
    """Return the paths on the store's record, if the store is trusted; empty maps for unknown derivations."""
    if not context.trust_store:
        return [{} for _ in resolutions]
    maps = client.query_derivation_output_maps(resolved.path for _, _, resolved in resolutions)
    return [
        {} if isinstance(known, NixError) else {name: path for name, path in known.items() if path} for known in maps
    ]


def _described(drv: str, derivation: Derivation) -> Report:
    report = describe(drv, derivation)
    return {name: report[name] for name in ("drv", "name", "system", "kind", "features", "prefer_local")}


def _samples(claim: Claim) -> list[list[str]]:
    return [[drv, name, path] for drv, outputs in claim.inputs.items() for name, path in outputs.items()]


def _failure(message: str, status: int = HydraStatus.FAILED) -> Report:
    return {"class": "unsupported", "status": status, "message": message.replace("\0", "")}
