"""Waiting for a store or a database that is away: what has answered before is asked again until it is back."""

import functools
import logging
import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from iqa.tracking import answering, store
from iqa.tracking.signals import stop_if_asked

OUTAGE = 600.0  # seconds that it may be away
PAUSES = (0.5, 10.0)  # seconds between two attempts: the first, the longest
STORE = "The tracking store"

logger = logging.getLogger("iqa")
Answer = TypeVar("Answer")
Given = ParamSpec("Given")

_answered = set[str]()  # addresses


class StillAway(store.StoreError):
    """The store did not come back in time; exit code 75, "try again later": the same command goes on then."""

    exit_code = 75


def expect_store() -> None:
    """The store has answered to the process that started this one: from now on it is waited for here too."""
    _answered.add(store.uri())


def patient(ask: Callable[Given, Answer]) -> Callable[Given, Answer]:
    """A question to the tracking store that waits while the store is away. Raises StillAway, or Stopped.

    A store that has not answered yet is not waited for: its address may be wrong.
    """

    @functools.wraps(ask)
    def asked(*args: Given.args, **kwargs: Given.kwargs) -> Answer:
        if store.offline():  # what this disk answers says nothing of the store
            return ask(*args, **kwargs)
        answer = persist(lambda: ask(*args, **kwargs), STORE, store.troubles, passing, StillAway)
        expect_store()
        return answer

    return asked


def persist(
    ask: Callable[[], Answer],
    whose: str,
    kinds: Callable[[], tuple[type[Exception], ...]],
    passes: Callable[[Exception], str],
    lost: Callable[[str], Exception],
) -> Answer:
    """The answer, asked for again as long as `passes` says what is the matter ("" = a failure that will stay).

    kinds: the errors that `passes` is to judge.

    Raises `lost` after OUTAGE, Stopped if asked to stop meanwhile.
    """
    began, pause = time.monotonic(), PAUSES[0]
    while True:
        try:
            answer = ask()
        except kinds() as error:
            trouble = passes(error)
            if not trouble:
                raise
            if time.monotonic() - began > OUTAGE:
                raise lost(f"{whose} has been away for {OUTAGE:g} s: {trouble}") from error
            if pause == PAUSES[0]:
                logger.warning("%s fails, and is waited for: %s", whose, trouble)
            stop_if_asked()
            time.sleep(pause)
            pause = min(2 * pause, PAUSES[1])
            continue
        if pause > PAUSES[0]:
            logger.warning("%s answers again.", whose)
        return answer


def passing(error: BaseException | None) -> str:
    """What an outage says of itself; "" for an answer that one does not like, and before the first answer."""
    if store.uri() not in _answered or error is None:
        return ""
    code = getattr(error, "error_code", "")
    status = getattr(error, "response", None) or {}  # of an object store
    told_us = (
        isinstance(error, store.StoreError) and type(error) is not answering.Away,
        code and code not in answering.AILING,
        isinstance(error, OSError) and error.filename is not None,  # of this machine's disk
        isinstance(status, dict) and 400 <= status.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) < 500,
    )
    return "" if any(told_us) else (str(error).strip().splitlines() or [type(error).__name__])[0]
