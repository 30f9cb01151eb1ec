"""Runs the database and the model side by side: claims, reports, and the comparison after each call."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, ClassVar

from hypothesis import note

from .model import STAGES
from .model_chains import inputs_of
from .model_failing import Failing
from .model_farm import Claim, Farm, Report, hashed, named
from .model_graphs import finished, loaded, path, resolution, resolved
from .model_types import Node

MANY = 100


class Compared(Failing):
    """Takes choices from the database, and only checks that they are allowed.

    The choices: which derivations a claim gets, and on which build's account; which of several failures ends a build or
    is tried again. The views of invariants check the watched inputs and the owners.
    """

    farm: ClassVar[Farm]

    def __init__(self) -> None:
        super().__init__()
        self.nodes: dict[str, Node] = {}
        self.claims: dict[int, Claim] = {}
        self.latest: dict[str, int] = {}  # the newest lease of each derivation
        self.workers: dict[int, int] = {}  # the last heartbeat of each living worker
        self.aborted: set[str] = set()  # derivations with an aborted attempt, which may still have built the outputs
        # Derivations whose back-off may end early: they failed while no goal waited for them, or a build was retried.
        self.hurried: set[str] = set()
        self.told = True  # whether the graph is synchronised with Hydra's rows

    def pass_time(self, seconds: int) -> None:
        self.model.now += seconds
        self.farm.at(self.model.now)

    def register_worker(self) -> int:
        worker = self.farm.register_worker()
        self.workers[worker] = self.model.now
        return worker

    def is_open(self, claim: Claim) -> bool:
        return claim.lease == self.latest[claim.name] and self.model.at[claim.name].verb is not None

    def opened(self, *verbs: str) -> list[Claim]:
        return [claim for claim in self.claims.values() if claim.verb in (verbs or STAGES) and self.is_open(claim)]

    def can(self, verb: str) -> bool:
        """Whether there is work for a verb."""
        stage = "buildable" if verb == "build" else STAGES[verb]
        ready = [n for n, it in self.model.at.items() if not it.verb and self.model.stage(n) == stage]
        return bool(self.opened(verb) or (ready and self.open_goals()))

    def needed(self) -> set[str]:
        """Return the derivations that goals wait for, directly or indirectly."""
        model, found = self.model, set[str]()
        todo = [goal.root for goal in self.open_goals().values()]
        while todo:
            name = todo.pop()
            found.add(name)
            stage, to = model.stage(name), model.at[name].resolved_to
            todo += model.missing(name) if stage == "waiting" else [to] if to and stage == "resolved" else []
        return found

    def claim(self, worker: int, verb: str, limit: int) -> None:
        model, stage = self.model, "buildable" if verb == "build" else STAGES[verb]
        free = {n for n, it in model.at.items() if not it.verb and model.stage(n) == stage}
        later = {n for n in free if model.at[n].not_before > model.now}
        claims = self.farm.claim(worker, verb, limit)
        note(f"worker {worker} claims {claims}")
        assert {claim.name for claim in claims} <= free - (later - self.hurried), f"only {free - later} may be claimed"
        if limit == MANY and self.told:
            due = (free - later) & self.needed()
            assert {claim.name for claim in claims} >= due, f"{due} must be claimed"
        for claim in claims:
            roots = {claim.name, *(n for n, it in model.at.items() if it.resolved_to == claim.name and verb == "build")}
            wanting = [build for root in roots for build in model.wanting(root)]
            assert claim.root == bool(wanting)
            if verb == "build":
                assert claim.build in ([min(wanting)] if wanting else self.open_goals()), f"{claim}: {wanting}"
            known = {output: hashed(path) for output, path in model.at[claim.name].valid.items()}
            assert known.items() <= claim.known.items()
            claim.worker, claim.verb, claim.deadline = worker, verb, None if verb == "build" else model.now + 600
            self.claims[claim.lease], self.latest[claim.name], model.at[claim.name].verb = claim, claim.lease, verb

    def free(self, which: Callable[[Claim], bool], *, attempted: bool = False) -> int:
        """End claims without a report; return how many. If `attempted`, each counts as an attempt."""
        freed = [claim for claim in self.opened() if which(claim)]
        for claim in freed:
            if attempted:
                self.model.cut_short(claim.name)
            self.model.at[claim.name].verb = None
        return len(freed)

    def report(self, procedure: str, *reports: Report) -> list[str]:
        note(f"{procedure} {reports}")
        outcomes = self.farm.report(procedure, reports) if reports else []
        for report, outcome in zip(reports, outcomes, strict=True):
            if outcome in ("done", "retried", "stale"):
                self.claims[report["lease"]].report = report
        return outcomes

    def hurry(self) -> None:
        """End the back-off of all derivations, as a build that retries known failures does."""
        self.hurried |= {n for n, it in self.model.at.items() if it.not_before > self.model.now}

    # Reports of workers.

    def load(self, claims: Sequence[Claim], stored: Callable[[str], bool] | None = None) -> None:
        """Report claims as loaded. The store has the paths that `stored` accepts; by default those on record."""
        reports, effects = [], []
        for claim in claims:
            node = self.nodes[claim.name]
            known = {o: named(claim.known[o]) if o in claim.known else path(node, o) for o in node.outputs}
            if node.kind == "floating" and not stored:
                known = {output: known[output] for output in claim.known}
            valid = {o: p for o, p in known.items() if (stored(p) if stored else o in claim.known)}
            info = claim.root and valid.keys() >= {*node.outputs}
            reports.append(loaded(claim.lease, node, known, valid, info))
            effects.append((node, valid, info))
        assert {*self.report("register_derivations", *reports)} <= {"done"}
        self.model.load(effects)

    def resolve(self, claim: Claim, in_store: bool = False, confirms: bool = True) -> None:
        """Report a resolution. Its outputs may be in the store already; known outputs may be confirmed."""
        node, samples = self.nodes[claim.name], claim.samples()
        to = resolution(node, [named(path) for _, _, path in samples], [*self.nodes.values()])
        if to == node:
            assert self.report("set_resolved_to", resolved(claim.lease, samples, None)) == ["done"]
            it = self.model.at[node.name]
            it.verb, it.must_resolve, it.tries, it.not_before = None, False, 0, 0
            return
        self.nodes[to.name] = to
        known = self.model.at[to.name].valid if to.name in self.model.at else {}
        valid = {output: known.get(output, path(to, output)) for output in to.outputs} if in_store else {}
        confirmed = known if confirms else {}
        info = claim.root and {*valid, *confirmed} >= {*to.outputs}
        report = resolved(claim.lease, samples, to, valid, [*confirmed.values()], info)
        expected = "done" if known.keys() <= {*valid, *confirmed} else "confirm"
        assert self.report("set_resolved_to", report) == [expected]
        if expected == "done":
            cut_short = to.name in self.aborted & self.model.at.keys() and self.model.stage(to.name) == "buildable"
            self.model.follow(node.name, to, {} if cut_short else valid, info)

    def finish(self, claims: Sequence[Claim], variant: Callable[[], int] = lambda: 0) -> None:
        nodes = [self.nodes[claim.name] for claim in claims]
        outputs = [{output: path(node, output, variant()) for output in node.outputs} for node in nodes]
        reports = [finished(claim.lease, o, claim.root) for claim, o in zip(claims, outputs, strict=True)]
        assert {*self.report("finish_steps", *reports)} <= {"done"}
        for claim, node, found in zip(claims, nodes, outputs, strict=True):
            self.model.finish(node, found, claim.root, claim.build)

    def work(self, worker: int, verb: str | None = None) -> None:
        """Work without errors: load everything, and let the other verbs take one step."""
        for v in [verb] if verb else STAGES:
            self.claim(worker, v, MANY)
            while v == "load" and self.opened(v):
                self.load(self.opened(v))
                self.compare()
                self.claim(worker, v, MANY)
            if v == "build":
                self.finish(self.opened(v))
            for claim in self.opened("resolve") if v == "resolve" else []:
                self.resolve(claim)
                self.compare()
            self.compare()

    def lose(self, paths: Collection[str]) -> None:
        assert self.farm.value("select resolver.invalidate_paths(%s)", [hashed(path) for path in paths]) == len(paths)
        self.model.lose(paths)

    # After each call.

    def compare(self) -> None:
        model, seen = self.model, self.farm.look()
        self.aborted = {*seen["aborted"]}
        self.follow_chains()
        self.drop_claims(seen)
        self.spread_failures(seen)
        model.record()
        assert seen["violations"] == []
        for what, expected in self.expected().items():
            keys = seen[what].keys() | expected.keys() if isinstance(expected, dict) else set[str]()
            differing = {key: (seen[what].get(key), expected.get(key)) for key in keys}
            differing = {key: values for key, values in differing.items() if values[0] != values[1]}
            assert seen[what] == expected, f"{what}: seen, expected: {differing or (seen[what], expected)}"
        self.pass_time(1)

    def expected(self) -> dict[str, Any]:
        """Return the model's state, in the form of `SNAPSHOT`."""
        model = self.model
        building = [claim for claim in self.opened("build") if claim.build in model.builds]
        return {
            "derivations": {
                name: [model.stage(name), it.resolved_to, bool(model.failures(name)), it.valid]
                for name, it in model.at.items()
            },
            "claims": {str(c.lease): [c.name, c.verb, c.worker] for c in self.opened()},
            "goals": {str(b): [g.root, g.recorded, g.ended and [*g.ended]] for b, g in model.goals.items()},
            "builds": {str(build): ended and [*ended] for build, (_, ended) in model.builds.items()},
            "busy": len(building),
            "uncounted": 0,
        }

    def follow_chains(self) -> None:
        """Want the outputs that chains lead to."""
        for name in [n for n, it in self.model.at.items() if it.chains]:
            if self.model.stage(name) in ("waiting", "resolvable", "resolved"):
                for needed, outputs in inputs_of(self.model.at, name).items():
                    self.model.want(needed, outputs)

    def drop_claims(self, seen: Any) -> None:
        """End claims of written derivations without dependents: their .drv was lost, or another one was written."""
        for claim in self.opened("load", "resolve"):
            if str(claim.lease) not in seen["claims"] and claim.name.startswith("made"):
                assert claim.name not in self.needed()
                self.model.at[claim.name].verb = None
