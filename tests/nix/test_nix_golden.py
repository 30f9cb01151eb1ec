"""Whole package sets are read, printed and resolved as by Nix."""

from __future__ import annotations

import pytest

from hydra_resolver.nix.aterm_print import derivation_path, print_derivation
from hydra_resolver.nix.resolvable import should_resolve
from hydra_resolver.nix.resolve import resolve
from hydra_resolver.nix.version import NixVersion

from .graphs import STORE_DIR, Graph, load_graph

LARGE = ("n1803-nixos", "core-large")


@pytest.fixture(
    scope="module",
    params=["core-small", "core-medium", *(pytest.param(name, marks=pytest.mark.storm) for name in LARGE)],
)
def graph(request: pytest.FixtureRequest) -> Graph:
    return load_graph(request.param)


def test_every_derivation_is_printed_as_it_was_read(graph: Graph) -> None:
    for drv_path, text in graph.texts.items():
        assert print_derivation(graph.parse(drv_path), STORE_DIR) == text


def test_every_derivation_has_the_path_that_nix_gave_it(graph: Graph) -> None:
    for drv_path in graph.texts:
        assert derivation_path(graph.parse(drv_path), STORE_DIR) == drv_path


def test_static_outputs_have_the_paths_that_nix_gave_them(graph: Graph) -> None:
    for (drv_path, (output,)), path in graph.outputs.items():
        assert graph.parse(drv_path).output_path(output, STORE_DIR) in (None, path)


def test_nix_and_we_resolve_the_same_derivations_of_a_package_set(graph: Graph) -> None:
    wanted = {drv_path for drv_path in graph.texts if should_resolve(graph.parse(drv_path), NixVersion(2, 34))}
    assert wanted == graph.resolutions.keys()


@pytest.mark.parametrize("version", [NixVersion(2, 26), NixVersion(2, 34)], ids=str)
def test_every_resolution_has_the_path_that_nix_gave_it(graph: Graph, version: NixVersion) -> None:
    for drv_path, expected in graph.resolutions.items():
        resolved = resolve(graph.parse(drv_path), drv_path, graph.outputs, version=version, store_dir=STORE_DIR)
        assert resolved.path == expected
