"""The garbage collector during builds."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..support.failing import assert_sound, running
from ..support.farm import open_farm
from ..support.waiting import wait_until


@pytest.mark.parametrize("outputs", ["out", "out dev"])
def test_a_collection_during_a_build_spares_the_unfinished_outputs(tmp_path: Path, outputs: str) -> None:
    with open_farm(tmp_path) as farm:
        names = outputs.split()
        script = "".join(f"mkdir ${name}; " for name in names) + "echo > $started; sleep 3; "
        script += "".join(f"echo > ${name}/file; " for name in names)
        quoted, started = " ".join(f'"{name}"' for name in names), tmp_path / "started"
        file = farm.write(
            "slow.nix", f'floating "slow" "{script}" {{ outputs = [ {quoted} ]; started = "{started}"; }}'
        )
        with running(farm, "run", file) as run:
            wait_until(started.exists)
            farm.nix("nix-store", "--gc")
            assert run.ends() == 0, run.output()
        assert_sound(farm)
