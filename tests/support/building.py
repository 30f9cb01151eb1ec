"""Small derivations for tests: a line or two of shell each, built by a real Nix."""

import subprocess
from pathlib import Path

from hydra_resolver.embedded.store import EmbeddedStore
from hydra_resolver.nix.build_result import BuildResult
from hydra_resolver.nix.store import Store

_EXPRESSION = """derivation ({
  name = "thing"; system = builtins.currentSystem; builder = "/bin/sh"; PATH = "/bin:/usr/bin";
  args = [ "-c" (builtins.readFile %s) ];
  __contentAddressed = true; outputHashMode = "recursive"; outputHashAlgo = "sha256";
} // %s)"""


class Builder:
    """Instantiates and builds derivations, which are floating unless the attributes say otherwise."""

    def __init__(self, nix_store: EmbeddedStore | Store, directory: Path) -> None:
        if isinstance(nix_store, EmbeddedStore):
            nix_store = Store(environment=nix_store.child_environment())
        self.store = nix_store
        self._directory = directory

    def instantiate(self, script: str, attributes: str = "{ }") -> str:
        """Return the base name of a derivation that runs the script; `attributes` (in Nix) override the defaults."""
        (self._directory / "script.sh").write_text(script)
        expression = _EXPRESSION % (self._directory / "script.sh", attributes)
        done = subprocess.run(
            ["nix-instantiate", "-E", expression], env=self.store.env, check=True, capture_output=True, text=True
        )
        return done.stdout.strip().rpartition("/")[2]

    def build(self, drv: str, *, timeout: int = 60, max_silent_time: int = 60) -> BuildResult:
        """Build and return Nix's result. Raises NixError."""
        with self.store.connect() as client:
            client.set_options(self.store.settings.with_limits(timeout=timeout, max_silent_time=max_silent_time))
            return client.build(drv)

    def outputs(self, script: str, attributes: str = "{ }") -> dict[str, str]:
        """Build a derivation, which must succeed; return its outputs (base names)."""
        result = self.build(self.instantiate(script, attributes))
        assert result.succeeded, result.error
        return dict(result.built_outputs)
