"""The log of a step: it lies where Hydra looks for it, is readable at once, and never exceeds the limit."""

from __future__ import annotations

import errno
import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hydra_resolver.build_log import BuildLog
from hydra_resolver.nix.store_path import InvalidStorePath

DRV = "0123456789abcdfghijklmnpqrsvwxyz-thing.drv"


def test_the_log_of_a_step_lies_where_hydra_looks_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with BuildLog(Path("logs"), DRV) as log:
        assert log.path == f"{tmp_path}/logs/01/{DRV[2:]}"
        assert Path(log.path).read_bytes() == b""


def test_lines_of_a_log_can_be_read_at_once(tmp_path: Path) -> None:
    with BuildLog(tmp_path, DRV) as log, Path(log.path).open("rb") as reader:
        for line in (b"one", b"", b"\xff\0two"):
            assert log.write_line(line)
            assert reader.read() == line + b"\n"
        assert log.size == 11


def test_another_attempt_begins_a_new_log_that_the_earlier_attempt_cannot_write(tmp_path: Path) -> None:
    with BuildLog(tmp_path, DRV) as first:
        first.write_line(b"first")
        with BuildLog(tmp_path, DRV) as second:
            second.write_line(b"second")
            first.write_line(b"from the dead")
        assert Path(second.path).read_bytes() == b"second\n"


def test_a_link_in_the_place_of_a_log_is_replaced(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("kept")
    (tmp_path / "01").mkdir()
    (tmp_path / "01" / DRV[2:]).symlink_to(precious)
    with BuildLog(tmp_path, DRV) as log:
        log.write_line(b"line")
    assert precious.read_text() == "kept"


def test_a_log_beyond_the_limit_says_so_and_ends(tmp_path: Path) -> None:
    with BuildLog(tmp_path, DRV, limit=10) as log:
        assert log.write_line(b"1234")
        assert log.write_line(b"5678")
        assert not log.write_line(b"")
        assert log.exceeded
        size = log.size
        assert not log.write_line(b"9")
        lines = Path(log.path).read_text().splitlines()
    assert lines[:2] == ["1234", "5678"]
    assert len(lines) == 3
    assert "limit of 10 bytes" in lines[2]
    assert size == log.size == Path(log.path).stat().st_size


def test_a_limit_of_zero_allows_any_log_size(tmp_path: Path) -> None:
    with BuildLog(tmp_path, DRV, limit=0) as log:
        assert log.write_line(b"x" * 1000)
        assert not log.exceeded


def test_writing_a_closed_log_is_an_error(tmp_path: Path) -> None:
    log = BuildLog(tmp_path, DRV)
    log.close()
    log.close()
    with pytest.raises(OSError, match=r"\[Errno 9\]"):
        log.write_line(b"line")


@pytest.mark.parametrize("drv", ["", "x", "../../etc/passwd", "/" + DRV, DRV + "\n", "01/" + DRV])
def test_only_base_names_of_store_paths_have_logs(tmp_path: Path, drv: str) -> None:
    with pytest.raises(InvalidStorePath):
        BuildLog(tmp_path, drv)
    assert list(tmp_path.iterdir()) == []


def test_a_log_directory_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "01").write_text("no directory")
    with pytest.raises(OSError, match="01"):
        BuildLog(tmp_path, DRV)


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Limit files of this process to `size` bytes, as on a disk that is full after a partial write."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_partly_written_line_is_an_error(tmp_path: Path) -> None:
    with BuildLog(tmp_path, DRV) as log:
        with largest_file(8), pytest.raises(OSError) as caught:  # noqa: PT011
            log.write_line(b"1234567890")
        assert caught.value.errno == errno.EFBIG
        assert log.size == Path(log.path).stat().st_size == 8


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_writing_a_log_to_a_full_disk_is_an_error(tmp_path: Path) -> None:
    with BuildLog(tmp_path, DRV) as log:
        full = os.open("/dev/full", os.O_WRONLY)
        os.dup2(full, log._file)
        os.close(full)
        with pytest.raises(OSError) as caught:  # noqa: PT011
            log.write_line(b"line")
        assert caught.value.errno == errno.ENOSPC
