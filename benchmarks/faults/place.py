"""A trial's folder: a store of its own, the command in processes that one can kill, and what it left."""

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import toys
from benchmarks.faults import attempt, trace, warm
from benchmarks.faults.home import Home

PATIENCE = 300.0  # seconds for a command to end
COMMON = ("--preset=smoke", "--compute.threads=1", "--device=cpu", "--batch_size=6", "--compute.checkpoint_minutes=0")
PRETRAIN = (*COMMON, "--degrade.crop=32", "--levels=3", "--families=jpeg,brightness", "--epochs=2")
FINETUNE = (*COMMON, "--crops.size=32", "--crops.grid=1")
CROPS = ("--degrade.crop=32", "--finetune.crops.size=32", "--evaluate.crops.size=32")
EXPERIMENT = (*COMMON, "--experiment=toy.yaml", *CROPS)
BESIDE, BFLOAT16, EARLY = "main at_once=2", "pretrain precision=bfloat16", "finetune patience=1"
MOST_EPOCHS = 6  # of the training that stops early
WORDS = {  # the entry point and what is special about it; the checkpoint interval is one step
    "pretrain": PRETRAIN,
    "finetune": (*FINETUNE, "--epochs=3"),
    "main": (*EXPERIMENT, "--at_once=1", "--epochs=1"),
    BESIDE: (*EXPERIMENT, "--at_once=2", "--epochs=2"),
    BFLOAT16: (*PRETRAIN, "--compute.precision=bfloat16"),
    EARLY: (*FINETUNE, f"--epochs={MOST_EPOCHS}", "--optim.patience=1", "--head_lr=1e-12"),  # nothing gets better
}


class Place:
    """A trial's folder, with a store of its own. Use it as a context: it ends what is left, and clears itself away."""

    def __init__(self, home: Home, name: str, without: str = ""):
        self.home, self.name, self.without = home, name, without
        self.address = ""  # of a tracking server, where one is in use
        self.children: list[warm.Child | warm.Program] = []

    def __enter__(self) -> "Place":
        trials = self.home.folder / "trials"
        trials.mkdir(exist_ok=True)
        self.folder = Path(tempfile.mkdtemp(prefix=f"{self.name}-".replace(" ", "-"), dir=trials))
        shutil.copy(self.home.folder / "mlflow.db", self.folder)
        (self.folder / "toy.yaml").write_text(toys.EXPERIMENT, encoding="utf-8")
        return self

    def __exit__(self, *_: Any) -> None:
        for child in self.children:
            child.end()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def out(self) -> Path:
        return self.folder / "out.txt"

    def environment(self, pace: float | None = None) -> dict[str, str]:
        """pace: seconds that every Python which a process starts rests after each step; it notes its instants then."""
        own = {"MLFLOW_TRACKING_URI": self.address} if self.address else {}
        own["PYTHONPATH"] = attempt.everywhere(self.folder, self.without, pace)
        return self.home.environment(self.folder) | own

    def words(self, stage: str) -> tuple[str, ...]:
        photos = self.home.folder / "photos"
        return (*WORDS[stage], f"--data={photos}", *((f"--targets={photos}",) if "main" in stage else ()))

    def start(self, stage: str, *more: str, **asked: Any) -> warm.Child:
        """The command, in a process of its own; asked: of `Attempt`."""
        asked |= {"without": self.without}
        told = attempt.Attempt(stage, (*self.words(stage), *more), **asked)
        own = self.environment(told.pace if stage == BESIDE else None)  # of its cells, which are no forks of ours
        own |= {"IQA_KILL_AT": told.kill_at} if told.kill_at else {}
        child = warm.Child(told.run, self.out, own, self.folder)
        self.children.append(child)
        return child

    def finish(self, stage: str, **asked: Any) -> int:
        """The command to its end; its exit code."""
        return self.start(stage, **asked).wait(PATIENCE)

    def typed(self, stage: str, more: dict[str, str]) -> int:
        """The command in an interpreter of its own, as a shell starts it; its exit code."""
        return self.program(["-m", f"entrypoints.{stage}", *self.words(stage)], more).wait(PATIENCE)

    def program(self, words: list[str], more: dict[str, str]) -> warm.Program:
        """A Python with these words, and more in its environment."""
        command = [sys.executable, *words]
        program = warm.Program(command, self.out, self.environment() | more, self.folder)
        self.children.append(program)
        return program

    def sync(self) -> int:
        """The command that sends what has not arrived; its exit code."""
        told = attempt.Attempt("sync", (), without=self.without)
        self.children.append(warm.Child(told.run, self.out, self.environment(), self.folder))
        return self.children[-1].wait(PATIENCE)

    def trace(self) -> trace.Trace:
        return dict(self.ask(lambda: trace.trace(self.folder)))

    def ask(self, question: Any, patience: float = PATIENCE) -> Any:
        """The answer of a function that is called in a process of its own, in this place."""
        return warm.answered(question, self.folder / "asked.txt", self.environment(), self.folder, patience)

    def wrong(self, stage: str) -> str:
        """In what this place differs from the undisturbed one; "" if in nothing."""
        return trace.differences(self.home.oracle(stage)["trace"], self.trace())

    def run_folder(self) -> Path:
        """The only run's folder."""
        (found,) = (self.folder / "runs").glob("*/[0-9]*")
        return found

    def notes(self) -> list[attempt.Note]:
        return attempt.notes(self.folder)

    def said(self) -> str:
        """The last lines that its processes have written."""
        lines = self.out.read_text(encoding="utf-8").splitlines() if self.out.is_file() else []
        return " / ".join(lines[-4:])[-600:]
