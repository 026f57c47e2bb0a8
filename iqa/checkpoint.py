"""Weights and state on disk: safetensors + JSON with a format number; atomic, verified, never a pickle.

A checkpoint is a folder of tensors.safetensors (the tensors of a tree, by path), state.json (everything else, with a
reference where a tensor stood) and manifest.json (format, kind, size and SHA-256 of the two).
"""

import ctypes
import errno
import hashlib
import json
import logging
import math
import os
import re
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from iqa import disk, instants

FORMAT = 1
TENSORS, STATE, MANIFEST = "tensors.safetensors", "state.json", "manifest.json"
STEP = re.compile(r"step-(\d+)")
SET_ASIDE = ".was-"
LEFTOVER = (".tmp-", ".old-", SET_ASIDE)
RESERVED = ("__tensor__", "__float__")
AT_FDCWD, RENAME_EXCHANGE = -100, 2  # linux/fcntl.h, linux/fs.h
Usable = Callable[[dict[str, Any]], None]  # raises CheckpointError where what a tree needs beside itself is damaged
logger = logging.getLogger("iqa")


class CheckpointError(ValueError):
    """A checkpoint that cannot be written, or must not be loaded; the sentence says what is wrong with it."""


def write(folder: Path, tree: dict[str, Any], kind: str) -> Path:
    """Write a tree of dicts, lists, tensors, str, int, float, bool, None as a checkpoint folder, whole or not at all.

    kind: what the folder is ("training", "encoder", "model"); `read` insists on it. Tuples come back as lists;
    memory layout (channels_last), nan and infinities survive. An older folder of that name is replaced.
    """
    tensors: dict[str, Tensor] = {}
    state = json.dumps(_flatten(tree, "", tensors, set()), allow_nan=False).encode()
    temporary = folder.parent / f".tmp-{folder.name}-{uuid.uuid4().hex[:12]}"
    for leftover in folder.parent.glob(f".tmp-{folder.name}-*"):  # of a process that was killed here
        shutil.rmtree(leftover, ignore_errors=True)
    instants.reached("before-checkpoint")
    try:
        _write_files(temporary, tensors, state, kind)
        _put_in_place(temporary, folder)
        for aside in folder.parent.glob(f"{SET_ASIDE}{folder.name}-*"):  # by a process that was killed there
            shutil.rmtree(aside, ignore_errors=True)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise CheckpointError(f"{disk.unwritten(folder, error)}: the last one is kept.") from error
    return folder


def read(folder: Path, kind: str) -> dict[str, Any]:
    """The tree of a checkpoint folder, its tensors on the CPU, after everything about it was verified."""
    _verify(folder, kind)
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors = load_file(folder / TENSORS)
        return _unflatten(json.loads((folder / STATE).read_bytes()), tensors)
    except (SafetensorError, json.JSONDecodeError, UnicodeDecodeError, RecursionError, KeyError, TypeError) as error:
        raise CheckpointError(f"{folder}: what the manifest vouches for cannot be read ({error!r}).") from error


def at(folder: Path, step: int) -> Path:
    """Where `save` puts a step's checkpoint."""
    return folder / f"step-{step:09d}"


def save(folder: Path, step: int, tree: dict[str, Any], keep: int = 2) -> Path:
    """Write folder/step-000000120 (kind "training"); when it verifies, remove older ones but for keep − 1.

    The folder must belong to one process (tracking locks it). Raises CheckpointError, and all older ones are there.
    """
    _clear(folder)
    written = write(at(folder, step), tree, kind="training")
    _verify(written, "training")
    _remove(folder, [other for other in _steps(folder) if other < step][keep - 1 :])
    return written


def latest(folder: Path, usable: Usable = lambda tree: None) -> tuple[int, dict[str, Any]] | None:
    """(step, tree) of the newest checkpoint by step that verifies; what is damaged or not usable is passed over.

    What was passed over for a sound one is removed: `save` would take it for the one to keep. So are leftover temporary
    folders. The folder must belong to one process (tracking locks it).
    """
    _clear(folder)
    for place, step in enumerate(found := _steps(folder)):
        try:
            tree = read(at(folder, step), kind="training")
            usable(tree)
        except CheckpointError as error:
            logger.warning("Checkpoint passed over, going back to the one before it: %s", error)
        else:
            _remove(folder, found[:place])
            return step, tree
    if found:
        logger.warning("No checkpoint in %s is left: everything is done again.", folder)
    return None


def digest(folder: Path) -> str:
    """Identity of an artifact's content, 64 hex characters; the run that left it is no part of it."""
    tensors, told = (_manifest(folder)["files"][name]["sha256"] for name in (TENSORS, STATE))
    origin = (state := _json(folder, STATE)).get("origin") or {}
    if origin.get("cell"):  # it stands for the config, which also says where data and weights lay
        content = json.dumps(state | {"config": {}, "origin": origin | {"run": ""}}, sort_keys=True)
        told = hashlib.sha256(content.encode()).hexdigest()
    return hashlib.sha256((tensors + told).encode()).hexdigest()


def _flatten(node: Any, path: str, tensors: dict[str, Tensor], storages: set[int]) -> Any:
    """The tree as JSON takes it; its tensors go into `tensors` under their path."""
    if isinstance(node, Tensor):
        tensors[path] = _storable(node, storages)
        return {"__tensor__": path} | ({"channels_last": True} if _is_channels_last(node) else {})
    if isinstance(node, dict):
        if refused := [key for key in node if not isinstance(key, str) or key in RESERVED]:
            raise CheckpointError(f"A checkpoint's keys are strings, none of {RESERVED}: {refused[0]!r} in '{path}'.")
        return {key: _flatten(value, f"{path}/{key}", tensors, storages) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [_flatten(value, f"{path}/{i}", tensors, storages) for i, value in enumerate(node)]
    if isinstance(node, float) and not math.isfinite(node):
        return {"__float__": repr(float(node))}
    if node is None or type(node) in (str, int, float, bool):
        return node
    raise CheckpointError(f"A checkpoint holds tensors and plain values, not {type(node).__name__} at '{path}'.")


def _unflatten(node: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(node, list):
        return [_unflatten(value, tensors) for value in node]
    if not isinstance(node, dict):
        return node
    if "__float__" in node:
        return float(node["__float__"])
    if "__tensor__" in node:
        tensor = tensors[node["__tensor__"]]
        return tensor.contiguous(memory_format=torch.channels_last) if node.get("channels_last") else tensor
    return {key: _unflatten(value, tensors) for key, value in node.items()}


def _storable(tensor: Tensor, storages: set[int]) -> Tensor:
    """Detached, on the CPU, contiguous, and sharing its memory with no other: safetensors refuses the rest."""
    plain = tensor.detach().cpu().contiguous()
    address = plain.untyped_storage().data_ptr()
    if address in storages or plain.untyped_storage().nbytes() != plain.numel() * plain.element_size():
        plain = plain.clone()
    storages.add(plain.untyped_storage().data_ptr())
    return plain


def _is_channels_last(tensor: Tensor) -> bool:
    channels_last = tensor.dim() == 4 and tensor.is_contiguous(memory_format=torch.channels_last)
    return channels_last and not tensor.is_contiguous()


def _write_files(folder: Path, tensors: dict[str, Tensor], state: bytes, kind: str) -> None:
    """The three files, each on the disk before this returns. Every failure is an OSError."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    folder.mkdir(parents=True)
    try:
        save_file(tensors, folder / TENSORS)
    except SafetensorError as error:  # its I/O errors are no OSErrors
        raise OSError(errno.EIO, str(error)) from error
    instants.reached("amid-write")
    (folder / STATE).write_bytes(state)
    manifest = {"format": FORMAT, "kind": kind, "files": {name: _described(folder / name) for name in (TENSORS, STATE)}}
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    for name in (TENSORS, STATE, MANIFEST, "."):
        disk.settle(folder / name)


def _put_in_place(temporary: Path, folder: Path) -> None:
    """Give the temporary folder its name; at every instant that name is a whole checkpoint, the old or the new one."""
    instants.reached("before-rename")
    if not folder.exists():
        os.rename(temporary, folder)
    elif _exchange(temporary, folder):
        instants.reached("amid-replacing")
        shutil.rmtree(temporary, ignore_errors=True)
    else:  # a file system that cannot: the old one is out of sight for an instant, from where `latest` takes it back
        hidden = _hide(folder, SET_ASIDE)
        instants.reached("amid-replacing")
        os.rename(temporary, folder)
        shutil.rmtree(hidden, ignore_errors=True)
    disk.settle(folder.parent)
    instants.reached("after-rename")


def _exchange(one: Path, other: Path) -> bool:
    """Swap the names of two folders in one step, where the system and its file system can."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    return rename(AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), RENAME_EXCHANGE) == 0


def _remove(folder: Path, steps: list[int]) -> None:
    """Out of sight in one step, then from the disk: a kill in between leaves no half a checkpoint."""
    for step in steps:
        hidden = _hide(at(folder, step), ".old-")
        instants.reached("amid-pruning")
        shutil.rmtree(hidden, ignore_errors=True)


def _hide(folder: Path, prefix: str) -> Path:
    hidden = folder.parent / f"{prefix}{folder.name}-{uuid.uuid4().hex[:12]}"
    os.rename(folder, hidden)
    return hidden


def _clear(folder: Path) -> None:
    """Remove what a killed process has left in a folder of checkpoints."""
    for leftover in sorted(path for path in folder.glob(".*") if path.name.startswith(LEFTOVER)):
        _take_back(leftover)
        shutil.rmtree(leftover, ignore_errors=True)


def _take_back(leftover: Path) -> None:
    """What was set aside for a newer one that never got its place has that place again."""
    if leftover.name.startswith(SET_ASIDE):
        place = leftover.parent / leftover.name.removeprefix(SET_ASIDE).rpartition("-")[0]
        if not place.exists():
            os.rename(leftover, place)


def _described(file: Path) -> dict[str, Any]:
    return {"bytes": file.stat().st_size, "sha256": disk.file_digest(file)}


def _verify(folder: Path, kind: str) -> None:
    """Raise CheckpointError unless the folder is a whole, unaltered checkpoint of this kind."""
    try:
        _compare(folder, kind)
    except OSError as error:  # a disk that fails, a folder in a file's place
        raise CheckpointError(f"{folder} cannot be read ({error.strerror or error}).") from error


def _compare(folder: Path, kind: str) -> None:
    manifest = _manifest(folder)
    if manifest["kind"] != kind:
        raise CheckpointError(f"{folder} is a checkpoint of kind '{manifest['kind']}', and '{kind}' is wanted here.")
    for name in (TENSORS, STATE):
        file, stated = folder / name, manifest["files"][name]
        if not file.is_file():
            raise CheckpointError(f"{folder} is damaged: {name} is missing.")
        if (size := file.stat().st_size) != stated["bytes"]:
            raise CheckpointError(f"{folder} is damaged: {name} has {size} bytes, its manifest says {stated['bytes']}.")
        if _described(file) != stated:
            raise CheckpointError(f"{folder} is damaged: the content of {name} is not what was written.")


def _manifest(folder: Path) -> dict[str, Any]:
    """A manifest of our format with its fields in place, or a CheckpointError."""
    if not folder.is_dir():
        what = "a file" if folder.exists() else "not there"
        raise CheckpointError(f"{folder} is {what}: a checkpoint is a folder with {MANIFEST}, {TENSORS} and {STATE}.")
    manifest = _json(folder, MANIFEST)
    found = manifest.get("format") if isinstance(manifest, dict) else None
    if found != FORMAT:
        raise CheckpointError(f"{folder} has format {found!r}; this version reads format {FORMAT}.")
    files = manifest.get("files")
    whole = isinstance(files, dict) and all(
        isinstance(files.get(name), dict) and isinstance(files[name].get("sha256"), str) and "bytes" in files[name]
        for name in (TENSORS, STATE)
    )
    if not whole or not isinstance(manifest.get("kind"), str):
        raise CheckpointError(f"{folder} is damaged: {MANIFEST} lacks its fields.")
    return manifest


def _steps(folder: Path) -> list[int]:
    """Steps of the checkpoints in a folder, newest first, whatever their dates."""
    found = (STEP.fullmatch(path.name) for path in folder.glob("step-*"))
    return sorted((int(match[1]) for match in found if match), reverse=True)


def _json(folder: Path, name: str) -> Any:
    try:
        return json.loads((folder / name).read_bytes())
    except FileNotFoundError:
        raise CheckpointError(f"{folder} is no checkpoint, or a damaged one: {name} is missing.") from None
    except (ValueError, RecursionError) as error:  # ValueError: neither JSON nor UTF-8
        raise CheckpointError(f"{folder} is damaged: {name} is no JSON ({error}).") from None
