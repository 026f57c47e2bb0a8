"""KADID-10k (Lin, Hosu & Saupe, QoMEX 2019): 81 pristine photographs × 25 distortions × 5 levels."""

import re
from pathlib import Path, PurePosixPath

from iqa.datasets.assembly import Entry, Listing
from iqa.datasets.published import Published, entries, pictures, rows

TREE = "images/I01_01_01.png … and dmos.csv"
RANGE = (1.0, 5.0)  # seen: 1…4.93; higher is better, despite the column's name
FAMILIES = (  # 01 … 25; named as in iqa.degradations where the operation is the same
    *("gaussian_blur", "lens_blur", "motion_blur", "color_diffusion", "color_shift", "color_quantization"),
    *("saturation", "saturation_lab", "jpeg2000", "jpeg", "white_noise", "ycbcr_noise", "impulse_noise"),
    *("multiplicative_noise", "denoise", "brighten", "darken", "mean_shift", "jitter", "non_eccentricity"),
    *("pixelate", "quantization", "color_blocks", "sharpen", "contrast"),
)

OTHERS = {  # families that iqa.degradations has not, or has as two: their group, and ours that are the same
    "color_quantization": ("colour", ()),
    "denoise": ("noise", ()),
    "mean_shift": ("brightness", ("mean_up", "mean_down")),
    "contrast": ("contrast", ("contrast_up", "contrast_down")),
}


def read(annotations: Path, seen: bool = True) -> Listing:
    """dmos.csv; the unit is the reference, and parts are drawn by reference."""
    notes: list[str] = []
    lines, faults = rows(annotations, ("dist_img", "ref_img", "dmos"), notes)
    tree = pictures(annotations.parent, ("images",), TREE, seen)
    found, more = entries(lines, tree, ("dist_img", "dmos"), RANGE, _entry)
    notes.append("scores are dmos on 1–5, of which the higher is the better; a unit is a reference picture")
    root = Path(tree.inside)
    return Listing("kadid", root, annotations, found, RANGE, default="by-reference", faults=faults + more, notes=notes)


def _entry(path: str, opinion: float, values: dict[str, str]) -> Entry:
    """The family and level that a name like I01_10_05.png tells."""
    parts = re.fullmatch(r"(i[0-9]+)_([0-9]{2})_([0-9]{2})", PurePosixPath(path).stem.lower())
    if not parts or not 1 <= int(parts[2]) <= len(FAMILIES) or not 1 <= int(parts[3]) <= 5:
        raise ValueError(f"{path!r} is not named as I01_10_05.png, with a distortion 01…25 and a level 01…05")
    if PurePosixPath(values["ref_img"]).stem.lower() != parts[1]:
        raise ValueError(f"{path!r} is said to come from {values['ref_img']!r}")
    return Entry(path, opinion, "", values["ref_img"], FAMILIES[int(parts[2]) - 1], int(parts[3]) - 1)


SET = Published(
    "kadid",
    "KADID-10k",
    "http://database.mmsp-kn.de/kadid-10k-database.html",
    TREE,
    ("dmos.csv",),
    10_125,
    read,
)
