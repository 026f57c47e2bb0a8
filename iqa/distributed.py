"""Several processes that train one model: which one this is, its share of the work, what all of them agree on.

A launcher starts them and says so in their environment (torch.distributed.run, or `launching`). Each computes its share
of the global batch; gradients and loss terms are added up, so that every process makes the step that one alone would
make, but for rounding. In one process every function here gives back what it was given.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

PATIENCE = timedelta(days=7)  # one may wait while another probes, uploads, reads; a death is noticed at once
SAID = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")  # by a launcher

T = TypeVar("T")


class Lost(ValueError):
    """Another process of this training is gone, so nothing more can be agreed on."""

    exit_code = 3  # whoever went first is to blame, and a launcher has to know who did not


def started() -> int:
    """How many processes a launcher has started with this one among them, on all hosts; 0 if none did."""
    return int(os.environ["WORLD_SIZE"]) if all(name in os.environ for name in SAID) else 0


def here() -> int:
    """How many of them run on this computer, each with a device of its own."""
    return int(os.environ["LOCAL_WORLD_SIZE"])


def join(device: torch.device) -> None:
    """Meet the others that a launcher started; on CUDA this process has one GPU from now on."""
    if started() < 2:
        return
    if device.type == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)


def leave() -> None:
    """Part at the end of the work: the first process goes when it has written everything, the others after it."""
    if world() == 1:
        return
    if not leads():
        with suppress(RuntimeError):
            dist.recv(torch.zeros(1), src=0)  # nobody sends: it ends with the first process
    dist.destroy_process_group()


def world() -> int:
    """How many processes train together."""
    return dist.get_world_size() if _met() else 1


def rank() -> int:
    """Which one this is, from 0 on."""
    return dist.get_rank() if _met() else 0


def leads() -> bool:
    """Whether this is the process that writes, tracks and speaks."""
    return rank() == 0


def share(count: int) -> range:
    """This process's part of `count` things: consecutive, in order, sizes as even as can be, nothing twice."""
    return range(count * rank() // world(), count * (rank() + 1) // world())


def added(tensor: Tensor) -> Tensor:
    """Every process's tensor of this shape added up, in place, the same bits for all; on the CPU or their devices.

    Where each fills its own share of zeros, this gathers without a rounding.
    """
    if world() > 1:
        with _together():
            dist.all_reduce(tensor)
    return tensor


def total(number: int) -> int:
    """Every process's number added up."""
    return number if world() == 1 else int(added(torch.tensor(number)))


def highest(number: int) -> int:
    """The largest of every process's numbers."""
    if world() == 1:
        return number
    found = torch.tensor(number)
    with _together():
        dist.all_reduce(found, dist.ReduceOp.MAX)
    return int(found)


def combined(parameters: Iterable[nn.Parameter], terms: dict[str, Tensor]) -> dict[str, Tensor]:
    """Add up every process's gradients, in place, and its loss terms (0-dimensional): parts of one mean → the mean's.

    All have gradients of the same parameters, and the same terms.
    """
    if world() == 1:
        return terms
    parts = [*(p.grad for p in parameters if p.grad is not None), *terms.values()]
    whole = added(torch.cat([part.detach().flatten() for part in parts]))
    for part, piece in zip(parts, whole.split([part.numel() for part in parts]), strict=True):
        part.copy_(piece.view_as(part))
    return terms


def same(model: nn.Module) -> None:
    """Give every process the first one's parameters and buffers."""
    if world() > 1:
        with _together():
            for tensor in model.state_dict().values():
                dist.broadcast(tensor, src=0)


def from_first(ask: Callable[[], T]) -> T:
    """What `ask` says in the first process, in all of them; the others do not ask."""
    if world() == 1:
        return ask()
    said: list[Any] = [ask() if leads() else None]
    with _together():
        dist.broadcast_object_list(said, src=0)
    return said[0]


def _met() -> bool:
    return dist.is_available() and dist.is_initialized()  # some builds of torch have no such package


@contextmanager
def _together() -> Iterator[None]:
    """gloo and NCCL say in their own words that somebody is gone."""
    try:
        yield
    except RuntimeError as error:
        raise Lost(
            "Another process of this training is gone: the same command goes on from the last checkpoint."
        ) from error
