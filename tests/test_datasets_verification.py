"""Everything that is wrong with a data set is told at once."""

import hashlib
import json
import os

import numpy as np
import pytest
import torch
from PIL import Image

from iqa import datasets, disk
from iqa.datasets import pixels, preparation
from iqa.datasets.assembly import Turn
from iqa.datasets.verification import verify


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("IQA_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "set"
    folder.mkdir()
    for i in range(10):
        Image.fromarray(np.full((8, 9, 3), 25 * i, np.uint8)).save(folder / f"{i}.png")
    written(folder, [f"{i}.png,{10 * i}" for i in range(10)])
    return folder


def written(folder, rows):
    (folder / "scores.csv").write_text("\n".join(["image,mos", *rows]) + "\n")


def look(root, **options):
    return verify(str(root), "", Turn(), **options)


def test_a_good_folder_has_facts_and_no_faults(root):
    found = look(root, count=10)
    assert found.faults == ()
    assert "10 scores from 0 to 90 on a scale of 0 to 100" in found.facts
    assert any(fact.startswith("split random-60-20-20: 6 / 2 / 2") for fact in found.facts)


def test_the_best_constant_is_the_training_parts_median(root):
    table = datasets.load(str(root)).table
    train, test = (table[table["split"] == part]["opinion"] for part in ("train", "test"))
    error = (test - train.median()).abs().mean()
    assert (
        f"a constant, the training part's median, {train.median():.2f}, has a mean absolute error of {error:.2f}"
        in (" ".join(look(root).facts))
    )


def test_all_faults_come_at_once_however_many(root):
    (root / "0.png").write_bytes(b"")
    (root / "2.png").write_bytes((root / "1.png").read_bytes())
    written(root, [f"{i}.png,{10 * i}" for i in range(10)] + ["gone.png,1", "3.png,x", *["../a.png,1"] * 30])
    faults = look(root, count=10).faults
    assert len(faults) == 34
    for part in (
        "line 2: '0.png' is not",
        "line 3: '1.png' and line 4: '2.png' are",
        "line 12: 'gone.png'",
        "line 13: ",
    ):
        assert any(part in fault for fault in faults)


def test_without_its_pictures_a_folder_s_csv_is_checked_alone(root):
    for file in root.glob("*.png"):
        file.unlink()
    parts = ["train"] * 6 + ["val"] * 2 + ["test"] * 2
    (root / "scores.csv").write_text("\n".join(["image,mos,split", *(f"{i}.png,{i},{parts[i]}" for i in range(10))]))
    found = look(root, seen=False, count=10)
    assert found.faults == () and "split split-column: 6 / 2 / 2 train/validation/test" in found.facts
    assert not any("left out" in fact for fact in found.facts)


def test_pictures_are_read_again_whatever_was_known_of_them(root):
    datasets.load(str(root))
    file = root / "0.png"
    stamp = file.stat()
    file.write_bytes(bytes(stamp.st_size))
    os.utime(file, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert len(datasets.load(str(root))) == 10  # by size and time nothing has changed
    assert look(root).faults == (
        "line 2: '0.png' is not a picture that can be read: give JPEG, PNG, BMP, TIFF or WEBP",
    )


def test_damaged_pixels_in_the_cache_are_a_fault_and_not_trained_on(root, caplog):
    manifest = datasets.load(str(root), input_size="4x4")
    before = [manifest.read(i) for i in range(len(manifest))]
    (filled,) = preparation.fill_cache(manifest)
    with filled.file.open("r+b") as out:
        out.write(b"\xfe")
    (fault,) = look(root, input_size="4x4").faults
    assert "cached pixels of '0.png' are damaged: delete" in fault and not look(root).faults
    index = pixels.folder_of("4x4", "bicubic") / "set.index"
    assert fault.endswith(f"delete {index} and prepare it again")
    fresh = datasets.load(str(root), input_size="4x4")
    caplog.set_level("WARNING", "iqa")
    assert all(torch.equal(fresh.read(i), was) for _ in range(2) for i, was in enumerate(before))
    assert [one.getMessage() for one in caplog.records] == [
        f"pixels in {filled.file} are damaged, their pictures are decoded: delete {index} and prepare again"
    ]
    index.unlink()
    (filled,) = preparation.fill_cache(fresh)
    assert filled.written == 10 and not look(root, input_size="4x4").faults


@pytest.mark.parametrize("lost", [1, 480])
def test_a_cache_that_is_cut_off_or_removed_while_it_is_read_is_decoded(root, lost):
    manifest = datasets.load(str(root), input_size="4x4")
    before = [manifest.read(i) for i in range(len(manifest))]
    (filled,) = preparation.fill_cache(manifest)
    fresh = datasets.load(str(root), input_size="4x4")
    assert torch.equal(fresh.read(0), before[0])
    os.truncate(filled.file, filled.size - lost)
    assert all(torch.equal(fresh.read(i), was) for i, was in enumerate(before))


def test_the_manifest_is_written_with_its_own_digest(root, tmp_path):
    manifest = datasets.load(str(root), protocol="kfold-5", fold=2)
    file = preparation.write_manifest(manifest, tmp_path / "out")
    about = json.loads(file.with_suffix(".json").read_text())
    assert file.name == "set-kfold-5-2.csv" and about["digest"] == manifest.digest and about["protocol"] == "kfold-5:2"
    assert about["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert (
        file.read_text().splitlines()[0].startswith("path,score,opinion,split,group,family,level,digest,width,height")
    )
    assert len(file.read_text().splitlines()) == 11
    assert disk.file_digest(manifest.file(0)) in file.read_text()


def test_a_part_without_two_different_scores_is_a_fault_and_nothing_to_train_on(root):
    lines = [f"{i}.png,{10 * i},{part}" for i, part in enumerate(["train"] * 5 + ["val"] + ["test"] * 2)]
    (root / "scores.csv").write_text("\n".join(["image,mos,split", *lines]) + "\n")
    (fault,) = look(root).faults
    assert fault.startswith("the validation part has 1 picture, and a correlation needs two different scores")
    with pytest.raises(datasets.DataError, match="set: the validation part has 1 picture"):
        datasets.load(str(root)).comparable()
    assert datasets.load(str(root), protocol="kfold-5").where(slice(0, 0)).comparable().digest


def test_the_built_in_set_is_checked_byte_by_byte(monkeypatch, tmp_path):
    monkeypatch.setenv("IQA_CACHE", str(tmp_path / "cache"))
    found = verify("sample_optics", "", Turn())
    assert found.faults == () and any("synthetic" in fact for fact in found.facts)
