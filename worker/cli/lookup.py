"""Looking up the path of an output: in the database, then in the store's own record."""

from __future__ import annotations

from ..database.procedures import Procedures
from ..nix.client import Client
from ..nix.derivation import InputOutput
from ..nix.errors import NixError
from .target import Options, open_database


class Lookup:
    """Finds valid outputs. The database is only asked when one was named, or the embedded one exists."""

    def __init__(self, options: Options, client: Client) -> None:
        self._options = options
        self._client = client
        self._recorded: dict[str, dict[str, str]] = {}

    def path_of(self, wanted: InputOutput) -> str | None:
        """The valid path (a base name) of an output; `None` when it is unknown."""
        drv = wanted.drv_path
        for output in wanted.chain:
            path = self._outputs(drv).get(output)
            if path is None:
                return None
            drv = path
        return drv

    def _outputs(self, drv: str) -> dict[str, str]:
        if drv not in self._recorded:
            outputs = {**self._from_store(drv), **self._from_database(drv)}
            valid = self._client.protect(outputs.values()) if outputs else set()
            self._recorded[drv] = {name: path for name, path in outputs.items() if path in valid}
        return self._recorded[drv]

    def _from_store(self, drv: str) -> dict[str, str]:
        try:
            recorded = self._client.query_derivation_output_map(drv)
        except NixError:
            return {}
        return {name: path for name, path in recorded.items() if path is not None}

    def _from_database(self, drv: str) -> dict[str, str]:
        if self._options.database_url is None and not self._options.state_directory.postgres.exists():
            return {}
        with open_database(self._options) as conninfo:
            procedures = Procedures(conninfo, connections=1)
            try:
                return procedures.output_paths(drv)
            finally:
                procedures.close()
