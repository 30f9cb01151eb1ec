"""All calls of procedures, and all errors, as rules of a hypothesis state machine."""

from __future__ import annotations

import sys

from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from .model import STAGES
from .model_chains import inputs_of
from .model_farm import Claim, drv, hashed
from .model_graphs import graphs, path, resolved
from .model_hydra import HydraRules
from .model_machine import MANY
from .model_types import Node

VERBS = {"register_derivations": "load", "set_resolved_to": "resolve", "finish_steps": "build", "fail_steps": "build"}
STATUS = {"builder": 1, "transient": 3, "timeout": 7, "unsupported": 9}
verbs = st.sampled_from([*STAGES])
often = st.sampled_from([True, True, True, False])


class Machine(HydraRules):
    """Workers, Hydra's programs, and everything that may go wrong with them."""

    @initialize(nodes=graphs(), done=st.lists(verbs, max_size=6))
    def begin(self, nodes: list[Node], done: list[str]) -> None:
        self.farm.reset()
        self.nodes = {node.name: node for node in nodes}
        self.pass_time(1_000_000)
        self.register_worker()
        self.register_worker()
        self.build(nodes[-1], None)
        for verb in done:
            self.work(1, verb)

    @invariant()
    def equal(self) -> None:
        self.compare()

    def a_worker(self, data: st.DataObject) -> int:
        return data.draw(st.sampled_from([*self.workers])) if self.workers else self.register_worker()

    def some_goal(self, data: st.DataObject) -> None:
        """Make sure that there is work: if everything is realised, lose all outputs first."""
        if self.open_goals():
            return
        at = self.model.at
        fresh = [
            node for node in self.nodes.values() if node.name not in at or self.model.stage(node.name) != "realised"
        ]
        if not fresh:
            self.lose({path for it in at.values() for path in it.valid.values()})
            self.compare()
        self.build(
            data.draw(st.sampled_from(fresh or [*self.nodes.values()])), data.draw(st.sampled_from([None, True]))
        )
        self.compare()

    def some(self, data: st.DataObject, verb: str, most: int = 1) -> list[Claim]:
        """Return some open claims; if there are none, do the work that must come before, and claim."""
        self.some_goal(data)
        worker = self.a_worker(data)
        for other in [*STAGES] * 3:
            if self.can(verb):
                break
            if other != verb:
                self.work(worker, other)
        if not self.opened(verb):
            self.claim(worker, verb, MANY)
        leases = [claim.lease for claim in self.opened(verb)]
        some = data.draw(st.lists(st.sampled_from(leases), min_size=1, max_size=most, unique=True)) if leases else []
        return [self.claims[lease] for lease in some]

    @rule(data=st.data(), verb=verbs)
    def work_on(self, data: st.DataObject, verb: str) -> None:
        """Claim and do work of one verb, without errors."""
        self.some_goal(data)
        self.work(self.a_worker(data), verb)

    # Workers.

    @rule(data=st.data(), verb=verbs, limit=st.sampled_from([1, 2, MANY]))
    def claim_some(self, data: st.DataObject, verb: str, limit: int) -> None:
        self.claim(self.a_worker(data), verb, limit)

    @rule(data=st.data())
    def register(self, data: st.DataObject) -> None:
        self.load(self.some(data, "load", 3))

    @rule(data=st.data())
    def register_changed(self, data: st.DataObject) -> None:
        """Load while the store has paths that are not on record, or has lost paths that are."""
        stored: dict[str, bool] = {}
        self.load(
            self.some(data, "load", 3),
            lambda path: stored.setdefault(path, data.draw(st.booleans(), f"the store has {path}")),
        )

    @rule(data=st.data(), in_store=st.sampled_from([True, False, False]), confirms=often)
    def set_resolved(self, data: st.DataObject, in_store: bool, confirms: bool) -> None:
        for claim in self.some(data, "resolve"):
            self.resolve(claim, in_store, confirms)

    @rule(data=st.data(), missing=st.booleans())
    def set_resolved_otherwise(self, data: st.DataObject, missing: bool) -> None:
        """Report resolutions that used wrong paths, or too few."""
        for claim in self.some(data, "resolve"):
            samples = claim.samples()[1:] + ([] if missing else [[*claim.samples()[0][:2], hashed("other")]])
            assert self.report("set_resolved_to", resolved(claim.lease, samples, None)) == ["stale"]
            it = self.model.at[claim.name]
            it.verb, it.tries, it.not_before = None, 0, 0

    @rule(data=st.data())
    def finish_steps(self, data: st.DataObject) -> None:
        self.finish(self.some(data, "build", 2), lambda: data.draw(st.integers(0, 1), "variant"))

    @rule(data=st.data(), kind=st.sampled_from([*STATUS]))
    def fail_step(self, data: st.DataObject, kind: str) -> None:
        for claim in self.some(data, "build"):
            self.hurried = self.hurried - {claim.name} | ({claim.name} - self.needed())
            again = kind == "transient" and self.model.at[claim.name].tries < 4
            report = {"lease": claim.lease, "class": kind, "status": STATUS[kind]}
            assert self.report("fail_steps", report) == ["retried" if again else "done"]
            self.model.fail(claim.name, kind, STATUS[kind])

    @rule(data=st.data(), procedure=st.sampled_from(["register_derivations", "set_resolved_to"]))
    def refuse(self, data: st.DataObject, procedure: str) -> None:
        for claim in self.some(data, VERBS[procedure]):
            failed = {"class": "unsupported", "status": 3, "message": "no"}
            report = {"lease": claim.lease, "drv": drv(claim.name), "failed": failed}
            assert self.report(procedure, report) == ["done"]
            self.model.fail(claim.name, "unsupported", 3)

    @precondition(lambda self: self.open_goals() and self.claims)
    @rule(data=st.data(), procedure=st.sampled_from([*VERBS]), same=st.booleans())
    def report_in_vain(self, data: st.DataObject, procedure: str, same: bool) -> None:
        """Report a claim that is closed, or with the wrong procedure: nothing changes."""
        claims = [c for c in self.claims.values() if not self.is_open(c) or c.verb != VERBS[procedure]]
        if claims:
            claim = data.draw(st.sampled_from(claims))
            other = {"lease": claim.lease, "drv": drv(claim.name), "failed": None, "class": "timeout", "status": 7}
            expected = "lease_lost" if not claim.report else "already" if same else "refused"
            report = claim.report if claim.report and same else other
            assert self.farm.report(procedure, [report]) == [expected if claim.verb == VERBS[procedure] else "refused"]

    # Ends of workers, losses, and forgetting.

    @precondition(lambda self: self.open_goals() and self.claims)
    @rule(data=st.data())
    def release_claims(self, data: st.DataObject) -> None:
        """Release claims of one worker, and some leases that the worker does not hold."""
        if self.claims:
            worker, leases = self.a_worker(data), data.draw(st.sets(st.sampled_from([*self.claims])))
            self.farm.value("select resolver.release_claims(%s, %s, 'test')", worker, [*leases])
            self.free(lambda claim: claim.worker == worker and claim.lease in leases)

    @precondition(lambda self: self.open_goals())
    @rule(data=st.data(), verb=verbs)
    def release_other_claims(self, data: st.DataObject, verb: str) -> None:
        worker = self.a_worker(data)
        held = data.draw(st.sets(st.sampled_from([*self.claims]))) if self.claims else set()
        self.farm.value("select resolver.release_other_claims(%s, %s, %s)", worker, verb, [*held])
        self.free(lambda claim: claim.worker == worker and claim.verb == verb and claim.lease not in held)

    @precondition(lambda self: self.open_goals())
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        worker = self.a_worker(data)
        self.farm.value("select resolver.deregister_worker(%s)", worker)
        del self.workers[worker]
        self.free(lambda claim: claim.worker == worker)

    @precondition(lambda self: self.open_goals())
    @rule(data=st.data(), seconds=st.sampled_from([61, 170, 601, 1700]))
    def expire(self, data: st.DataObject, seconds: int) -> None:
        self.pass_time(seconds)
        for worker in self.workers:
            if data.draw(st.booleans(), f"worker {worker} lives"):
                self.beat(worker)
        self.sweep()

    def sweep(self) -> None:
        now = self.model.now
        dead = {worker for worker, beat in self.workers.items() if beat < now - 60}
        self.workers = {worker: beat for worker, beat in self.workers.items() if worker not in dead}
        swept = self.farm.value("select resolver.sweep()")
        assert swept == self.free(lambda claim: claim.worker in dead or (claim.deadline or now) < now, attempted=True)

    def beat(self, worker: int) -> None:
        self.workers[worker] = self.model.now
        for claim in [self.claims[lease] for lease in self.farm.heartbeat(worker)]:
            assert self.is_open(claim)
            assert (claim.worker, claim.verb) == (worker, "build")
            assert claim.name not in self.needed(), f"{claim} must not be aborted: a goal needs it"

    @precondition(lambda self: any(it.valid for it in self.model.at.values()))
    @rule(data=st.data())
    def lose_outputs(self, data: st.DataObject) -> None:
        if paths := sorted({path for it in self.model.at.values() for path in it.valid.values()}):
            lost = data.draw(st.sets(st.sampled_from(paths), min_size=1, max_size=2))
            self.lose(lost)

    @precondition(lambda self: self.open_goals())
    @rule(data=st.data(), variant=st.integers(0, 1))
    def find_output(self, data: st.DataObject, variant: int) -> None:
        """Register an output that another component has found."""
        if known := [self.nodes[name] for name, it in self.model.at.items() if it.must_resolve is not None]:
            node = data.draw(st.sampled_from(known))
            output = data.draw(st.sampled_from(node.outputs))
            it, stage = self.model.at[node.name], self.model.stage(node.name)
            news = output not in it.valid and stage not in ("building", "failed")
            assert self.farm.find_output(node.name, output, path(node, output, variant)) == news
            if news:
                self.model.find(node, output, path(node, output, variant))

    @rule()
    def prune(self) -> None:
        """Prune with age 0: everything without use to open goals may be forgotten."""
        model, self.claims = self.model, {claim.lease: claim for claim in self.opened()}
        kept, goals = self.farm.prune()
        gone = model.at.keys() - kept
        assert not gone & self.needed()
        for name in gone:
            assert not model.at[name].verb
            assert not model.at[name].valid
            assert not model.wanting(name)
        model.at = {name: it for name, it in model.at.items() if name not in gone}
        for name, it in model.at.items():
            assert it.resolved_to not in gone
            assert (
                model.stage(name) in ("unloaded", "realised", "failed") or not gone & inputs_of(model.at, name).keys()
            )
            it.inputs = {i: outputs for i, outputs in it.inputs.items() if i not in gone}
        assert all(goal.recorded for build, goal in model.goals.items() if build not in goals)
        model.goals = {build: goal for build, goal in model.goals.items() if build in goals}
        in_force = {it.failure for it in model.at.values()}
        for goal in model.goals.values():
            goal.cause = goal.cause if goal.cause in in_force else None

    def teardown(self) -> None:
        """Check that every goal ends if there are no further errors."""
        if sys.exception() or not self.nodes:
            return
        self.sync({})
        self.pass_time(3600)
        self.sweep()
        worker = self.register_worker()
        for _ in range(100):
            self.compare()
            if not self.open_goals():
                return
            self.work(worker)
        raise AssertionError("there are open goals after 100 rounds of work")
