"""Clusters outside of their state directories: only real orphans count as orphans."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hydra_resolver.embedded import place

USER = place.ServerUser(os.geteuid(), os.getegid(), switch=False)


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(place, "SHARED_CLUSTERS", tmp_path / "clusters")
    directory = tmp_path / "state" / "postgres"
    directory.parent.mkdir()
    directory.symlink_to(tmp_path / "clusters" / "one")
    return place.find_place(directory, USER)


def test_a_cluster_becomes_an_orphan_when_its_state_directory_is_removed(shared: Path, tmp_path: Path) -> None:
    assert place.orphans() == []
    (tmp_path / "state" / "postgres").unlink()
    assert place.orphans() == [shared]


def test_a_cluster_without_an_owners_name_is_not_an_orphan(shared: Path) -> None:
    (shared / place.OWNER_FILE).write_text("")
    assert place.orphans() == []


def test_another_start_does_not_rewrite_the_owners_name(shared: Path, tmp_path: Path) -> None:
    before = (shared / place.OWNER_FILE).stat()
    assert place.find_place(tmp_path / "state" / "postgres", USER) == shared
    after = (shared / place.OWNER_FILE).stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
