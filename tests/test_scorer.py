"""A finished model on any pictures: what it does to them, and that its scores are those of an evaluation."""

import csv
import dataclasses

import pytest
import torch
from stage_toy import TINY, Recorded, untrained

from iqa import checkpoint, config, datasets, images, scorer
from iqa.scorer import Scale, Scorer
from iqa.stages import stage


@pytest.fixture(autouse=True)
def in_cache(home):
    """Hashes of this test's data stay in its own folder."""


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return untrained(tmp_path_factory.mktemp("model") / "model")


def files(photos):
    return sorted(photos.glob("*.png"))


def test_scores_are_those_of_an_evaluation(model, photos, tmp_path):
    told = TINY | {"weights": str(model), "targets": str(photos), "crops.size": "32", "crops.grid": "2"}
    list(stage("evaluate")(config.load("evaluate", told, "smoke"), Recorded(tmp_path)))
    with (tmp_path / "predictions" / f"{photos.name}.csv").open() as lines:
        wanted = {row["path"]: float(row["prediction"]) for row in csv.DictReader(lines)}
    mine = Scorer(model, "cpu")
    found = dict(zip([file.name for file in files(photos)], mine.score(map(mine.read, files(photos))), strict=True))
    assert len(set(wanted.values())) > 20
    assert found == pytest.approx(wanted, abs=1e-6)


def test_a_picture_s_score_depends_on_no_other_and_comes_in_its_order(model, photos):
    mine = Scorer(model, "cpu")
    together = list(mine.score(map(mine.read, files(photos))))
    for place in (0, 24, 29):  # 24 pictures of four crops are one batch
        assert list(mine.score([mine.read(files(photos)[place])])) == pytest.approx([together[place]], abs=1e-6)


def test_a_crop_is_cut_as_soon_as_its_picture_is_read_and_the_picture_let_go(model, photos):
    mine = Scorer(model, "cpu")
    alive = []

    def pictures():
        for _ in range(100):
            pixels = mine.read(files(photos)[0])
            alive.append(pixels.untyped_storage()._weak_ref())
            yield pixels

    list(mine.score(pictures()))
    held = [torch.UntypedStorage._new_with_weak_ptr(one) is not None for one in alive]
    assert sum(held) <= 1


def test_bytes_are_read_as_the_file_is(model, photos):
    mine, file = Scorer(model, "cpu"), files(photos)[3]
    assert torch.equal(mine.read(file.read_bytes(), "picture 1"), mine.read(file))
    with pytest.raises(images.ImageError, match="^picture 7 is damaged"):
        mine.read(file.read_bytes()[:900], "picture 7")


def test_a_picture_into_which_no_crop_fits_is_refused_by_its_name(model, tmp_path):
    images.save_png(torch.zeros(3, 31, 90, dtype=torch.uint8), tmp_path / "small.png")
    with pytest.raises(images.ImageError, match="small.png' is 90×31, smaller than a crop of 32"):
        Scorer(model, "cpu").read(tmp_path / "small.png")
    assert Scorer(model, "cpu", "64").read(tmp_path / "small.png").shape == (3, 64, 186)


def test_the_input_size_is_the_training_s_unless_another_is_asked_for(tmp_path, photos):
    folder = untrained(tmp_path / "model", size="40")
    assert Scorer(folder, "cpu").read(files(photos)[0]).shape == (3, 40, 47)
    assert Scorer(folder, "cpu", "native").read(files(photos)[0]).shape == (3, 48, 56)
    with pytest.raises(ValueError, match="input_size = 'large': a size is native"):
        Scorer(folder, "cpu", "large")


@pytest.mark.parametrize(
    ("sizes", "wanted", "side"),
    [
        (["native"] * 3, "native", 48),
        (["24"] * 3, "24", 24),
        (["64x32"] * 3, "32", 32),
        (["24", "", "24"], "native", 24),
    ],
)
def test_an_exact_size_becomes_its_short_side_and_mixed_ones_become_native(sizes, wanted, side, photos):
    manifest = datasets.load(str(photos))
    three = dataclasses.replace(manifest, table=manifest.table[:3].assign(size=sizes))
    told = scorer.preprocessing_of(three, 32, 5)
    assert (told.size, told.short_side, told.resample, told.crop, told.grid) == (wanted, side, "bicubic", 32, 5)


def test_fine_tuning_leaves_the_preprocessing_and_the_scale_in_its_model(photos, tmp_path):
    from stage_toy import done, settings

    _, folder = done("finetune", settings("finetune", photos, epochs="1"), Recorded(tmp_path))
    mine = Scorer(folder, "cpu")
    assert (mine.preprocessing.crop, mine.preprocessing.grid, mine.size) == (32, 2, "native")
    assert mine.preprocessing.short_side == 48
    assert mine.scale == Scale(photos.name, "opinion scores", 0.0, 100.0)
    assert mine.told()["scores"] == f"predictions of opinion scores of {photos.name}, 0 (worst) to 100 (best)"
    assert "SRCC" in mine.told()["validation"]


def test_a_score_on_the_opinions_scale(model):
    assert Scale("spaq", "opinion scores", 1.0, 5.0).opinion(0.25) == 2.0
    assert Scorer(model, "cpu").scale.span == 100.0


def test_a_model_of_an_earlier_version_is_refused_with_what_to_do(model, tmp_path):
    tree = checkpoint.read(model, kind="model")
    del tree["preprocessing"]
    old = checkpoint.write(tmp_path / "old", tree, kind="model")
    with pytest.raises(checkpoint.CheckpointError, match="without its preprocessing: fine-tune again"):
        Scorer(old, "cpu")
