"""A PostgreSQL and a Nix store of our own, in a state directory, for users without either.

Importing this package, `tools` and `private_nix` needs the standard library only: ./dev uses them before .venv exists.
"""

from .errors import EmbeddedError

__all__ = ["EmbeddedError"]
