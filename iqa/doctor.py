"""Is this computer ready? One line an item, with the remedy where something is wrong; in seconds, without waiting."""

import os
import shutil
import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from iqa import __version__, config, datasets, disk, encoders, machine, tracking
from iqa.datasets import pixels, published
from iqa.tracking import condition, store

PATIENCE = 5.0  # seconds for a connection
LITTLE = 2 * machine.GIB  # of free disk: a run of the paper's encoder keeps checkpoints of a GB each
STAGES = ("pretrain", "finetune")


@dataclass(frozen=True)
class Item:
    """A line: what it is about, what was found, what has to be done ("" = nothing)."""

    name: str
    found: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{'ok' if not self.remedy else '!!'}  {self.name:9} {self.found}{self.remedy and f': {self.remedy}'}"


def examine(preset: str, overrides: dict[str, str], flags: Iterable[str] = ()) -> Iterator[Item]:
    """Every item, for what a preset (with these values above it) would compute. Raises ConfigError.

    flags: what the command takes beside parameters, for the nearest name to one that nobody knows.
    """
    told = {name: config.load(name, chosen(name, overrides, flags), preset) for name in (*STAGES, "evaluate")}
    yield Item("iqa", f"{__version__}, preset {preset}, Python {machine.describe()['python']}")
    yield from computer(told["finetune"].compute.device)
    for name in STAGES:
        yield room(name, told[name])
    yield Item("store", *condition.condition())
    if urlsplit(store.uri()).scheme in condition.SERVERS:
        yield Item("login", condition.login())
    yield studies()
    yield from data(told)
    yield from disks()


def chosen(stage: str, overrides: dict[str, str], flags: Iterable[str] = ()) -> dict[str, str]:
    """Of some values those that a stage has. Raises ConfigError for one that no stage has."""
    known = {name: {*config.FLAT[name], *config.field_names(name)} for name in config.STAGES}
    for name in overrides:
        if not any(name in names for names in known.values()):
            raise config.ConfigError(config.unknown("parameter", name, sorted(set(flags).union(*known.values()))))
    return {name: value for name, value in overrides.items() if name in known[stage]}


def computer(device: str) -> Iterator[Item]:
    """torch, GPU, cores, memory."""
    about = machine.describe()
    yield Item("torch", f"{about['torch']}, torchvision {version('torchvision')}, CUDA {about['cuda']}")
    try:
        kind = machine.device(device).type
        yield Item("device", f"{kind}; GPU: {about['gpu']}" + (f" × {about['gpus']}" if kind == "cuda" else ""))
    except machine.MachineError as error:
        yield Item("device", device, str(error))
        return
    side = machine.at_once(0, device)
    yield Item(
        "cores",
        f"{about['cores']}, {about['ram_gb']} GiB of memory, {machine.free_memory('cpu') / machine.GIB:.1f} free; "
        f"{side} {'cell' if side == 1 else 'cells'} of an experiment at once",
    )


def room(stage: str, told: Any) -> Item:
    """How much of a stage's batch fits into memory at once."""
    from iqa.stages import footprint

    try:
        kind = machine.device(told.compute.device).type
        free = machine.free_memory(kind) // (machine.at_once(0, told.compute.device) if kind == "cpu" else 1)
        fits = footprint.fitting(told, free)
    except (machine.MachineError, encoders.EncoderError) as error:
        return Item(stage, "the batch that fits is not known", str(error))
    unit = "crops" if stage == "finetune" else f"images of {2 * told.degrade.levels} crops"
    batch = told.optim.batch_size
    micro = told.compute.micro_batch
    wanted = 1 if micro == config.AUTO else min(batch, micro or batch)
    parts = "parts of it (micro_batch=auto)" if micro == config.AUTO else wanted
    name = told.model.encoder or encoders.BUNDLED
    found = f"about {fits:,} {unit} at once fit for {name}; the batch has {batch}, {parts} at once"
    if fits >= wanted:
        return Item(stage, found)
    smaller = f"compute.micro_batch={fits}" if fits else "a smaller encoder or crop, or compute.recompute=true"
    return Item(stage, found, f"give {smaller}")


def studies() -> Item:
    """Whether somebody listens where studies are kept."""
    address = os.environ.get("OPTUNA_STORAGE", "")
    place = urlsplit(address)
    if not address or place.scheme == "sqlite":
        return Item("studies", store.shown(address) or "optuna.db in the working directory")
    try:
        socket.create_connection((place.hostname or "", place.port or 5432), timeout=PATIENCE).close()
    except OSError as error:
        remedy = f"it does not answer ({error}); start it, or set OPTUNA_STORAGE=sqlite:///FILE"
        return Item("studies", store.shown(address), remedy)
    return Item("studies", f"{store.shown(address)} takes connections")


def data(told: dict[str, Any]) -> Iterator[Item]:
    """Each data set that the preset reads, then the published ones that are here besides."""
    root = told["finetune"].data.root
    needed = dict.fromkeys(
        name.strip()
        for group in (told["pretrain"].data.name, told["finetune"].data.name, ",".join(told["evaluate"].targets.names))
        for name in ([group] if os.path.isdir(group) else group.split(","))
    )
    for name in needed:
        yield Item("data", *one_set(name, root))
    for name, about in datasets.PUBLISHED.items():
        if name not in needed and (file := published.located(about, root)) is not None:
            yield Item("data", f"{name} in {file.parent}{_prepared(name)}; not needed here")


def one_set(name: str, root: str) -> tuple[str, str]:
    """Where a data set is and what has to be done about it; nothing of it is read but the list of files."""
    if name in datasets.PUBLISHED:
        about = datasets.PUBLISHED[name]
        file = published.located(about, root)
        if file is None:
            return f"{name} is not in {os.path.abspath(root or '.')}", (
                f"get it from {about.page} (its licence is there), so that the folder holds {about.tree}, and give "
                "data_root"
            )
        return f"{name} in {file.parent}{_prepared(name)}", ""
    if name in datasets.NAMES:
        return f"{name} is built in and made on first use{_prepared(name)}", ""
    folder = next((place for place in (Path(name), Path(root, name)) if place.expanduser().is_dir()), None)
    if folder is None:
        return f"{name} is nowhere", f"give a folder, or one of {', '.join(datasets.NAMES)}"
    return f"{name}: the folder {folder.expanduser().absolute()}", ""


def _prepared(name: str) -> str:
    """Whether `iqa data prepare` has been there."""
    manifests = (disk.cache_folder() / "manifests").glob(f"{name}-*.csv")
    return ", prepared" if any(manifests) or pixels.files_of(name) else ""


def disks() -> Iterator[Item]:
    """Room where runs and the cache lie; what waits to be sent."""
    runs = tracking.runs_folder().absolute()
    for name, folder in (("runs", runs), ("cache", disk.cache_folder())):
        there = next(place for place in (folder, *folder.parents) if place.is_dir())
        free = shutil.disk_usage(there).free
        found = f"{folder}, {free / 1e9:.1f} GB free"
        if not os.access(there, os.W_OK):
            yield Item(
                name, found, f"you may not write to {there}; set {'IQA_RUNS' if name == 'runs' else 'IQA_CACHE'}"
            )
        else:
            yield Item(
                name, found, "" if free >= LITTLE else "that is little: make room, `iqa clean` shows what may go"
            )
