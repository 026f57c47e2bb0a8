"""What a model has seen is left out of its tests, and families are divided by what pretraining saw."""

from pathlib import Path

import numpy as np
import pytest

from iqa import degradations, encoders
from iqa.datasets import DataError, kadid
from iqa.datasets.manifest import Manifest, table_of
from iqa.stages import lineage
from iqa.stages.scoring import by_distortion


def manifest(digests="abcd", families=(), scores=()):
    columns = {"path": [f"{d}.png" for d in digests], "digest": [d * 64 for d in digests]}
    columns |= {"family": list(families)} if families else {}
    columns |= {"score": list(scores)} if scores else {}
    return Manifest("toy", Path("/toy"), table_of(columns), (0, 1), "toy scores", "none")


def test_seen_pictures_are_left_out_with_a_line():
    left = lineage.unseen(manifest(), lineage.marks(manifest("bc")))
    assert list(left.table["path"]) == ["a.png", "d.png"] and set(left.table["split"]) == {"test"}
    assert left.notes == ("toy: 2 pictures that the model was trained on are left out",)
    assert len(lineage.unseen(manifest(), [])) == 4


def test_a_set_that_was_seen_as_a_whole_is_refused():
    with pytest.raises(DataError, match="trained on every picture of toy: evaluate it on another"):
        lineage.unseen(manifest(), lineage.marks(manifest()))


def test_a_picture_that_was_pretrained_on_cannot_test():
    with pytest.raises(DataError, match="(?s)1 pictures that validate or test.*fold and round\n  b.png"):
        lineage.refuse_seen([manifest("ab"), manifest("cd")], lineage.marks(manifest("b")), "runs:/x/encoder")
    lineage.refuse_seen([manifest("ab")], lineage.marks(manifest("cd")), "runs:/x/encoder")


@pytest.mark.parametrize("word", encoders.KEYWORDS)
def test_a_folder_that_is_called_like_a_kind_of_weights_is_not_taken_for_them(word, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / word).mkdir()
    assert lineage.behind(word) == {"seen": [], "families": []}


def test_kadids_families_are_divided_by_family_and_by_group():
    told = lineage.divided(kadid.FAMILIES, ("jpeg", "gaussian_blur", "mean_up"))
    assert told["seen"] == ["gaussian_blur", "jpeg", "mean_shift"]
    assert set(told["seen"]) | set(told["unseen"]) == set(kadid.FAMILIES)
    groups = {lineage.group_of(name) for name in told["unseen_groups"]}
    assert groups == {"noise", "colour", "spatial", "contrast"}


def test_every_family_of_kadid_has_a_group_of_ours():
    assert {lineage.group_of(name) for name in kadid.FAMILIES} == {one.group for one in degradations.FAMILIES.values()}


def test_correlations_within_families_are_those_of_their_rows():
    families = ["jpeg"] * 4 + ["denoise"] * 4 + ["reference"]
    scores = [0.1, 0.2, 0.3, 0.4, 0.1, 0.2, 0.3, 0.4, 0.9]
    predictions = np.array([1, 2, 3, 4, 4, 3, 2, 1, 0.0])
    found = by_distortion(predictions, manifest("abcdefghi", families, scores), ("jpeg",))
    assert (found["family/jpeg/srcc"], found["family/denoise/srcc"]) == (pytest.approx(1), pytest.approx(-1))
    assert (found["seen/srcc"], found["unseen/n"], found["unseen_groups/srcc"]) == (
        pytest.approx(1),
        4,
        pytest.approx(-1),
    )
    assert not any("reference" in name for name in found)


def test_a_set_without_families_has_none_of_it():
    assert by_distortion(np.zeros(4), manifest(scores=[0.1, 0.2, 0.3, 0.4]), ("jpeg",)) == {}


def test_weights_that_are_no_artifact_have_seen_nothing():
    assert lineage.behind("bundled") == {"seen": [], "families": []}
