"""A process that is spoken with: a line of JSON in, a line of JSON out; so that two can take turns at one machine."""

import json
import subprocess
import sys
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self


class Speaker:
    """`python -m MODULE TOLD` in a process of its own; `say` waits for its answer. Use it as a context."""

    def __init__(self, module: str, told: dict[str, Any]):
        command = [sys.executable, "-m", module, json.dumps(told)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def say(self, **what: Any) -> dict[str, Any]:
        """Its answer. Raises RuntimeError where it has ended."""
        assert self.process.stdin is not None and self.process.stdout is not None
        print(json.dumps(what), file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{' '.join(self.process.args[1:3])} ended with {self.process.wait()}, see above")  # type: ignore[index]
        return json.loads(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.communicate()


def answering(answer: Callable[..., dict[str, Any]]) -> None:
    """In the process that is spoken with: answer each line until there is none."""
    out, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        print(json.dumps(answer(**json.loads(line))), file=out, flush=True)
