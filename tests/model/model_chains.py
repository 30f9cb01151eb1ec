"""What chains lead to: the part of the model that is about dynamic derivations."""

from collections import defaultdict
from collections.abc import Mapping, Set

from .model_types import Derivation


def valid_outputs(at: Mapping[str, Derivation], name: str) -> Set[str]:
    """Of a derivation, which may be one that nobody has heard of yet."""
    return at[name].valid.keys() if name in at else set()


def inputs_of(at: Mapping[str, Derivation], name: str) -> dict[str, set[str]]:
    """What a derivation needs: outputs of inputs, and of what its chains lead to, as far as that is known."""
    found = defaultdict(set, {needed: {*outputs} for needed, outputs in at[name].inputs.items()})
    for needed, *outputs in at[name].chains:
        for output in outputs:
            found[needed].add(output)
            if output not in valid_outputs(at, needed):
                break
            needed = at[needed].valid[output].removesuffix(".drv")
    return found
