"""What is made of a data set ahead of its use: the manifest as a file, and the cache of its pixels."""

import hashlib
import json
from pathlib import Path

from iqa import disk
from iqa.datasets import pixels
from iqa.datasets.manifest import Manifest
from iqa.images import NATIVE


def write_manifest(manifest: Manifest, folder: Path | None = None) -> Path:
    """NAME-PROTOCOL.csv, a line a picture; beside it NAME-PROTOCOL.json, its sha256 and what is said of the set."""
    target = folder or disk.cache_folder() / "manifests"
    stem = f"{manifest.name}-{manifest.protocol}".replace(":", "-").replace("/", "-")
    text = manifest.table.to_csv(index=False, lineterminator="\n").encode()
    about = {
        "name": manifest.name,
        "root": str(manifest.root),
        "digest": manifest.digest,
        "sha256": hashlib.sha256(text).hexdigest(),
        "images": len(manifest),
        "protocol": manifest.protocol,
        "score_range": list(manifest.score_range),
        "scores_are": manifest.scores_are,
        "resize_filter": manifest.resample,
        "deviations": list(manifest.deviations),
        "notes": list(manifest.notes),
    }
    _replace(target / f"{stem}.json", json.dumps(about, indent=2, ensure_ascii=False).encode() + b"\n")
    return _replace(target / f"{stem}.csv", text)


def fill_cache(manifest: Manifest) -> list[pixels.Filled]:
    """The pixels of every picture at its input size, a file for each size."""
    rows = list(enumerate(zip(manifest.table["digest"], manifest.table["size"], strict=True)))
    found = []
    for size in sorted({size for _, (_, size) in rows}):
        files = {digest: manifest.file(i) for i, (digest, own) in rows if own == size}
        found.append(pixels.fill(manifest.name, files, size or NATIVE, manifest.resample))
    return found


def _replace(file: Path, content: bytes) -> Path:
    with disk.cached(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        with disk.whole(file, "wb", shared=True) as out:
            out.write(content)
    return file
