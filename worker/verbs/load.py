"""The verb load: read .drv files, and ask the store which of their outputs are valid."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, islice
from typing import Any, TypeVar

from ..database.procedures import Claim
from ..nix.attributes import build_attributes
from ..nix.client import Client
from ..nix.closure import PathInfos
from ..nix.derivation import Derivation, DerivationError, Kind
from ..nix.errors import NixError
from ..nix.resolvable import check_resolvable
from ..outputs import inspect_outputs
from ..step_status import HydraStatus
from .context import Context, Withdraw, withdraw_lost

Report = dict[str, Any]
T = TypeVar("T")

PART = 20
"""Derivations in one report, while the next ones are read."""
MOST_INPUTS = 50_000
"""Outputs of inputs, and outputs on the way to them, that a derivation may name: a builder may write any number into a
``.drv``, and a report with so many holds the graph lock for three seconds."""
MOST_OUTPUTS = 100
"""Outputs that a derivation may have: real ones have a handful. Each becomes rows in every report about it."""
MOST_INPUTS_UNCLAIMED = 250
"""Inputs in a report of an unclaimed derivation, which can't be sent in parts."""
MOST_DYNAMIC = 1000
"""Outputs that a dynamic derivation may name: all its chains are followed together."""
READ_AHEAD = 2000
"""Inputs, and inputs of inputs, that are read and reported after the claims: most will be claimed in a moment."""


def load(context: Context, client: Client, claims: Sequence[Claim], withdraw: Withdraw) -> Iterator[list[Report]]:
    """Read claimed derivations; yield a report for each, in the form for `register_derivations`, a few at a time.

    Reports of derivations read ahead have the lease `None`, and follow reports of their dependents. A lost .drv is
    withdrawn: if a builder had written it, the withdrawal ends the claim, and the report of the failure is too late.
    """
    infos = PathInfos(client)
    unread = _Unread(context, {claim.drv for claim in claims})
    for part in _parts(claims):
        reports: list[Report] = []
        readable: list[tuple[Claim, Derivation]] = []
        for claim in part:
            try:
                derivation = context.derivations.get(claim.drv, client)
                reports.append(describe(claim.drv, derivation) | {"lease": claim.lease})
                readable.append((claim, derivation))
            except NixError as error:
                withdraw_lost(claim.drv, client, withdraw)
                reports.append(_refusal(claim, HydraStatus.ABORTED, f"the .drv can't be read: {error}"))
            except DerivationError as error:
                reports.append(_refusal(claim, HydraStatus.FAILED, f"the derivation can't be used: {error}"))
        unread.add_inputs(_add_outputs(context, client, infos, reports, readable))
        yield reports
    read = 0
    while read < READ_AHEAD and (ahead := unread.read(client)):
        read += len(ahead)
        reports = [describe(drv, derivation) | {"lease": None} for drv, derivation in ahead]
        readable = [(_unclaimed(drv), derivation) for drv, derivation in ahead]
        unread.add_inputs(_add_outputs(context, client, infos, reports, readable))
        yield [report for report in reports if _fits_unclaimed(report)]  # the others wait for their claims


class _Unread:
    """Inputs that have not been read yet, layer by layer."""

    def __init__(self, context: Context, seen: set[str]) -> None:
        self._derivations = context.derivations
        self._seen = seen
        self._layer: deque[str] = deque()
        self._next: deque[str] = deque()

    def add_inputs(self, derivations: Iterable[Derivation]) -> None:
        for derivation in derivations:
            new = [drv for drv in derivation.input_drvs if drv not in self._seen and drv not in self._derivations]
            self._next += new
            self._seen.update(new)

    def read(self, client: Client) -> list[tuple[str, Derivation]]:
        """Read the next few of one layer. Unusable derivations wait for their claims."""
        read: list[tuple[str, Derivation]] = []
        while len(read) < PART and (self._layer or (not read and self._next)):
            if not self._layer:
                self._layer, self._next = self._next, deque()
            drv = self._layer.popleft()
            try:
                derivation = self._derivations.get(drv, client)
                describe(drv, derivation)
            except (NixError, DerivationError):
                continue
            read.append((drv, derivation))
        return read


def _parts(items: Iterable[T]) -> Iterator[list[T]]:
    rest = iter(items)
    while part := list(islice(rest, PART)):
        yield part


def _add_outputs(
    context: Context,
    client: Client,
    infos: PathInfos,
    reports: Sequence[Report],
    loaded: Sequence[tuple[Claim, Derivation]],
) -> list[Derivation]:
    """Add the outputs to each report; return the derivations with an output that is not valid.

    If the outputs are too large, the report fails: they may come from an attempt that failed for the same reason.
    """
    outputs = _find_outputs(context, client, loaded)
    if context.max_output_size:
        complete = [found for _, found in outputs.values() if all(output["valid"] for output in found)]
        infos.get_many(output["path"] for found in complete for output in found)
    incomplete = set()
    for report in reports:
        if "failed" in report:
            continue
        claim, found = outputs[report["drv"]]
        report["outputs"] = found
        valid = {output["name"]: output["path"] for output in found if output["valid"]}
        if len(valid) < len(found):
            incomplete.add(report["drv"])
        elif words := context.too_large(infos, valid.values()):
            report["failed"] = {"class": "timeout", "status": HydraStatus.OUTPUT_TOO_LARGE, "message": words}
        elif claim.root:
            report["info"] = inspect_outputs(context.store, infos, valid)
    return [derivation for claim, derivation in loaded if claim.drv in incomplete]


def _fits_unclaimed(report: Report) -> bool:
    return "failed" not in report and len(report["inputs"]) <= MOST_INPUTS_UNCLAIMED


def _unclaimed(drv: str) -> Claim:
    return Claim(0, drv, None, None, False, None, {}, None, None)


def describe(drv: str, derivation: Derivation) -> Report:
    """Return the database's record of a derivation. Raises DerivationError if it can't be built here."""
    kind = derivation.kind
    if kind is Kind.IMPURE:
        raise DerivationError("it is impure, and impure derivations are not supported")
    derivation.check_output_names()
    if len(derivation.outputs) > MOST_OUTPUTS:
        raise DerivationError(f"it has {len(derivation.outputs)} outputs, and may have {MOST_OUTPUTS}")
    if _has_too_many_inputs(derivation):
        raise DerivationError(f"it needs more than {MOST_INPUTS} outputs of its inputs")
    attributes = build_attributes(derivation)
    report: Report = {
        "drv": drv,
        "name": derivation.name,
        "system": derivation.platform.decode(errors="replace"),
        "kind": str(kind),
        "features": sorted(attributes.required_system_features),
        "prefer_local": attributes.prefer_local_build,
        "must_resolve": bool(derivation.input_drvs) and kind is not Kind.INPUT_ADDRESSED,
        "inputs": [{"drv": drv, "outputs": list(node.outputs)} for drv, node in derivation.input_drvs.items()],
    }
    if derivation.has_dynamic_inputs:
        check_resolvable(derivation, drv)
        if sum(1 for _ in derivation.needed_outputs()) > MOST_DYNAMIC:
            raise DerivationError(f"it is dynamic, and needs more than {MOST_DYNAMIC} outputs of its inputs")
        report["chains"] = [
            {"drv": wanted.drv_path, "outputs": list(wanted.chain)}
            for wanted in derivation.needed_outputs()
            if len(wanted.chain) > 1
        ]
    return report


def _has_too_many_inputs(derivation: Derivation) -> bool:
    named = (len(wanted.chain) for wanted in derivation.needed_outputs())
    return len(derivation.input_drvs) > MOST_INPUTS or any(count > MOST_INPUTS for count in accumulate(named))


def static_outputs(context: Context, derivation: Derivation) -> dict[str, str | None]:
    """Return the outputs' paths, if the derivation determines them."""
    return {name: derivation.output_path(name, context.store.store_dir) for name in derivation.outputs}


def _refusal(claim: Claim, status: int, message: str) -> Report:
    failure = {"class": "unsupported", "status": status, "message": message.replace("\0", "")}
    return {"lease": claim.lease, "drv": claim.drv, "failed": failure}


def _find_outputs(
    context: Context, client: Client, loaded: Sequence[tuple[Claim, Derivation]]
) -> dict[str, tuple[Claim, list[Report]]]:
    """Return, for each derivation, its outputs with paths and validity; root the valid ones."""
    paths: dict[str, dict[str, str | None]] = {}
    unknown: list[Claim] = []
    for claim, derivation in loaded:
        paths[claim.drv] = {**static_outputs(context, derivation), **claim.known}
        if None in paths[claim.drv].values():
            unknown.append(claim)
    if context.trust_store:
        recorded = client.query_derivation_output_maps(claim.drv for claim in unknown)
        for claim, outputs in zip(unknown, recorded, strict=True):
            if not isinstance(outputs, NixError):
                for name, path in outputs.items():
                    paths[claim.drv][name] = paths[claim.drv].get(name) or path
    candidates = sorted({path for outputs in paths.values() for path in outputs.values() if path is not None})
    valid = client.protect(candidates) if candidates else set()
    context.roots.add_many(client, sorted(valid))
    return {
        claim.drv: (
            claim,
            [{"name": name, "path": path, "valid": path in valid} for name, path in paths[claim.drv].items()],
        )
        for claim, _ in loaded
    }
