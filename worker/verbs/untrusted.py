"""Outputs on the record of an untrusted store: they are built all the same."""

from __future__ import annotations

import secrets
from dataclasses import replace

from ..database.procedures import Claim
from ..nix.aterm_print import derivation_path, print_derivation
from ..nix.build_result import BuildResult, BuildStatus
from ..nix.client import Client, Text
from ..nix.derivation import Derivation, Kind
from .context import Context

ALREADY_VALID = (BuildStatus.ALREADY_VALID, BuildStatus.RESOLVES_TO_ALREADY_VALID)
"""Statuses of outputs that Nix had on record and did not build: another user may have registered them."""

_TEXT_NAME = "hydra-resolver-attempt"
_TEXT_BYTES = 32


class NotBuilt(Exception):
    """Nix did not build outputs that no other user can have registered."""


def is_forestalled(context: Context, client: Client, claim: Claim, derivation: Derivation) -> bool:
    """Return whether Nix has an output on record that our trace lacks, for a derivation with several outputs: Nix would
    build the others, and take the recorded output for a result of the build. Raises NixError.
    """
    if context.trust_store or derivation.kind is not Kind.FLOATING or len(derivation.outputs) == 1:
        return False
    recorded = {name: path for name, path in client.query_derivation_output_map(claim.drv).items() if path is not None}
    return not recorded.items() <= claim.known.items()


def is_believed(context: Context, claim: Claim, derivation: Derivation, result: BuildResult) -> bool:
    """Return whether the outputs may be used: just built, the only possible ones, or equal to our own trace."""
    return (
        context.trust_store
        or result.status not in ALREADY_VALID
        or derivation.kind is not Kind.FLOATING
        or (
            result.built_outputs.keys() == derivation.outputs.keys()
            and result.built_outputs.items() <= claim.known.items()
        )
    )


def add_copy(context: Context, client: Client, derivation: Derivation) -> str:
    """Write a copy of the derivation with one more source, a text of random bytes; return the base name of its .drv.

    Realisations are filed under a hash of the whole derivation, including sources: no other user can have registered
    one for the copy. The builder does not learn of the text; only the place where it writes its outputs, before Nix
    renames them, is another one. Raises NixError.
    """
    store_dir = context.store.store_dir
    content = secrets.token_bytes(_TEXT_BYTES)
    text = store_dir.text_path(_TEXT_NAME, content, ())
    copy = replace(derivation, input_srcs=tuple(sorted({*derivation.input_srcs, text})))
    printed = print_derivation(copy, store_dir)
    drv = derivation_path(copy, store_dir, printed)
    client.add_temp_roots(store_dir.unfinished_output_path(drv, name) for name in copy.outputs)
    for answer in client.add_texts([Text(text, content, ()), Text(drv, printed, copy.references)]):
        if answer is not None:
            raise answer
    return drv


def as_built(claim: Claim, result: BuildResult) -> BuildResult:
    """Return the result of a copy. Raises NotBuilt if Nix has the outputs without having built them for us."""
    if result.succeeded and result.status is not BuildStatus.BUILT:
        raise NotBuilt(f"Nix has outputs of {claim.drv} that it did not build for us, and trust_store is off")
    return result
