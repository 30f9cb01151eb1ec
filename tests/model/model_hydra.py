"""Changes of Hydra's rows by Hydra's programs and by users of its pages, as rules of the state machine."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from .model_machine import Compared
from .model_types import Node

CHANGES = ["cancel", "restart", "delete", "bump", "evaluate"]


class HydraRules(Compared):
    """Adds, changes and deletes builds; the graph is synchronised at once, or later."""

    def build(self, root: Node, retry: bool | None) -> None:
        build = self.farm.add_build(root)
        self.model.builds[build] = root, None
        self.sync({build: retry})

    @rule(data=st.data(), retry=st.sampled_from([None, None, True, False]))
    def add_build(self, data: st.DataObject, retry: bool | None) -> None:
        self.build(data.draw(st.sampled_from([*self.nodes.values()])), retry)

    @precondition(lambda self: self.model.builds)
    @rule(data=st.data(), change=st.sampled_from(CHANGES), told=st.booleans())
    def change_build(self, data: st.DataObject, change: str, told: bool) -> None:
        """Change a build as Hydra's pages or the evaluator do; the graph is synchronised at once, or later."""
        builds = self.model.builds
        fitting = [
            b for b, (_, ended) in builds.items() if change == "delete" or (ended is None) == (change != "restart")
        ]
        if not fitting:
            return
        build = data.draw(st.sampled_from(fitting))
        root = builds[build][0]
        if change == "evaluate":
            root = data.draw(st.sampled_from([*self.nodes.values()]))
        builds[build] = root, (4, False) if change == "cancel" else None
        self.restarted = self.restarted - {build} | ({build} if change == "restart" else set())
        if change == "delete":
            del builds[build]
        if told and change in ("cancel", "restart"):
            self.farm.value(f"select resolver.{change}_build(%s)", build)
            if self.told:
                self.synced({})
            else:
                self.sync({})
        else:
            self.farm.change_build(build, change, root)
            self.told = False
            if told:
                self.sync({})

    @precondition(lambda self: not self.told)
    @rule()
    def sync_builds(self) -> None:
        self.sync({})

    def sync(self, retry: Mapping[int, bool | None]) -> None:
        self.farm.sync_builds([b for b, r in retry.items() if r], [b for b, r in retry.items() if r is False])
        self.synced(retry)

    def synced(self, retry: Mapping[int, bool | None]) -> None:
        model, self.told = self.model, True
        for build, goal in [*model.goals.items()]:
            if build not in model.builds and not goal.recorded:
                del model.goals[build]
            elif goal.ended is None and (ended := model.builds[build][1]):
                goal.ended, goal.recorded = ended, True
        for build, (root, end) in model.builds.items():
            old = model.goals.get(build)
            if end is None and (old is None or old.recorded or old.root != root.name):
                if old and old.recorded and old.root == root.name and old.cause:
                    self.reminded = self.reminded | {old.cause}
                self.recalling |= old is None and build in self.restarted
                # A restart shows in the goal, or in the build's status if the goal was forgotten.
                again = True if build in self.restarted else retry.get(build)
                model.open(build, again)
                if again:
                    self.hurry()
