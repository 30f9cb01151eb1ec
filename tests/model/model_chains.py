"""Chains in the model: the inputs that dynamic derivations get from what builders write."""

from collections import defaultdict
from collections.abc import Mapping, Set

from .model_types import Derivation


def valid_outputs(at: Mapping[str, Derivation], name: str) -> Set[str]:
    """Return the valid outputs of a derivation, which the graph may not know yet."""
    return at[name].valid.keys() if name in at else set()


def inputs_of(at: Mapping[str, Derivation], name: str) -> dict[str, set[str]]:
    """Return the outputs that a derivation needs: of its inputs, and of derivations on its chains, as far as known."""
    found = defaultdict(set, {needed: {*outputs} for needed, outputs in at[name].inputs.items()})
    for needed, *outputs in at[name].chains:
        for output in outputs:
            found[needed].add(output)
            if output not in valid_outputs(at, needed):
                break
            needed = at[needed].valid[output].removesuffix(".drv")
    return found
