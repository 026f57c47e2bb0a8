"""Starting the processes that train one model on this computer, by torch's own launcher, and how they ended."""

import json
import logging
import os
import signal
import sys
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from iqa import distributed, machine

ERROR_FILE = "TORCHELASTIC_ERROR_FILE"  # where the launcher looks for what a process has to say
STOPPING = "SIGTERM,SIGINT,SIGUSR1"  # are passed on; the others end the launcher, whose processes then stop as well
LEFT_ALONE = distributed.Lost.exit_code
FAILED = 1


def launch(name: str, words: list[str], count: int) -> int:
    """Run `iqa NAME WORDS` in `count` processes; the exit code of the command, of which stderr has told the reason.

    One that ends with an error ends all of them.
    """
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    machine.share_cores(count)
    logging.disable(logging.ERROR)  # the launcher's own lines; what counts is told below
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=count,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        run_id=uuid.uuid4().hex,
        max_restarts=0,
        signals_to_handle=STOPPING,
    )
    try:
        elastic_launch(config, sys.executable)("-m", "iqa", name, *words)
    except SignalException as stop:  # they have saved, and said so
        return 128 + int(stop.sigval)
    except ChildFailedError as error:
        code, sentence = verdict(error.failures, count)
        if sentence:
            print(f"error: {sentence}", file=sys.stderr)
        return code
    return 0


def verdict(failures: Mapping[int, Any], count: int) -> tuple[int, str]:
    """(exit code, sentence) of the process that failed first; failures: rank → torch's ProcessFailure, in that order.

    The sentence is "" where the process itself has told it.
    """
    first = next((rank for rank, one in failures.items() if one.exitcode != LEFT_ALONE), next(iter(failures)))
    failure = failures[first]
    if failure.exitcode < 0:
        name = signal.Signals(-failure.exitcode).name
        return FAILED, (
            f"process {first + 1} of {count} was killed by {name}, which ended the others: the same command goes on "
            "from the last checkpoint; if the memory ran out, give compute.micro_batch."
        )
    said = failure.message["message"] if isinstance(failure.message, dict) else ""
    return (FAILED if failure.exitcode == LEFT_ALONE else failure.exitcode), said


def leave_word(said: str) -> None:
    """Leave an error for the launcher of this process, which tells one of its processes' errors."""
    about = {"py_callstack": said, "timestamp": str(int(time.time()))}
    word = {"message": {"message": said, "extraInfo": about}}
    Path(os.environ[ERROR_FILE]).write_text(json.dumps(word), encoding="utf-8")
