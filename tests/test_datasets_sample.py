"""The built-in sets: made once, the same for everybody, and honest about their scores."""

import dataclasses
import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from iqa import datasets, degradations, images
from iqa.datasets import DataError, charts, photographs, sample

TOY = sample.Recipe(photographs=(("coffee",), (), ()), charts=(1, 1, 1), families=sample.RECIPES["sample"].families)


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """A set "sample" of nine contents of 64 pixels, made into a cache of its own."""
    monkeypatch.setenv("IQA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(sample.RECIPES, "sample", TOY)
    monkeypatch.setattr(sample, "SIZE", 64)
    return tmp_path / "cache"


def test_the_recipes_share_neither_sources_nor_families():
    photos = [name for recipe in sample.RECIPES.values() for part in recipe.photographs for name in part]
    assert len(photos) == len(set(photos)) and set(photos) == set(photographs.PHOTOGRAPHS)
    families = [family for recipe in sample.RECIPES.values() for family in recipe.families]
    assert len(families) == len(set(families)) and set(families) <= set(degradations.FAMILIES)


def test_the_sample_is_half_charts_half_crops_of_six_photographs():
    recipe = sample.RECIPES["sample"]
    assert recipe.charts == (18, 6, 12) and sum(recipe.charts) == 36
    assert [len(part) * photographs.CROPS for part in recipe.photographs] == [24, 6, 6]
    for name in ("sample_optics", "sample_sensor"):
        assert sample.RECIPES[name].charts == (0, 0, 12) and len(sample.RECIPES[name].photographs[2]) == 2


def test_every_content_has_a_reference_and_five_draws_of_its_own(toy):
    manifest = datasets.load("sample")
    assert len(manifest) == 9 * 6 and len(manifest.references()) == 9
    degraded = manifest.table[manifest.table["family"] != "reference"]
    assert not degraded.duplicated(["path"]).any() and set(degraded["family"]) <= set(TOY.families)
    assert degraded["level"].between(0, 4).all() and (manifest.references().table["level"] == -1).all()
    assert manifest.table["digest"].nunique() == len(manifest)


@pytest.mark.parametrize("name", sample.RECIPES)
def test_draws_are_five_different_pairs_severe_ones_more_often_and_never_the_reference_itself(name):
    drawn = [sample.draws(name, str(content)) for content in range(100)]
    assert all(len(set(pairs)) == 5 for pairs in drawn) and drawn[0] == sample.draws(name, "0") != drawn[1]
    pairs = [pair for some in drawn for pair in some]
    assert not sample.IDENTITIES & set(pairs)
    assert {family for family, _ in pairs} == set(sample.RECIPES[name].families)
    counts = [sum(level == wanted for _, level in pairs) for wanted in range(5)]
    assert counts[0] > 10 and counts[4] > counts[2] > counts[0]


def test_a_source_stands_in_one_part_and_is_the_group(toy):
    manifest = datasets.load("sample")
    assert (manifest.table.groupby("group")["split"].nunique() == 1).all()
    assert [len(manifest.part(part)) for part in ("train", "validation", "test")] == [42, 6, 6]
    assert set(manifest.table["group"]) == {"coffee", "chart-train-00", "chart-validation-00", "chart-test-00"}


def test_scores_are_haarpsi_within_the_noise(toy):
    manifest = datasets.load("sample")
    for i, row in manifest.table.iterrows():
        if row["family"] == "reference":
            assert row["score"] > 0.9
            continue
        reference = images.read(manifest.root / f"{row['path'].split('_')[0]}.png")
        clean = sample.haarpsi(images.read(manifest.file(i))[None], reference)[0]
        assert abs(clean - row["score"]) < 5 * sample.NOISE
    assert (
        manifest.table["score"].between(0, 1).all()
        and (manifest.table["score"].round(6) == manifest.table["score"]).all()
    )


def test_what_the_scores_are_and_whose_the_photographs_is_said(toy):
    manifest = datasets.load("sample")
    notes = "\n".join(manifest.notes)
    assert manifest.scores_are == "synthetic (HaarPSI + noise)" and "not opinions" in notes
    assert "coffee (CC0, Rachel Michetti)" in notes and "42 / 6 / 6 train/validation/test" in notes


def test_made_again_it_is_the_same_to_the_byte(toy):
    first = datasets.load("sample")
    manifest = (first.root / "manifest.csv").read_bytes()
    shutil.rmtree(first.root)
    second = datasets.load("sample")
    assert second.digest == first.digest and second.root == first.root
    assert (second.root / "manifest.csv").read_bytes() == manifest


def test_it_is_made_once_and_then_only_checked(toy, monkeypatch):
    first = datasets.load("sample")
    monkeypatch.setattr(sample, "_degraded", lambda *args: pytest.fail("it was made again"))
    assert datasets.load("sample").digest == first.digest


def test_two_at_once_both_end_well_and_leave_one_set(toy):
    with ThreadPoolExecutor(2) as pool:
        one, two = pool.map(lambda _: datasets.load("sample"), range(2))
    assert one.digest == two.digest
    assert len([path for path in toy.iterdir() if path.is_dir()]) == 1


def test_what_a_killed_process_left_is_removed(toy):
    left = toy / ".making-sample-dead"
    left.mkdir(parents=True)
    datasets.load("sample")
    assert not left.exists()


def test_a_failure_leaves_nothing_half_made(toy, monkeypatch):
    monkeypatch.setattr(sample, "haarpsi", lambda *args: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        datasets.load("sample")
    assert not [path for path in toy.iterdir() if path.is_dir()]


def test_a_damaged_file_is_found_and_the_remedy_is_said(toy):
    manifest = datasets.load("sample")
    manifest.file(3).write_bytes(b"")
    with pytest.raises(DataError, match="1 files of .* are damaged, as .*: delete that folder"):
        datasets.load("sample")


def test_every_set_has_a_key_of_its_own():
    assert len({sample._key(name) for name in sample.RECIPES}) == 3


def test_another_recipe_lies_in_another_folder(toy, monkeypatch):
    key = sample._key("sample")
    monkeypatch.setattr(sample, "NOISE", 0.03)
    assert sample._key("sample") != key


def test_a_changed_degradation_makes_the_set_anew(toy, monkeypatch):
    key = sample._key("sample")
    assert sample._key("sample") == key
    darken = degradations.FAMILIES["darken"]
    other = dataclasses.replace(darken, apply=degradations.FAMILIES["brighten"].apply)
    monkeypatch.setitem(degradations.FAMILIES, "darken", other)
    assert sample._key("sample") != key


def test_the_parts_are_fixed():
    with pytest.raises(DataError, match="no protocol 'random-80-20': its parts are fixed, by-source"):
        datasets.load("sample", protocol="random-80-20")


def test_haarpsi_is_one_for_equal_pictures_and_does_not_see_the_number_of_threads():
    reference = charts.chart(96, "threads")
    noisy = [(reference.int() + torch.randint(-d, d + 1, reference.shape)).clamp(0, 255).byte() for d in (5, 20, 60)]
    pictures = torch.stack([reference, *noisy])
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = sample.haarpsi(pictures, reference)
        torch.set_num_threads(2)
        assert sample.haarpsi(pictures, reference) == one
    finally:
        torch.set_num_threads(threads)
    assert one[0] == pytest.approx(1, abs=1e-5) and sorted(one, reverse=True) == one and 0 <= one[-1] < 0.8


@pytest.mark.parametrize("family", [name for recipe in sample.RECIPES.values() for name in recipe.families])
def test_haarpsi_falls_with_every_level_of_every_family_used(family):
    contents = [charts.chart(128, "monotone", i) for i in range(2)] + photographs.crops("astronaut", 128)[:2]
    means = torch.zeros(5, dtype=torch.float64)
    for index, content in enumerate(contents):
        pictures = torch.stack([sample._applied(images.unit(content)[None], family, i, index) for i in range(5)])
        means += torch.tensor(sample.haarpsi(pictures, content), dtype=torch.float64) / len(contents)
    assert (means.diff() < 0).all(), means
