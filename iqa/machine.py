"""The computer that this runs on: device, threads, memory, and what it says of itself."""

import ctypes
import os
import platform
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4  # glibc's malloc.h
LARGEST, TOP_PAD = 2**31 - 1, 256 << 20  # bytes
CORES = torch.get_num_threads()  # what torch chose at the start: physical cores, or OMP_NUM_THREADS
MIB, GIB = 2**20, 2**30
ROOM = 4 * GIB  # for one training on a CPU: twice the demo's (measured: 1.8 GiB)
NO_MEMORY = re.compile(  # as CUDA and MPS, the CPU's allocator and its convolutions say it
    r"out of memory|can't allocate memory|could not create a primitive$", re.IGNORECASE
)
LONGEST_CAUSE = 200  # characters


Model = TypeVar("Model", bound=nn.Module)


class MachineError(ValueError):
    """Something was asked of this computer that it does not have."""


def device(name: str = "auto") -> torch.device:
    """auto (the fastest there is) | cuda | mps | cpu → that device; MachineError where it is missing."""
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(kind for kind, there in present.items() if there))
    if name not in present:
        raise MachineError(f"'{name}' is no device: auto, {', '.join(present)} are.")
    if not present[name]:
        there = " and ".join(kind for kind, there in present.items() if there)
        raise MachineError(
            f"This computer, or its build of torch, has no {name} device, only {there}: use auto or cpu."
        )
    return torch.device(name)


def carry(processes: int, device: torch.device) -> None:
    """Raise MachineError if this computer has not a device of this kind for each of so many processes."""
    there = {"cuda": torch.cuda.device_count(), "mps": 1}.get(device.type, processes)
    if processes > there:
        raise MachineError(
            f"{processes} devices were asked for, and this computer has {there} of the kind {device.type}: "
            f"give devices={there}, or device=cpu."
        )


def threads(count: int = 0) -> int:
    """Give torch's operations `count` threads, 0 = as many as this process may use cores; returns the number set."""
    chosen = count or min(CORES, cores())
    torch.set_num_threads(chosen)
    return chosen


def at_once(asked: int = 0, name: str = "auto") -> int:
    """How many trainings this computer carries side by side: as many as are asked for, else one a GPU of several.

    Without a GPU one a core, since small models leave two threads waiting for each other (DECISIONS.md), as long as
    each has ROOM of the memory. The same on every call, so that a command that goes on has as many threads as before.
    """
    chosen = device(name).type
    if chosen == "cuda":
        return asked or torch.cuda.device_count()
    carried = min(cores(), int(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / ROOM))
    return asked or (max(1, carried) if chosen == "cpu" else 1)


def share_cores(count: int) -> None:
    """Processes that are started from now on have their part of the cores, if `count` of them work at once."""
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores() // count)))


def take_gpu(slot: int) -> None:
    """Of the GPUs that this process may use, leave it one: the slot's, modulo their number. Before CUDA's first use."""
    listed = os.environ.get("CUDA_VISIBLE_DEVICES")
    visible = [str(n) for n in range(torch.cuda.device_count())] if listed is None else listed.split(",")
    if len(visible) > 1:
        os.environ["CUDA_VISIBLE_DEVICES"] = visible[slot % len(visible)]


def alone() -> None:
    """This thread computes with one core from now on, and leaves torch's others to the thread that trains.

    Otherwise a thread that makes batches starts OpenMP workers of its own, which wait by spinning on the cores that
    the model needs (measured on two: 45 instead of 52 crops a second).
    """
    from threadpoolctl import threadpool_limits

    torch.get_num_threads()  # torch sets a new thread's number at its first use: before ours, not after it
    threadpool_limits(limits=1, user_api="openmp")


def cores() -> int:
    """CPU cores that this process may use: affinity and a container's quota count."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = Path("/sys/fs/cgroup/cpu.max")
    return within_quota(allowed, quota.read_text()) if quota.is_file() else allowed


def within_quota(allowed: int, quota: str) -> int:
    """Cores under a cgroup's cpu.max: "200000 100000" is microseconds of CPU time in each period, "max …" no limit."""
    share, period = quota.split()
    return allowed if share == "max" else min(allowed, max(1, int(share) // int(period)))


def keep_memory() -> bool:
    """Let glibc keep big blocks from step to step instead of asking the kernel for zeroed pages again.

    Freed memory stays with the process: resident memory stays at its peak. Elsewhere nothing happens, and False.
    """
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    if libc is None or not hasattr(libc, "gnu_get_libc_version"):
        return False
    settings = ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, LARGEST), (M_TOP_PAD, TOP_PAD))
    return all([libc.mallopt(parameter, value) == 1 for parameter, value in settings])


def channels_last(model: Model, device: torch.device) -> Model:
    """The model on the device, in the memory layout that convolutions are fast in there."""
    model.to(device)
    return model if device.type == "mps" else model.to(memory_format=torch.channels_last)


def deterministic(device: torch.device) -> None:
    """On a CPU the same steps give the same bits from now on; on others torch is left to choose what is fast."""
    mode = "error" if device.type == "cpu" else "default"
    torch.set_deterministic_debug_mode(mode)  # use_deterministic_algorithms imports the compiler: four seconds
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # costs time, helps nobody


@contextmanager
def enough_memory(remedy: str) -> Iterator[None]:
    """Running out of memory, of the computer's or of a GPU's, becomes a MachineError that says what to do."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:  # torch's own OutOfMemoryError is a RuntimeError
        if not isinstance(error, MemoryError) and not NO_MEMORY.search(str(error)):
            raise
        said = (str(error).splitlines() or [""])[0][:LONGEST_CAUSE]
        raise MachineError(f"The memory ran out{f' ({said})' if said else ''}. {remedy}") from error


def peak_memory_mb(device: torch.device | None = None) -> float:
    """The most memory this process has had resident, in MiB; of a CUDA device, what was allocated there at most."""
    if device is not None and device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / MIB
    status = Path("/proc/self/status")
    if status.is_file():  # getrusage's figure begins with the parent's at the fork
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MIB  # bytes on macOS


def free_memory(kind: str) -> int:
    """Bytes that a training may take: of the GPU, else of this computer, by what the system calls available."""
    if kind == "cuda":
        return torch.cuda.mem_get_info()[0]
    known = Path("/proc/meminfo")
    if known.is_file():
        line = next(line for line in known.read_text().splitlines() if line.startswith("MemAvailable"))
        return int(line.split()[1]) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


def name(device: torch.device) -> str:
    """A GPU's or the processor's trade name."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else _cpu()


def describe() -> dict[str, str | int | float]:
    """Hardware and software as a report shows them; memory in GiB."""
    gpus = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
    names = sorted({gpu.name for gpu in gpus}) or (["Apple MPS"] if torch.backends.mps.is_available() else ["none"])
    return {
        "cpu": _cpu(),
        "cores": cores(),
        "threads": torch.get_num_threads(),
        "ram_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB, 1),
        "gpu": ", ".join(names),
        "gpus": len(gpus),
        "gpu_memory_gb": round(sum(gpu.total_memory for gpu in gpus) / GIB, 1),
        "torch": torch.__version__,
        "cuda": torch.version.cuda or "none",
        "python": platform.python_version(),
        "platform": platform.platform(),
    }


def _cpu() -> str:
    """The processor's trade name where the system tells it, else its architecture."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()
