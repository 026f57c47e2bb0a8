"""A stage in several processes: started by its own command (devices=4), or by torchrun on one host or several."""

import logging
from typing import Any

DEVICES = "compute.devices"


def settings(stage: str, given: dict[str, str], preset: str) -> Any:
    """The config of a stage; its devices are the processes that a launcher has started, where one has.

    Raises ConfigError where another number is asked for.
    """
    from iqa import config, distributed

    told, there = config.load(stage, given, preset), distributed.started()
    if not there:
        return told
    if told.compute.devices not in (1, there):
        asked = told.compute.devices
        raise config.ConfigError(f"devices={asked}, and the launcher has started {there} processes: leave devices out.")
    others = {name: value for name, value in given.items() if config.FLAT[stage].get(name, name) != DEVICES}
    return config.load(stage, others | {DEVICES: there}, preset)


def wanted(compute: Any) -> int:
    """How many processes are to be started for this config: 0 if it needs one, or if they are there already."""
    from iqa import distributed, machine

    if compute.devices == 1 or distributed.started():
        return 0
    machine.carry(compute.devices, machine.device(compute.device))
    return compute.devices


def left_out(words: list[str], compute: Any) -> list[str]:
    """What a command that torchrun was given lacks to be repeated without it."""
    said = any(word.lstrip("-").partition("=")[0] in ("devices", DEVICES) for word in words)
    return [] if said or compute.devices == 1 else [f"--devices={compute.devices}"]


def meet(compute: Any) -> None:
    """Join the others that a launcher has started; all but the first are silent from now on, and stop when it does."""
    from iqa import distributed, machine, tracking

    if not distributed.started():
        return
    device = machine.device(compute.device)
    machine.carry(distributed.here(), device)
    distributed.join(device)
    if not distributed.leads():
        logging.getLogger("iqa").setLevel(logging.ERROR)
        tracking.follow()
