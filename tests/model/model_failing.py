"""Failures in the model: which builds they end, which failures are tried again, and which builds that reopens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis.stateful import RuleBasedStateMachine

from .model import Model
from .model_types import Derivation, Failure, Goal


class Failing(RuleBasedStateMachine):
    """Takes one choice from the database and checks it: which of several failures ends a build or is tried again."""

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.restarted: set[int] = set()  # builds that have a status but are not finished
        self.reminded: set[Failure] = set()  # cleared failures that had ended restarted builds
        self.recalling = False  # whether such a build has lost its goal: then the failure is found in Hydra's rows

    def open_goals(self) -> dict[int, Goal]:
        return {build: goal for build, goal in self.model.goals.items() if goal.ended is None}

    def spread_failures(self, seen: Any) -> None:
        """Let failures end goals, or be tried again for open goals."""
        recalling = self.recall(seen)
        model, goals = self.model, self.open_goals()
        ways = {build: model.ways(goal.root) for build, goal in goals.items()}
        causes = {build: {failure for failure, _ in found} for build, found in ways.items()}
        # The failures that are tried again, each with whether a restarted build is the reason.
        restarted: dict[Failure, set[bool]] = {failure: {True} for failure in self.reminded}
        if recalling:
            restarted |= {goal.cause: {True, False} for goal in model.goals.values() if goal.cause}
        self.reminded = set()
        itself = {build for build, goal in goals.items() if model.at[goal.root].failure}
        for failure in {it.failure for it in model.at.values() if it.failure}:
            if failure.derivation not in seen["failed"]:
                forgiving = [b for b, goal in goals.items() if failure in causes[b] and forgives(goal, failure)]
                assert forgiving, f"{failure} was forgotten"
                restarted[failure] = {build in self.restarted for build in forgiving}
                model.forgive(failure)
        self.reopen(restarted, seen["goals"], seen["causes"])
        for build, goal in goals.items():
            _, _, ended = seen["goals"][str(build)]
            if ended:
                status, cached = ended
                allowed = {
                    (
                        failure,
                        (
                            failure.status if build in itself else 2,
                            failure.time < goal.opened or (late and seen["failed"].get(failure.derivation) != build),
                        ),
                    )
                    for failure, late in ways[build]
                    if not forgives(goal, failure)
                }
                goal.cause = next((f for f, _ in allowed if f.derivation == seen["causes"][str(build)]), None)
                assert (goal.cause, (status, cached)) in allowed, f"build {build} may end by {allowed}"
                goal.ended = (status, cached)
            else:
                assert not model.failures(goal.root), f"build {build} must have ended"

    def recall(self, seen: Any) -> bool:
        """Reopen builds whose goals were forgotten: the database does so from Hydra's rows, which the model lacks."""
        model, recalling = self.model, self.recalling
        self.recalling = False
        if recalling:
            for name in seen["derivations"].keys() - model.at.keys():
                model.at[name] = Derivation()
        for build in sorted(int(build) for build in seen["goals"].keys() - {*map(str, model.goals)}):
            root, ended = model.builds[build]
            assert ended, f"build {build} has a goal, but had not ended"
            assert ended[0] not in (0, 4), f"build {build} was reopened after a success or a cancellation"
            model.builds[build] = root, None
            model.open(build, None)
        return recalling

    def reopen(
        self, restarted: Mapping[Failure, set[bool]], seen: Mapping[str, Any], causes: Mapping[str, str]
    ) -> None:
        """Restart the builds that ended by one of these failures, or give them another failure as the cause."""
        model = self.model
        for build, goal in [*model.goals.items()]:
            root, ended = model.builds.get(build, (None, None))
            if not (goal.ended and goal.cause in restarted and root and root.name == goal.root):
                continue
            as_it_ended = ended and ended[0] == goal.ended[0] if goal.recorded else ended is None
            asked_for = goal.ended[0] == 2 or goal.cause.kind == "builder"
            reopened = seen[str(build)][2] is None
            others = {failure.derivation: failure for failure in model.failures(goal.root)}
            if as_it_ended and asked_for and not others:
                assert reopened in restarted[goal.cause], f"build {build}: reopening differs"
            elif as_it_ended and asked_for and restarted[goal.cause] != {False}:
                assert restarted[goal.cause] == {True, False} or causes[str(build)] in others, f"build {build}: cause"
                goal.cause = others.get(causes[str(build)], goal.cause)
            if reopened:
                model.builds[build] = root, None
                model.open(build, True)
                self.hurry()
                if goal.recorded:
                    self.restarted = self.restarted | {build}
                    model.goals[build].opened = model.cleared.get(goal.cause, model.now)
                else:
                    model.goals[build].opened = goal.opened


def forgives(goal: Goal, failure: Failure) -> bool:
    """Whether a build tries the failure again: the failure is older than the goal, and is not a cached failure."""
    return failure.time < goal.opened and (failure.kind != "builder" if goal.retry is None else goal.retry)
