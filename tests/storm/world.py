"""What the storm rages over: a store, a database, three workers; and what is known of what was asked of them."""

from __future__ import annotations

import random
import signal
import subprocess
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from hydra_resolver.embedded.postgres import EmbeddedPostgres

from ..support.farm import Farm
from .fleet import Member, command
from .jobset import Jobset, everything, first_jobset, next_jobset

WORKERS = 3
SIZE = 40
LEASE_SECONDS = 3.0


@dataclass
class Evaluation:
    """One `enqueue`: a jobset in a file of its own, which names it in the database."""

    name: str
    jobset: Jobset
    process: subprocess.Popen[bytes]

    @property
    def acknowledged(self) -> bool:
        """Whether it said that its builds are added. If it did not, they may be all the same."""
        return self.process.poll() == 0


@dataclass
class World:
    """The parts, and a diary."""

    state: Path
    server: EmbeddedPostgres
    farm: Farm
    dice: random.Random
    members: list[Member] = field(default_factory=list)
    evaluations: list[Evaluation] = field(default_factory=list)
    cancelled: set[int] = field(default_factory=set)
    """Builds that may have been cancelled."""
    erased: Counter[str] = field(default_factory=Counter)
    """Builds that may have been deleted, by the name of the evaluation."""
    figures: Counter[str] = field(default_factory=Counter)
    database_is_up: bool = True
    pruning: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        self.members = [Member(number, self.state, self.farm.conninfo) for number in range(WORKERS)]

    def call(self, query: str, *parameters: Any) -> list[tuple[Any, ...]] | None:
        """Rows of a statement; `None` when the database did not answer: it may have been done."""
        try:
            with psycopg.connect(self.farm.conninfo, autocommit=True, connect_timeout=2) as connection:
                connection.execute("set statement_timeout = '5s'")
                return connection.execute(query.encode(), parameters or None).fetchall()
        except psycopg.OperationalError:
            return None
        except psycopg.Error as error:
            if (error.sqlstate or "").startswith("NX"):
                return []  # refused: it is too late for it
            raise

    def evaluate(self, *, whole: bool = False) -> None:
        """Enqueue the next jobset, in the background; `whole`: the one before, with every derivation as a job."""
        before = self.evaluations[-1].jobset if self.evaluations else None
        if before is None:
            jobset = first_jobset(self.dice, SIZE)
        else:
            jobset = everything(before) if whole else next_jobset(self.dice, before)
        name = f"evaluation-{len(self.evaluations)}"
        file = self.state / f"{name}.nix"
        file.write_text(jobset.expression(self.runs))
        words = ["enqueue", str(file), "--state", str(self.state), "--database", self.farm.conninfo]
        with (self.state / "enqueue.log").open("ab") as log:
            self.evaluations.append(Evaluation(name, jobset, command(words, log)))
        self.figures["evaluations"] += 1

    @property
    def runs(self) -> Path:
        """The file into which builders that fail write when they begin."""
        return self.state / "runs"

    @property
    def evaluating(self) -> bool:
        """Whether an evaluation is under way."""
        return any(evaluation.process.poll() is None for evaluation in self.evaluations)

    def delete_output(self, path: str) -> bool:
        """Take an output out of the store, as a collector without our roots would; false if somebody uses it.

        What refers to it goes with it. That may be an output, or a .drv that nobody needs any more.
        """
        referrers = self._nix("nix-store", "--query", "--referrers-closure", path)
        if referrers is None:
            return False
        names = [line.rpartition("/")[2] for line in referrers.split()]
        drvs = [name for name in names if name.endswith(".drv")]
        unneeded = self.call("select resolver.unneeded_roots(%s)", drvs)
        if unneeded is None or len(unneeded[0][0]) < len(drvs):
            return False
        for name in names:
            (self.farm.store.directory / "var" / "gcroots" / "hydra-resolver" / name).unlink(missing_ok=True)
        return self._nix("nix-store", "--delete", *referrers.split()) is not None

    def collect(self) -> None:
        """Collect garbage."""
        self._nix("nix-store", "--gc")

    def prune(self) -> bool:
        """Forget all that is not of the last moment, in the background; false if somebody is at it."""
        if self.pruning is not None and self.pruning.poll() is None:
            return False
        words = ["prune", "--older-than", "0h", "--state", str(self.state), "--database", self.farm.conninfo]
        with (self.state / "prune.log").open("ab") as log:
            self.pruning = command(words, log)
        return True

    def calm(self) -> None:
        """Everything runs again."""
        if not self.database_is_up:
            self.server.start()
            self.database_is_up = True
        for member in self.members:
            member.send(signal.SIGCONT)
            member.start()

    def end(self) -> None:
        """Nothing that was started here goes on."""
        for member in self.members:
            member.send(signal.SIGKILL)
        for process in [*(evaluation.process for evaluation in self.evaluations), *filter(None, [self.pruning])]:
            process.kill()
            process.wait()

    def _nix(self, *words: str) -> str | None:
        done = subprocess.run(
            words, env=self.farm.store.child_environment(), capture_output=True, text=True, check=False, timeout=60
        )
        return done.stdout.strip() if done.returncode == 0 else None
