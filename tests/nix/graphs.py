"""Real derivation graphs, with Nix's resolutions; their files may lie beside the clone."""

from __future__ import annotations

import io
import os
import tarfile
from dataclasses import dataclass
from pathlib import Path

import pytest
import zstandard

from hydra_resolver.nix.aterm import parse_derivation
from hydra_resolver.nix.derivation import Derivation, InputOutput
from hydra_resolver.nix.store_path import StoreDir, derivation_name

STORE_DIR = StoreDir("/nix/store")


@dataclass(frozen=True)
class Graph:
    """The texts of all ``.drv`` files, the path of each output, and Nix's resolutions in topological order."""

    texts: dict[str, bytes]
    outputs: dict[InputOutput, str]
    resolutions: dict[str, str]

    def parse(self, drv_path: str) -> Derivation:
        return parse_derivation(self.texts[drv_path], derivation_name(drv_path), STORE_DIR)


class NoData(Exception):
    """The graph's files are not on this machine."""


def load_graph(name: str) -> Graph:
    """Read a graph, or skip the test."""
    try:
        return read_graph(name)
    except NoData as error:
        pytest.skip(f"NO DATA: {error}, so {name} was not compared with Nix")


def read_graph(name: str) -> Graph:
    """Read a graph from the directory in HYDRA_RESOLVER_DATA. Raises :class:`NoData`."""
    given = os.environ.get("HYDRA_RESOLVER_DATA")
    directory = Path(given) if given else Path(__file__).parents[3] / "shared" / "data"
    drvs, golden = directory / f"{name}.drvs.tar.zst", directory / f"{name}.golden.tsv.zst"
    if not drvs.exists() or not golden.exists():
        raise NoData(f"{drvs} is absent (HYDRA_RESOLVER_DATA)")
    with tarfile.open(fileobj=io.BytesIO(_decompress(drvs))) as archive:
        texts = {
            Path(member.name).name: content.read()
            for member in archive
            if (content := archive.extractfile(member)) is not None
        }
    rows = [line.split("\t") for line in _decompress(golden).decode().splitlines()[1:]]
    return Graph(
        texts=texts,
        outputs={InputOutput(drv_path, (output,)): path for drv_path, _, output, path, _ in rows},
        resolutions={drv_path: resolved for drv_path, _, _, _, resolved in rows if resolved != "-"},
    )


def _decompress(path: Path) -> bytes:
    with path.open("rb") as file:
        return zstandard.ZstdDecompressor().stream_reader(file).read()
