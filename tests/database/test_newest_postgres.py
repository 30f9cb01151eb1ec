"""The newest PostgreSQL that is available works as well as Debian's."""

from __future__ import annotations

from pathlib import Path

from ..cli.test_run import DEMO, STATUSES
from ..support.farm import open_farm
from ..support.newest_postgres import newest_postgres


def test_the_newest_postgres_builds_a_jobset(tmp_path: Path) -> None:
    with newest_postgres(), open_farm(tmp_path) as farm:
        (server,) = farm.rows("select current_setting('server_version_num')::integer as version")
        assert server["version"] >= 180000
        builds = farm.run(DEMO)
        assert {job: build["status"] for job, build in builds.items() if build["status"]} == STATUSES
        assert farm.violations() == []
