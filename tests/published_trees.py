"""The five published sets in miniature: their trees, names and headers, with generated pictures of 64 × 48."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat
from test_datasets_agiqa import HEADER as AGIQA
from test_datasets_koniq import HEADER as KONIQ
from test_datasets_spaq import workbook

COUNT = 12  # pictures with a score; KADID: 30


def build(name: str, root: Path, count: int = COUNT) -> int:
    """Write the tree of a set below `root`, as its archive unpacks; how many pictures it has."""
    return BUILDERS[name](root, count)


def picture(path: Path, seed: int) -> None:
    """Coloured blocks, another for each seed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    blocks = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    Image.fromarray(blocks.repeat(8, axis=0).repeat(8, axis=1)).save(path)


def _koniq(root: Path, count: int) -> int:
    names = [f"{10_000 + i}.jpg" for i in range(count)]
    parts = ["training"] * (count // 2) + ["validation"] * (count // 6)
    parts += ["test"] * (count - len(parts))
    for i, name in enumerate(names):
        picture(root / "koniq" / "1024x768" / name, i)
    rows = [f"{n},0,0,0.2,0.7,0.1,105,{40 + 30 * i / count},0.5,{parts[i]}" for i, n in enumerate(names)]
    (root / "koniq" / "koniq10k_distributions_sets.csv").write_text("\n".join([KONIQ, *rows]))
    return count


def _spaq(root: Path, count: int) -> int:
    names = [f"{i:05d}.jpg" for i in range(1, count + 1)]
    for i, name in enumerate(names):
        picture(root / "SPAQ" / "SPAQ zip" / "TestImage" / name, 100 + i)
    (root / "SPAQ" / "SPAQ zip" / "Annotations").mkdir()
    rows = [["Image name", "MOS", "Brightness"], *([name, 20.5 + 60 * i / count, 50] for i, name in enumerate(names))]
    workbook(root / "SPAQ" / "SPAQ zip" / "Annotations" / "MOS and Image attribute scores.xlsx", rows)
    return count


def _kadid(root: Path, _: int) -> int:
    folder = root / "kadid10k"
    lines = ["dist_img,ref_img,dmos,var"]
    for reference in range(1, 6):
        picture(folder / "images" / f"I{reference:02d}.png", 200 + reference)
        for kind in (1, 10, 25):
            for level in (1, 5):
                name = f"I{reference:02d}_{kind:02d}_{level:02d}.png"
                picture(folder / "images" / name, 1000 * reference + 10 * kind + level)
                lines.append(
                    f"{name},I{reference:02d}.png,{4.93 - 0.9 * (level - 1) + 0.01 * reference - 0.06:.2f},0.5"
                )
    (folder / "dmos.csv").write_text("\n".join(lines))
    return 30


def _agiqa(root: Path, count: int) -> int:
    rows = []
    for i in range(count):
        picture(root / "agiqa" / f"DALLE2_{i:03d}.jpg", 300 + i)
        rows.append(f'DALLE2_{i:03d}.jpg,"a tray, number {i // 2}",,,,{0.3 + 4.2 * i / count:.2f},0.2,3.9,0.3')
    (root / "agiqa" / "data.csv").write_bytes("\r\n".join([AGIQA, *rows, ""]).encode())
    return count


def _clive(root: Path, count: int) -> int:
    folder = root / "ChallengeDB_release"
    names = [f"t{i}.bmp" for i in range(1, 8)] + [f"{i}.{'bmp' if i % 2 else 'JPG'}" for i in range(count)]
    for i, name in enumerate(names):
        picture(folder / "Images" / ("trainingImages" if i < 7 else "") / name, 400 + i)
    (folder / "Data").mkdir()
    objects = np.empty((len(names), 1), object)
    objects[:, 0] = names
    savemat(folder / "Data" / "AllImages_release.mat", {"AllImages_release": objects})
    savemat(folder / "Data" / "AllMOS_release.mat", {"AllMOS_release": np.linspace(20, 80, len(names))[None]})
    return count


BUILDERS: dict[str, Callable[[Path, int], int]] = {
    "koniq": _koniq,
    "spaq": _spaq,
    "kadid": _kadid,
    "agiqa": _agiqa,
    "clive": _clive,
}
