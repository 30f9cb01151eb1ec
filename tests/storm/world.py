"""The victims of the storm: a store, a database, three workers; and a record of everything that was asked of them."""

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
    """One `enqueue`, with a jobset in a file of its own; the file's name is the name of the jobset in the database."""

    name: str
    jobset: Jobset
    process: subprocess.Popen[bytes]

    @property
    def acknowledged(self) -> bool:
        """Whether `enqueue` said that its builds were added. If it did not, they may still have been added."""
        return self.process.poll() == 0


@dataclass
class World:
    """The parts of the farm, and what happened to them."""

    state: Path
    server: EmbeddedPostgres
    farm: Farm
    dice: random.Random
    members: list[Member] = field(default_factory=list)
    evaluations: list[Evaluation] = field(default_factory=list)
    cancelled: set[int] = field(default_factory=set)
    """The builds that may have been cancelled."""
    erased: Counter[str] = field(default_factory=Counter)
    """How many builds of each evaluation may have been deleted."""
    figures: Counter[str] = field(default_factory=Counter)
    database_is_up: bool = True
    pruning: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        self.members = [Member(number, self.state, self.farm.conninfo) for number in range(WORKERS)]

    def call(self, query: str, *parameters: Any) -> list[tuple[Any, ...]] | None:
        """Return the rows of a statement; `None` if the database did not answer, but may have executed it."""
        try:
            with psycopg.connect(self.farm.conninfo, autocommit=True, connect_timeout=2) as connection:
                connection.execute("set statement_timeout = '5s'")
                return connection.execute(query.encode(), parameters or None).fetchall()
        except psycopg.OperationalError:
            return None
        except psycopg.Error as error:
            if (error.sqlstate or "").startswith("NX"):
                return []  # refused: it is too late for this call
            raise

    def evaluate(self, *, whole: bool = False) -> None:
        """Enqueue the next jobset in the background; if `whole`, the last one again with every derivation as a job."""
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
        """The file in which failing builders write a line when they begin."""
        return self.state / "runs"

    @property
    def evaluating(self) -> bool:
        """Whether an evaluation is in progress."""
        return any(evaluation.process.poll() is None for evaluation in self.evaluations)

    def delete_output(self, path: str) -> bool:
        """Delete an output from the store, as a collector that ignores our roots would; return false if it is in use.

        Everything that refers to the output is deleted with it: outputs, and .drv files that are not needed any more.
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
        """Collect garbage in the store."""
        self._nix("nix-store", "--gc")

    def prune(self) -> bool:
        """Prune everything older than the present moment, in the background; return false if a prune is in progress."""
        if self.pruning is not None and self.pruning.poll() is None:
            return False
        words = ["prune", "--older-than", "0h", "--state", str(self.state), "--database", self.farm.conninfo]
        with (self.state / "prune.log").open("ab") as log:
            self.pruning = command(words, log)
        return True

    def calm(self) -> None:
        """Start the database and all workers that do not run."""
        if not self.database_is_up:
            self.server.start()
            self.database_is_up = True
        for member in self.members:
            member.send(signal.SIGCONT)
            member.start()

    def end(self) -> None:
        """Kill all processes of this world."""
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
