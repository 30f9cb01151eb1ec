"""One output of a derivation in its ATerm form: name, path, hash algorithm with method, hash.

Source: ``parseDerivationOutput`` and ``unparse`` in the source of Nix; the Nix manual, "Derivation Outputs".
"""

from __future__ import annotations

import base64
import binascii

from .derivation import Deferred, Fixed, Floating, Impure, InputAddressed, Method, Output
from .store_path import StoreDir, check_name, output_path_name, parse_nix32

DIGEST_SIZES = {"md5": 16, "sha1": 20, "sha256": 32, "sha512": 64, "blake3": 32}
"""Hash algorithms of Nix and the size of their digests in bytes."""

PATH_ALGORITHMS = {Method.TEXT: ("sha256",), Method.GIT: ("sha1", "sha256")}
"""Methods that have store paths for some hash algorithms only; the other methods have them for all."""


def parse_output(
    drv_name: str, name: str, path: str, method_algorithm: str, hash_text: str, *, store_dir: StoreDir
) -> Output:
    """Read an output. Raises ``ValueError`` where Nix refuses it, and where Nix can't compute a fixed output's path.

    Nix reads the latter, but can't use it; Nix 2.34 even crashes on fixed text with another hash than sha256.
    """
    if not method_algorithm:
        return InputAddressed(store_dir.parse(path)) if path else Deferred()
    prefix, separator, algorithm = method_algorithm.rpartition(":")
    try:
        method = Method(prefix + separator)
    except ValueError:
        raise ValueError(f"unknown content-addressing method '{prefix}'") from None
    if algorithm not in DIGEST_SIZES:
        raise ValueError(f"unknown hash algorithm '{algorithm}'")
    if hash_text and hash_text != "impure":
        if not path.startswith("/"):
            raise ValueError(f"bad path '{path}' in derivation")
        if algorithm not in PATH_ALGORITHMS.get(method, DIGEST_SIZES):
            raise ValueError(f"no store path has the content-addressing method '{prefix}' with {algorithm}")
        check_name(output_path_name(drv_name, name))
        return Fixed(method, algorithm, parse_digest(hash_text, algorithm))
    if path:
        raise ValueError("a content-addressing output without a hash must not have a path")
    return Impure(method, algorithm) if hash_text else Floating(method, algorithm)


def print_output(name: str, output: Output, drv_name: str, store_dir: StoreDir, masked: bool) -> str:
    """Return the text of an output; ``masked``: without its path."""
    path = method_algorithm = hash_text = ""
    match output:
        case InputAddressed(base_name):
            path = store_dir.render(base_name)
        case Fixed(method, algorithm, digest):
            if not masked:
                output_name = output_path_name(drv_name, name)
                path = store_dir.render(store_dir.fixed_output_path(method.value, algorithm, digest, output_name))
            method_algorithm, hash_text = method.value + algorithm, digest.hex()
        case Floating(method, algorithm):
            method_algorithm = method.value + algorithm
        case Impure(method, algorithm):
            method_algorithm, hash_text = method.value + algorithm, "impure"
        case _:
            pass
    return f'("{name}","{"" if masked else path}","{method_algorithm}","{hash_text}")'


def parse_digest(text: str, algorithm: str) -> bytes:
    """Read a digest in base 16, Nix's base 32 or base 64, recognised by its length. Raises ``ValueError``."""
    size = DIGEST_SIZES[algorithm]
    try:
        if len(text) == size * 2:
            return binascii.unhexlify(text)
        if len(text) == (size * 8 + 4) // 5:
            return parse_nix32(text)
        if len(text) == (size + 2) // 3 * 4:
            # Nix skips line ends, and stops at the first equals sign.
            digits = text.partition("=")[0].replace("\n", "")
            digest = base64.b64decode(digits + "=" * (-len(digits) % 4), validate=True)
            if len(digest) == size:
                return digest
    except ValueError as error:
        raise ValueError(f"invalid {algorithm} hash '{text}': {error}") from None
    raise ValueError(f"hash '{text}' has the wrong length for {algorithm}")
