"""`what-if` for an output with another path, in graphs that are written down here with short paths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from hydra_resolver.database.records import Dependent, Outcome
from hydra_resolver.nix.derivation import Deferred, Derivation, DerivationError, Floating, InputOutput, Method
from hydra_resolver.nix.errors import NixError
from hydra_resolver.nix.resolve import Resolved, fill_deferred_outputs
from hydra_resolver.nix.store_path import StoreDir
from hydra_resolver.what_if import Fate, Finding, what_if

STORE = StoreDir("/nix/store")
FLOATING = Floating(Method.NAR, "sha256")


@dataclass
class Graph:
    """Derivations by name: `a` resolves to `a(x=1)` if output `out` of its input `x` has the path `1`."""

    nodes: dict[str, Dependent] = field(default_factory=dict)
    known: dict[str, Outcome] = field(default_factory=dict)
    broken: dict[str, Exception] = field(default_factory=dict)
    resolved: list[str] = field(default_factory=list)
    """The resolved derivations, in order."""

    def add(
        self,
        drv: str,
        inputs: Mapping[str, str | None],
        *,
        kind: str = "floating",
        outputs: Sequence[str] = ("out",),
        wanted: Sequence[str] = ("out",),
    ) -> None:
        """Add a derivation, resolved with these paths (`{"x^out": "1"}`) and built: output `out` is `drv-out`."""
        grouped: dict[str, dict[str, str | None]] = {}
        for output, path in inputs.items():
            source, _, name = output.partition("^")
            grouped.setdefault(source, {})[name] = path
        paths = {name: f"{drv}-{name}" for name in outputs}
        self.nodes[drv] = Dependent(drv, kind, True, resolved_name(drv, inputs), grouped, paths, wanted)

    def has_built(self, drv: str, **outputs: str) -> None:
        self.known[drv] = Outcome(drv, outputs, None)

    def what_if(self, **paths: str) -> dict[str, Finding]:
        """Return findings by derivation, in their order, if output `out` of the given derivations had these paths."""
        return self.what_if_outputs({f"{drv}^out": path for drv, path in paths.items()})

    def what_if_outputs(self, paths: Mapping[str, str]) -> dict[str, Finding]:
        given = {InputOutput(drv, (name,)): path for text, path in paths.items() for drv, name in [text.split("^")]}
        return {one.drv: one for one in what_if(given, self._dependents, self._outcomes, self._resolve, STORE)}

    def _dependents(self, drvs: Sequence[str]) -> list[Dependent]:
        return [node for node in self.nodes.values() if node.inputs.keys() & set(drvs)]

    def _outcomes(self, drvs: Sequence[str]) -> dict[str, Outcome]:
        return {drv: self.known[drv] for drv in drvs if drv in self.known}

    def _resolve(self, drv: str, paths: Mapping[InputOutput, str]) -> Resolved:
        if drv in self.broken:
            raise self.broken[drv]
        self.resolved.append(drv)
        node = self.nodes[drv]
        derivation = Derivation(
            name=drv,
            outputs={name: Deferred() if node.kind == "deferred" else FLOATING for name in node.outputs},
            input_drvs={},
            input_srcs=(),
            platform=b"",
            builder=b"",
            args=tuple(path.encode() for path in paths.values()),
            env={name.encode(): b"" for name in node.outputs},
        )
        if node.kind == "deferred":
            derivation = fill_deferred_outputs(derivation, STORE)
        return Resolved(derivation, b"", resolved_name(drv, {str(output): path for output, path in paths.items()}))


def resolved_name(drv: str, inputs: Mapping[str, str | None]) -> str:
    return f"{drv}({', '.join(f'{output}={path}' for output, path in sorted(inputs.items()))})"


@pytest.fixture
def graph() -> Graph:
    return Graph()


def fates(findings: Mapping[str, Finding]) -> dict[str, str]:
    return {drv: str(finding.fate) for drv, finding in findings.items()}


def test_an_output_without_dependents_has_no_findings(graph: Graph) -> None:
    assert graph.what_if(x="2") == {}


def test_the_current_path_of_an_output_changes_nothing(graph: Graph) -> None:
    graph.add("a", {"x^out": "1"})
    graph.add("b", {"a^out": "a-out"})
    found = graph.what_if(x="1")
    assert fates(found) == {"a": "same"}
    assert found["a"].resolved == found["a"].before == "a(x^out=1)"


def test_an_unknown_resolution_must_be_built_and_its_dependents_are_unknown(graph: Graph) -> None:
    graph.add("a", {"x^out": "1"})
    graph.add("b", {"a^out": "a-out"})
    graph.add("c", {"b^out": "b-out"})
    found = graph.what_if(x="2")
    assert fates(found) == {"a": "built", "b": "unknown", "c": "unknown"}
    assert found["a"] == Finding("a", Fate.BUILT, "a(x^out=1)", "a(x^out=2)", {"out": None}, ())
    assert found["c"].reason == found["b"].reason == "a has to be built first"
    assert graph.resolved == ["a"]


def test_a_known_resolution_with_the_same_outputs_is_cut_off_and_ends_the_search(graph: Graph) -> None:
    graph.add("a", {"x^out": "1"})
    graph.add("b", {"a^out": "a-out"})
    graph.has_built("a(x^out=2)", out="a-out")
    found = graph.what_if(x="2")
    assert list(found.values()) == [Finding("a", Fate.CUT_OFF, "a(x^out=1)", "a(x^out=2)", {"out": "a-out"}, ())]


def test_the_search_continues_above_a_known_resolution_with_other_outputs(graph: Graph) -> None:
    graph.add("a", {"x^out": "1"})
    graph.add("b", {"a^out": "a-out"})
    graph.add("c", {"b^out": "b-out"})
    graph.has_built("a(x^out=2)", out="new")
    graph.has_built("b(a^out=new)", out="b-out")
    found = graph.what_if(x="2")
    assert fates(found) == {"a": "cut off", "b": "cut off"}
    assert found["a"].changed == ("out",)
    assert found["b"].changed == ()


def test_only_dependents_of_a_changed_output_are_found(graph: Graph) -> None:
    graph.add("a", {"x^dev": "1"})
    graph.add("b", {"x^out": "1"}, outputs=["out", "dev"])
    graph.add("on-out", {"b^out": "b-out"})
    graph.add("on-dev", {"b^dev": "b-dev"})
    graph.has_built("b(x^out=2)", out="new", dev="b-dev")
    found = graph.what_if(x="2")
    assert fates(found) == {"b": "cut off", "on-out": "built"}
    assert found["b"].changed == ("out",)


def test_the_wanted_outputs_suffice_for_a_cut_off(graph: Graph) -> None:
    graph.add("a", {"x^out": "1"}, outputs=["out", "dev"])
    graph.add("both", {"x^out": "1"}, outputs=["out", "dev"], wanted=["out", "dev"])
    graph.add("on-out", {"a^out": "a-out", "both^out": "both-out"})
    graph.add("on-dev", {"both^dev": "both-dev"})
    graph.has_built("a(x^out=2)", out="new")
    graph.has_built("both(x^out=2)", out="newer")
    found = graph.what_if(x="2")
    assert fates(found) == {"a": "cut off", "both": "built", "on-out": "built", "on-dev": "unknown"}
    assert found["a"].outputs == {"out": "new", "dev": None}
    assert found["both"].outputs == {"out": "newer", "dev": None}
    assert found["on-out"].resolved == "on-out(a^out=new, both^out=newer)", "known outputs keep their paths"


def test_a_failed_resolution_is_cut_off_if_it_has_the_wanted_outputs(graph: Graph) -> None:
    graph.add("a", {"x^out": "1"}, outputs=["out", "dev"])
    graph.add("b", {"x^out": "1"}, outputs=["out", "dev"], wanted=["out", "dev"])
    graph.known["a(x^out=2)"] = Outcome("a(x^out=2)", {"out": "new"}, "it is broken now")
    graph.known["b(x^out=2)"] = Outcome("b(x^out=2)", {"out": "new"}, "it is broken now")
    assert fates(graph.what_if(x="2")) == {"a": "cut off", "b": "fails"}


def test_inputs_come_before_their_dependents_and_count_together(graph: Graph) -> None:
    graph.add("top", {"x^out": "1", "left^out": "left-out", "right^out": "right-out"})
    graph.add("right", {"left^out": "left-out"})
    graph.add("left", {"x^out": "1"})
    graph.has_built("left(x^out=2)", out="left-new")
    graph.has_built("right(left^out=left-new)", out="right-new")
    found = graph.what_if(x="2")
    assert list(found) == ["left", "right", "top"]
    assert found["top"].resolved == "top(left^out=left-new, right^out=right-new, x^out=2)"
    assert graph.resolved == ["left", "right", "top"]


def test_an_input_with_an_unchanged_path_keeps_it(graph: Graph) -> None:
    graph.add("a", {"x^out": "1", "y^out": "7"})
    assert graph.what_if(x="2")["a"].resolved == "a(x^out=2, y^out=7)"


def test_what_if_accepts_several_paths(graph: Graph) -> None:
    graph.add("a", {"x^out": "1", "x^dev": "1", "y^out": "7"})
    found = graph.what_if_outputs({"x^dev": "2", "y^out": "8"})
    assert found["a"].resolved == "a(x^dev=2, x^out=1, y^out=8)"


def test_a_given_path_is_not_computed(graph: Graph) -> None:
    graph.add("a", {"x^out": "1"})
    graph.add("b", {"a^out": "a-out"})
    found = graph.what_if(x="2", a="other")
    assert found["b"].resolved == "b(a^out=other)"


def test_a_fixed_output_and_its_dependents_stay_the_same(graph: Graph) -> None:
    graph.add("source", {"x^out": "1"}, kind="fixed")
    graph.add("a", {"source^out": "source-out"})
    found = graph.what_if(x="2")
    assert fates(found) == {"source": "same"}
    assert found["source"].reason == "its outputs are fixed"


def test_the_search_continues_with_the_computed_path_of_a_deferred_derivation(graph: Graph) -> None:
    graph.add("a", {"x^out": "1"}, kind="deferred")
    graph.add("b", {"a^out": "a-out"})
    found = graph.what_if(x="2")
    assert fates(found) == {"a": "built", "b": "built"}
    path = found["a"].outputs["out"]
    assert path is not None
    assert path.endswith("-a")
    assert found["b"].resolved == f"b(a^out={path})"


def test_a_known_failure_fails_all_dependents(graph: Graph) -> None:
    graph.add("a", {"x^out": "1"})
    graph.add("b", {"a^out": "a-out"})
    graph.known["a(x^out=2)"] = Outcome("a(x^out=2)", None, "it is broken")
    found = graph.what_if(x="2")
    assert fates(found) == {"a": "fails", "b": "fails"}
    assert (found["a"].reason, found["b"].reason) == ("it is broken", "a fails")


def test_a_derivation_that_cannot_be_resolved_fails_all_dependents(graph: Graph) -> None:
    graph.add("a", {"x^out": "1"})
    graph.add("b", {"a^out": "a-out"})
    graph.broken["a"] = DerivationError("it is odd")
    found = graph.what_if(x="2")
    assert fates(found) == {"a": "refused", "b": "fails"}
    assert (found["a"].reason, found["b"].reason) == ("it is odd", "a can't be built")


def test_a_derivation_that_the_store_lacks_is_unknown(graph: Graph) -> None:
    graph.add("a", {"x^out": "1"})
    graph.add("b", {"a^out": "a-out"})
    graph.broken["a"] = NixError(0, "it is gone")
    found = graph.what_if(x="2")
    assert fates(found) == {"a": "unknown", "b": "unknown"}
    assert found["b"].reason == "its .drv can't be read: it is gone"


def test_a_derivation_with_an_input_that_was_never_built_is_unknown(graph: Graph) -> None:
    graph.add("a", {"x^out": "1", "y^out": None})
    found = graph.what_if(x="2")
    assert fates(found) == {"a": "unknown"}
    assert found["a"].reason == "y^out was never built"


def test_an_unknown_input_does_not_hide_a_certain_failure(graph: Graph) -> None:
    graph.add("a", {"x^out": "1"})
    graph.add("z", {"x^out": "1"})
    graph.add("top", {"a^out": "a-out", "z^out": "z-out"})
    graph.known["z(x^out=2)"] = Outcome("z(x^out=2)", None, "it is broken")
    assert fates(graph.what_if(x="2")) == {"a": "built", "z": "fails", "top": "fails"}


def test_a_thousand_dependents_are_queried_in_parts(graph: Graph) -> None:
    for number in range(1200):
        graph.add(f"a{number:04}", {"x^out": "1"})
        graph.add(f"b{number:04}", {f"a{number:04}^out": f"a{number:04}-out"})
        graph.has_built(f"a{number:04}(x^out=2)", out="new")
    found = graph.what_if(x="2")
    assert len(found) == 2400
    assert {finding.fate for drv, finding in found.items() if drv.startswith("b")} == {Fate.BUILT}
