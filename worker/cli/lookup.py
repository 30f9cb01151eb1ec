"""Look up the paths of outputs: in the database, then in the store's own record."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ..database.procedures import Procedures
from ..embedded.state import default_state
from ..nix.client import Client
from ..nix.derivation import InputOutput
from ..nix.errors import NixError
from .errors import CouldNotRun
from .target import Options, open_database


def look_up(
    wanted: Iterable[InputOutput], given: Mapping[InputOutput, str], client: Client, options: Options
) -> dict[InputOutput, str]:
    """Return the known paths (base names) of outputs, including the given paths.

    Paths that are not given have to be valid. A chain of dynamic outputs is followed link by link; its links may be
    given, too. The database is queried if it was named, or if an embedded one exists already. Derivations that are not
    in the store have no known outputs. Raises CouldNotRun if Nix can't read a derivation in the store.
    """
    found = dict(given)
    missing = [output for output in wanted if output not in found]
    if not missing:
        return found
    with _open_records(options) as database:
        length = 1
        while missing:
            links = {link for output in missing if (link := _first(output, length)) not in found}
            producers = {link: found[_first(link, length - 1)] if length > 1 else link.drv_path for link in links}
            paths = _valid_outputs(set(producers.values()), client, database)
            for link, drv in producers.items():
                if (path := paths[drv].get(link.chain[-1])) is not None:
                    found[link] = path
            missing = [output for output in missing if len(output.chain) > length and _first(output, length) in found]
            length += 1
    return found


def _first(output: InputOutput, length: int) -> InputOutput:
    return InputOutput(output.drv_path, output.chain[:length])


def _valid_outputs(drvs: Collection[str], client: Client, database: Procedures | None) -> dict[str, dict[str, str]]:
    """Return the valid outputs of each derivation, by name: the database's path if it is valid, else the store's."""
    records = []
    for drv, answer in zip(drvs, client.query_derivation_output_maps(drvs), strict=True):
        if database is not None:
            records += [(drv, name, path) for name, path in database.output_paths(drv).items()]
        if not isinstance(answer, NixError):
            records += [(drv, name, path) for name, path in answer.items() if path is not None]
        elif client.query_valid_paths([drv]):
            path = client.store_dir.render(drv)
            raise CouldNotRun(f"Nix can't tell the outputs of '{path}': {answer}. Give them with --realisation.")
    valid = client.protect({path for _, _, path in records})
    outputs: dict[str, dict[str, str]] = {drv: {} for drv in drvs}
    for drv, name, path in records:
        if path in valid:
            outputs[drv].setdefault(name, path)
    return outputs


@contextmanager
def _open_records(options: Options) -> Iterator[Procedures | None]:
    # `options.state_directory` would create the directory.
    embedded = Path(options.state or default_state()) / "postgres"
    if options.database_url is None and not embedded.exists():
        yield None
        return
    with open_database(options) as conninfo:
        procedures = Procedures(conninfo, connections=1)
        try:
            yield procedures
        finally:
            procedures.close()
