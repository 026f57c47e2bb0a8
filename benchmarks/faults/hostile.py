"""Files that would run something if they were trusted, given as weights: refused, and a canary proves it."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks.faults.home import Home
from benchmarks.faults.place import Place
from benchmarks.faults.row import Outcome
from entrypoints.command import BAD_INPUT
from iqa import checkpoint

CANARY = "canary"


class Bomb:
    """Unpickled, it makes the canary."""

    def __init__(self, canary: Path):
        self.canary = canary

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        return Path.touch, (self.canary,)


def zipped(folder: Path) -> Path:
    """torch.save's own format."""
    torch.save({"weight": Bomb(folder / CANARY)}, folder / "weights.pth")
    return folder / "weights.pth"


def legacy(folder: Path) -> Path:
    """torch.save's format of old: a bare pickle."""
    torch.save({"weight": Bomb(folder / CANARY)}, folder / "old.pth", _use_new_zipfile_serialization=False)
    return folder / "old.pth"


def bare(folder: Path) -> Path:
    """A pickle written by hand, protocol 0."""
    (folder / "bare.pth").write_bytes(f"cos\nmkdir\n(V{folder / CANARY}\ntR.".encode())
    return folder / "bare.pth"


def program(folder: Path) -> Path:
    """An exported program, .pt2: an archive that carries pickles."""
    with zipfile.ZipFile(folder / "model.pt2", "w") as archive:
        archive.writestr("archive_format", "pt2")
        archive.write(zipped(folder), "data/weights/model.pt")
    return folder / "model.pt2"


def loader(folder: Path) -> Path:
    """A model's folder as MLflow keeps it, with a module that loads it."""
    model = folder / "model"
    model.mkdir()
    flavour = "flavors:\n  python_function:\n    loader_module: loader\n    code: .\n"
    (model / "MLmodel").write_text(flavour, encoding="utf-8")
    (model / "loader.py").write_text(f"open({str(folder / CANARY)!r}, 'w')\n", encoding="utf-8")
    return model


def vouched(folder: Path) -> Path:
    """A checkpoint whose manifest vouches for a pickle."""
    made = checkpoint.write(folder / "encoder", {"weight": torch.ones(1)}, "encoder")
    (made / checkpoint.TENSORS).write_bytes(legacy(folder).read_bytes())
    manifest = json.loads((made / checkpoint.MANIFEST).read_text(encoding="utf-8"))
    manifest["files"][checkpoint.TENSORS] = checkpoint._described(made / checkpoint.TENSORS)
    (made / checkpoint.MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    return made


FILES = {one.__name__: one for one in (zipped, legacy, bare, program, loader, vouched)}


def given(home: Home, name: str, kind: str, without: str = "") -> Outcome:
    """Fine-tune from such a file: exit code 2, one sentence, no canary, torch.load never told to trust."""
    with Place(home, name, without) as place:
        path = FILES[kind](place.folder)
        code = place.start("finetune", f"--weights={path}", "--encoder=tf_efficientnet_lite0").wait(60)
        wrong = [f"exit code {code}"] if code != BAD_INPUT else []
        wrong += ["it ran"] if (place.folder / CANARY).exists() else []
        wrong += ["a traceback"] if "Traceback" in place.out.read_text(encoding="utf-8") else []
        wrong += ["trusting torch.load"] if any(note.name == "trusting-load" for note in place.notes()) else []
        return f"{'; '.join(wrong)}: {place.said()}" if wrong else "", ""
