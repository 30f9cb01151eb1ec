"""A model of the build graph: it says what the database must contain after each call of a procedure.

The model keeps facts (valid outputs, failures, claims) and derives the stage of each derivation; the database stores
the stage and moves it. The model does not predict choices: which input is watched, which build owns a derivation, which
derivations a claim gets, and which of several failures ends a build or is tried again.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence

from .model_chains import inputs_of, valid_outputs
from .model_types import Derivation, Ended, Failure, Goal, Node

STAGES = {"load": "unloaded", "resolve": "resolvable", "build": "building"}  # the stage of a claimed derivation


class Model:
    def __init__(self) -> None:
        self.at: dict[str, Derivation] = {}
        self.goals: dict[int, Goal] = {}
        self.builds: dict[int, tuple[Node, Ended | None]] = {}  # Hydra's rows
        self.now = 0
        self.cleared: dict[Failure, int] = {}  # when each failure was cleared

    def missing(self, name: str) -> list[str]:
        return [i for i, outputs in inputs_of(self.at, name).items() if not valid_outputs(self.at, i) >= outputs]

    def stage(self, name: str) -> str:
        it = self.at[name]
        if it.failure or it.verb == "build":
            return "failed" if it.failure else "building"
        if it.unloaded or it.valid.keys() >= it.wanted:
            return "unloaded" if it.unloaded else "realised"
        if it.resolved_to or self.missing(name):
            return "resolved" if it.resolved_to else "waiting"
        return "resolvable" if it.must_resolve else "buildable"

    def ways(self, name: str) -> set[tuple[Failure, bool]]:  # failures that stop it; whether by a later resolution
        if it := self.at[name].failure:
            return {(it, self.at[name].late)}
        return {way for i in self.missing(name) for way in self.ways(i)} if self.stage(name) == "waiting" else set()

    def failures(self, name: str) -> set[Failure]:  # failures that stop the derivation from being realised
        return {failure for failure, _ in self.ways(name)}

    def wanting(self, root: str) -> list[int]:
        return [build for build, goal in self.goals.items() if goal.ended is None and goal.root == root]

    def followers(self, name: str) -> list[str]:
        return [n for n, it in self.at.items() if it.resolved_to == name and self.stage(n) == "resolved"]

    def look_again(self, name: str) -> None:
        self.at[name].unloaded, self.at[name].resolved_to = True, None

    def want(self, name: str, outputs: Iterable[str]) -> None:
        it = self.at.setdefault(name, Derivation())
        realised, it.wanted = self.stage(name) == "realised", it.wanted | {*outputs}
        if realised and self.stage(name) != "realised":
            self.look_again(name)
        if it.resolved_to and self.stage(name) == "resolved":
            self.want(it.resolved_to, outputs)

    def lose(self, paths: Collection[str]) -> None:
        realised = [name for name in self.at if self.stage(name) == "realised"]
        for it in self.at.values():
            it.valid = {output: path for output, path in it.valid.items() if path not in paths}
        for name in realised:
            if self.stage(name) != "realised":
                self.look_again(name)
        for name, it in self.at.items():
            it.resolved_to = None if self.stage(name) == "resolved" and self.missing(name) else it.resolved_to
            it.verb = it.verb if it.verb and self.stage(name) == STAGES[it.verb] else None

    def open(self, build: int, retry: bool | None) -> None:
        root, old = self.builds[build][0], self.goals.get(build)
        same = old is not None and old.root == root.name
        self.goals[build] = Goal(root.name, self.now, old.recorded or old.retry if old and same else retry)
        it = self.at.setdefault(root.name, Derivation())
        if self.stage(root.name) == "realised":
            self.look_again(root.name)
        if it.must_resolve is not None:
            self.want(root.name, root.outputs)

    def record(self) -> None:  # ends go into Hydra's rows, unless the evaluator gave the build another root
        for build, goal in self.goals.items():
            root, ended = self.builds.get(build, (None, None))
            if goal.ended and not goal.recorded and root and (ended or root.name == goal.root):
                self.builds[build], goal.recorded = (root, ended or goal.ended), True

    def realise(self, node: Node, info: bool, account: int | None = None) -> None:
        for name in [node.name, *self.followers(node.name)]:
            it, read = self.at[name], info and self.at[node.name].valid.items() >= self.at[name].valid.items()
            it.valid = {**self.at[node.name].valid, **it.valid}
            if it.valid.keys() >= it.wanted:
                it.unloaded, it.verb, it.tries, it.not_before = False, None, 0, 0
                for build in self.wanting(name):
                    goal = self.goals[build]
                    goal.built |= build == account or any(
                        b == build and time >= goal.opened for b, time in self.at[node.name].built_for
                    )
                    if read:
                        self.goals[build].ended = (0, not self.goals[build].built)
                    else:
                        self.look_again(name)

    def load(self, found: Sequence[tuple[Node, Mapping[str, str], bool]]) -> None:
        for node, valid, _ in found:
            it = self.at[node.name]
            self.lose({path for output, path in it.valid.items() if output not in valid})
            it.valid, it.verb, it.unloaded, it.tries, it.not_before = {**valid, **it.valid}, None, False, 0, 0
            if it.must_resolve is None:
                it.must_resolve = bool(node.inputs or node.chains) and node.kind != "input-addressed"
            it.wanted |= {*node.outputs} if self.wanting(node.name) else set()
        whole = {node.name for node, _, _ in found if self.stage(node.name) == "realised"}
        for node, _, info in found:
            if node.name in whole:
                self.realise(node, info)
        for node in [node for node, _, _ in found if node.name not in whole]:
            self.at[node.name].inputs, self.at[node.name].chains = node.inputs, node.chains
            for name, outputs in inputs_of(self.at, node.name).items():
                self.want(name, outputs)

    def follow(self, name: str, to: Node, found: Mapping[str, str], info: bool) -> None:
        it, resolved = self.at[name], self.at.setdefault(to.name, Derivation())
        it.verb, it.resolved_to, it.tries, it.not_before = None, to.name, 0, 0
        resolved.must_resolve = resolved.must_resolve or False
        self.want(to.name, it.wanted)
        if resolved.verb != "build":
            resolved.valid = {**found, **resolved.valid}
        if (failure := resolved.failure) and (failure.kind != "builder" or resolved.valid.keys() >= {*to.outputs}):
            self.forgive(failure)
        self.realise(to, info)
        if self.stage(name) == "resolved" and not resolved.verb:
            resolved.unloaded = False
        if resolved.failure and self.stage(name) == "resolved":
            it.failure, it.late, it.resolved_to = resolved.failure, True, None

    def find(self, node: Node, output: str, path: str) -> None:
        it, realised = self.at[node.name], self.stage(node.name) == "realised"
        it.valid, it.verb = {**it.valid, output: path}, None
        if not realised:
            self.realise(node, info=False)

    def finish(self, node: Node, outputs: Mapping[str, str], info: bool, account: int) -> None:
        it = self.at[node.name]
        it.valid, it.verb, it.built_for = {**outputs, **it.valid}, None, (*it.built_for, (account, self.now))
        self.realise(node, info and it.valid == outputs, account)

    def fail(self, name: str, kind: str, status: int) -> None:
        it, self.at[name].verb = self.at[name], None
        if kind == "transient" and it.tries < 4:
            it.not_before, it.tries = self.now + 60 * 3**it.tries, it.tries + 1
            return
        for n in [name, *self.followers(name)]:
            self.at[n].failure, self.at[n].resolved_to = Failure(name, kind, status, self.now), None
            self.at[n].late = False

    def cut_short(self, name: str) -> None:  # an attempt ends because its worker died
        it = self.at[name]
        it.verb, it.tries = None, it.tries + 1
        if it.tries >= 5:
            self.fail(name, "transient", 3)
        elif it.tries > 1:
            it.not_before = self.now + 60 * 3 ** (it.tries - 2)

    def forgive(self, failure: Failure) -> None:
        self.cleared[failure] = self.now
        for name, it in self.at.items():
            if it.failure == failure:
                it.failure, it.unloaded = None, True
                it.tries = 0 if name == failure.derivation else it.tries
