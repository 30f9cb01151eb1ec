"""One build drawn as a tree: its steps, resolved derivations, filled-in paths, early cut-offs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.text import Text

from .words import STATUS_WORDS, base_name, duration, first_line, printable, short_name

BOXES = ("├─ ", "└─ ", "│  ", "   ")
ASCII = ("|- ", "`- ", "|  ", "   ")


@dataclass(slots=True)
class Node:
    """A line, and the lines that hang from it."""

    text: Text
    children: list[Node] = field(default_factory=list)

    def add(self, *parts: str | tuple[str, str]) -> Node:
        """Hang another line from this one, and return it."""
        child = Node(Text.assemble(*parts))
        self.children.append(child)
        return child

    def lines(self, branches: Sequence[str] = BOXES) -> Iterator[Text]:
        """Yield the tree from this line on."""
        yield self.text
        for child in self.children:
            last = child is self.children[-1]
            first, *others = child.lines(branches)
            yield Text.assemble((branches[1 if last else 0], "dim"), first)
            for line in others:
                yield Text.assemble((branches[3 if last else 2], "dim"), line)


def draw_steps(report: dict[str, Any], width: int | None, *, ascii_only: bool = False) -> list[Text]:
    """Draw the tree of a build. `width` of the terminal: longer output paths are shown without their directory."""
    root = Node(
        Text.assemble(
            (printable(report["job"]), "bold"),
            f": build {report['build']}, {_outcome(report)}",
        )
    )
    terminals = {base_name(step["drv"]): step for step in report["steps"] if step["status"] != 13}
    resolved = {step["resolved"] for step in report["steps"] if step["status"] == 13}
    for step in report["steps"]:
        if step["status"] == 13:
            _draw_resolved(root, step, terminals.get(step["resolved"]))
        elif base_name(step["drv"]) not in resolved:
            root.add(_number(step), short_name(step["drv"]), " ", _ending(step))
    if not report["steps"]:
        known = report.get("known_from")
        root.add(f"no step was needed: its outputs are known from build {known}" if known else "no step was needed")
    if report["finished"] and report["status"] in (0, 6):
        for name, path in report["outputs"].items():
            if path:
                fits = width is None or len(name) + len(path) + 6 <= width
                root.add((f"{name} ", "dim"), path if fits else base_name(path))
    return list(root.lines(ASCII if ascii_only else BOXES))


def _draw_resolved(root: Node, step: dict[str, Any], terminal: dict[str, Any] | None) -> None:
    original = root.add(_number(step), short_name(step["drv"]))
    inputs = step["filled_in"] or []
    if inputs:
        original.children.append(_draw_filled_in(inputs))
    end = original.add(("resolved to ", "cyan"), short_name(step["resolved"]))
    if terminal is None:
        end.add("not ended yet")
    else:
        end.add(_number(terminal), _ending(terminal, cut_off=True))


def _draw_filled_in(inputs: Sequence[Sequence[str]]) -> Node:
    """Draw the paths of inputs. A derivation that a builder wrote hangs from the output that contains it: a chain."""
    filled = Node(Text("filled in", style="dim"))
    nodes = [
        Node(Text.assemble(f"{short_name(drv)}^{output}", (" is ", "dim"), short_name(path)))
        for drv, output, path in inputs
    ]
    producers = {base_name(path): node for (_, _, path), node in zip(inputs, nodes, strict=True)}
    for (drv, _, _), node in zip(inputs, nodes, strict=True):
        producers.get(drv, filled).children.append(node)
    return filled


def _number(step: dict[str, Any]) -> tuple[str, str]:
    return f"step {step['stepnr']}  ", "dim"


def _ending(step: dict[str, Any], *, cut_off: bool = False) -> tuple[str, str]:
    """Return how a step ended, in words. `cut_off`: the step belongs to a resolved derivation."""
    if step["busy"]:
        return "is being built", "cyan"
    origin = step["propagated_from"]
    match step["type"], step["status"]:
        case 1, _ if step["built_by"] is None:
            return "not built: its outputs were in the store already", "magenta"
        case 1, _ if cut_off:
            return f"not built: the same as built by build {step['built_by']}", "magenta"
        case 1, _:
            return f"not built: built before, by build {step['built_by']}", "magenta"
        case _, 0:
            return "built" + (f" in {duration(step['seconds'])}" if step["seconds"] else ""), "green"
        case _, 8:
            return f"known to fail since build {origin}: {first_line(step['message'])}", "red"
        case _, status:
            words = STATUS_WORDS.get(status, f"status {status}") + (f", in build {origin}" if origin else "")
            return f"{words}: {first_line(step['message'])}", "red"


def _outcome(report: dict[str, Any]) -> str:
    if not report["finished"]:
        return "queued"
    word = STATUS_WORDS.get(report["status"], f"status {report['status']}")
    return word + (", cached" if report["cached"] else "")
