"""Named instants at which a process can be made to die: nothing happens at them unless a test asked for it.

IQA_KILL_AT="before-rename:2" kills the process, as the kernel would, when it passes that instant for the second time.
"""

import os
import signal

VARIABLE = "IQA_KILL_AT"
NAMES = {
    "before-checkpoint": "before a checkpoint is begun",
    "amid-write": "amid its temporary folder: the tensors are there, the manifest is not",
    "before-rename": "its temporary folder is whole, and has not yet its name",
    "amid-replacing": "a folder of its name stood there and is out of sight",
    "after-rename": "it has its name, and is not yet verified",
    "amid-pruning": "an older one is out of sight and still on the disk",
    "after-step": "a step is done and nothing says so",
    "amid-validation": "some of the validation images have a score",
    "epoch-end": "the epoch's metrics are written, its checkpoint is not",
    "best-metric": "the numbers of the selected epoch are written, the artifact is not",
    "batch-sent": "the store has a batch, its answer was not read",
    "amid-upload": "some files of an artifact are in the store",
    "amid-joining": "the store has a run, the journal does not know its id",
    "amid-resume": "a checkpoint was read, the journal says that the run goes on",
    "last-metrics": "everything is written but the run's end",
    "before-finished": "the journal says that the run ended, the store does not",
    "between-stages": "one step of an experiment is finished, the next is not begun",
}

_passed: dict[str, int] = {}


def reached(name: str) -> None:
    """Pass a named instant."""
    asked = os.environ.get(VARIABLE)
    if asked:
        _die_if(asked, name)


def _die_if(asked: str, name: str) -> None:
    wanted, _, count = asked.partition(":")
    if wanted not in NAMES or not count.isdigit() or int(count) < 1:
        raise ValueError(f"{VARIABLE}={asked}: write NAME:COUNT with one of {', '.join(NAMES)}.")
    _passed[name] = _passed.get(name, 0) + 1
    if name == wanted and _passed[name] == int(count):
        os.kill(os.getpid(), signal.SIGKILL)
