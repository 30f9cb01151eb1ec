"""Lets a real Nix read and print arbitrary texts of .drv files."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from hydra_resolver.nix.aterm_print import derivation_path
from hydra_resolver.nix.client import Text
from hydra_resolver.nix.derivation import Deferred, Derivation
from hydra_resolver.nix.errors import ConnectionLost, NixError, StoreError
from hydra_resolver.nix.protocol.wire import encode_string, encode_u64
from hydra_resolver.nix.resolve import fill_deferred_outputs
from hydra_resolver.nix.store import Store
from hydra_resolver.nix.store_path import InvalidStorePath

QUERY_DERIVATION_OUTPUT_NAMES = 28
"""The operation of the worker protocol that reads a .drv, and does nothing else with it."""

_PLAIN = b'Derive([("out","","r:sha256","")],[],[],"%d","",[],[])'
_OUTPUT_PATH = re.compile(r"has incorrect output '[^']*', should be '([^']*)'")


class NixReader:
    """Asks Nix about texts of derivations with one name. Nix does not check a file again once it has accepted it."""

    def __init__(self, store: Store, name: str) -> None:
        self.store = store
        self.name = name
        self.client = store.connect()
        self._path = self._placed(_PLAIN % 0)

    def __enter__(self) -> NixReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def _placed(self, text: bytes) -> str:
        """Add a text to the store, which Nix must accept; return the base name of the .drv."""
        path = self.store.store_dir.text_path(f"{self.name}.drv", text, [])
        self.client.add_text(Text(path, text, []))
        return path

    def _replace(self, path: str, text: bytes) -> None:
        file = self.store.real_path(path)
        changed = file.with_name("new")
        changed.write_bytes(text)
        changed.replace(file)

    def output_names(self, text: bytes) -> list[bytes] | StoreError:
        """Return the names of a derivation's outputs, or Nix's error. Nix reads the text without checking it.

        Nix 2.26 crashes on unterminated strings; that counts as a refusal.
        """
        self._replace(self._path, text)
        request = encode_u64(QUERY_DERIVATION_OUTPUT_NAMES) + encode_string(self.store.full_path(self._path).encode())
        try:
            return self.client._connection.call_many([request], lambda reader: sorted(reader.strings()))[0]
        except ConnectionLost as error:
            self.client.close()
            self.client = self.store.connect()
            return error

    def first_output_path(self, text: bytes) -> str | NixError:
        """Return the right path (a base name) for the first output of an input-addressed derivation without inputs.

        Nix computes the path from the whole derivation as Nix prints it.
        """
        try:
            self._placed(text)
        except NixError as error:
            found = _OUTPUT_PATH.search(error.message)
            return error if found is None else self.store.base_name(found[1])
        raise AssertionError("Nix accepted a wrong output path")

    def shown(self, texts: Sequence[bytes]) -> list[dict[str, Any]]:
        """Return each text as Nix shows it in JSON."""
        if not texts:
            return []
        paths = [self._placed(_PLAIN % number) for number in range(1, len(texts) + 1)]
        for path, text in zip(paths, texts, strict=True):
            self._replace(path, text)
        done = self._nix("derivation", "show", *map(self.store.full_path, paths))
        assert done.returncode == 0, done.stderr
        shown = json.loads(done.stdout)
        by_path = {path.rpartition("/")[2]: derivation for path, derivation in shown.get("derivations", shown).items()}
        return [by_path[path] for path in paths]

    def written_path(self, shown: dict[str, Any]) -> str | None:
        """Return the base name of the .drv that Nix would write, a hash of its text; ``None`` if Nix refuses."""
        done = self._nix("derivation", "add", "--dry-run", stdin=json.dumps(shown))
        return None if done.returncode else self.store.base_name(done.stdout.strip())

    def our_paths(self, derivation: Derivation) -> set[str]:
        """Return the paths that Nix may give a derivation: Nix 2.34 fills in output paths that it can compute."""
        store_dir = self.store.store_dir
        paths = {name.encode(): derivation.output_path(name, store_dir) for name in derivation.outputs}
        in_env = {name: store_dir.render(path).encode() for name, path in paths.items() if path}
        filled = derivation.with_changes(env={**derivation.env, **in_env})
        if not derivation.input_drvs and all(isinstance(output, Deferred) for output in derivation.outputs.values()):
            with suppress(InvalidStorePath):
                filled = fill_deferred_outputs(derivation, store_dir)
        return {derivation_path(derivation, store_dir), derivation_path(filled, store_dir)}

    def _nix(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        program = shutil.which("nix", path=self.store.env["PATH"])
        assert program is not None
        return subprocess.run(
            [program, *arguments], env=self.store.env, input=stdin, capture_output=True, text=True, check=False
        )
