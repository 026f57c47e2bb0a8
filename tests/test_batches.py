"""Crops: seeded, resumable, independent of how they are batched."""

import itertools
from pathlib import Path

import pytest
import torch

from iqa import batches, degradations, images
from iqa.datasets.manifest import Manifest, table_of

CROP = 32


@pytest.fixture(scope="module")
def manifest(tmp_path_factory) -> Manifest:
    """Ten 64 × 80 images of smooth random colours, each with its own score."""
    root = tmp_path_factory.mktemp("set")
    for n in range(10):
        noise = torch.rand(1, 3, 8, 10, generator=torch.Generator().manual_seed(n))
        smooth = torch.nn.functional.interpolate(noise, (64, 80), mode="bilinear")
        images.save_png((smooth[0] * 255).to(torch.uint8), root / f"{n}.png")
    names = [f"{n}.png" for n in range(10)]
    columns = {"path": names, "score": [n / 10 for n in range(10)], "digest": names, "group": names}
    return Manifest("toy", Path(root), table_of(columns), (0.0, 1.0), "toy scores", "none")


def tuned(manifest, start=0, batch=4, per_image=2, seed=0):
    return batches.finetuning(manifest, batch=batch, per_image=per_image, seed=seed, start=start, crop=CROP, flip=True)


def pretrained(manifest, start=0, batch=4, families=("blur", "jpeg", "noise", "brightness")):
    return batches.pretraining(manifest, batch=batch, seed=0, start=start, families=families, crop=CROP, overlap=0.5)


def take(iterator, count):
    return list(itertools.islice(iterator, count))


def test_an_epoch_shows_every_image_once():
    assert sorted(batches.order(10, 0, 3)) == list(range(10))


def test_every_epoch_and_seed_has_its_own_order():
    assert len({tuple(batches.order(10, seed, epoch)) for seed in range(3) for epoch in range(3)}) == 9


def test_an_epoch_has_every_crop_of_every_image(manifest):
    rows = torch.cat([batch.rows for batch in take(tuned(manifest), 5)])
    assert rows.bincount().tolist() == [2] * 10


def test_crops_carry_their_images_score(manifest):
    batch = next(tuned(manifest))
    assert torch.allclose(batch.scores, batch.rows / 10)


def test_starting_in_the_middle_gives_what_the_uninterrupted_run_gives(manifest):
    whole, late = take(tuned(manifest), 9), take(tuned(manifest, start=7), 2)
    for one, other in zip(whole[7:], late, strict=True):
        assert torch.equal(one.pixels, other.pixels) and one.seeds == other.seeds


def test_a_samples_draws_do_not_depend_on_the_batch_size(manifest):
    def crops_by_image(batch):
        flat = take(tuned(manifest, batch=batch), 20 // batch)
        return {
            (int(row), seed): pixels for b in flat for row, seed, pixels in zip(b.rows, b.seeds, b.pixels, strict=True)
        }

    small, large = crops_by_image(4), crops_by_image(10)
    assert small.keys() == large.keys()
    assert all(torch.equal(small[key], large[key]) for key in small)


def test_the_two_epochs_of_an_image_differ(manifest):
    first, second = take(tuned(manifest, batch=20), 2)
    one, other = first.rows.argsort(stable=True), second.rows.argsort(stable=True)
    assert not torch.equal(first.pixels[one], second.pixels[other])


def test_micro_batches_add_up_to_the_batch(manifest):
    batch = next(tuned(manifest))
    parts = list(batch.split(3))
    assert [len(part.seeds) for part in parts] == [3, 1]
    assert torch.equal(torch.cat([part.pixels for part in parts]), batch.pixels)


def test_a_batch_larger_than_the_data_is_refused(manifest):
    with pytest.raises(ValueError, match="batch of 11 images is larger than the data, 10: lower batch_size"):
        next(tuned(manifest, batch=22))


def test_a_batch_that_splits_an_images_crops_is_refused(manifest):
    with pytest.raises(ValueError, match="no multiple of crops.per_image 2"):
        next(tuned(manifest, batch=5))


def test_an_image_smaller_than_the_crop_is_refused_by_name(manifest):
    with pytest.raises(images.ImageError, match="80x64, smaller than a crop of 65"):
        batches.reader(manifest, 65)(0)


def overlap(pair, crop=CROP):
    """Where the pair's crops lie is not kept; two crops of a ramp image tell it by their first pixel."""
    (a, b) = (
        region[:, top : top + crop, left : left + crop]
        for region, (top, left) in zip(pair.regions, pair.corners, strict=True)
    )
    down, right = (abs(int(a[i, 0, 0]) - int(b[i, 0, 0])) for i in (0, 1))
    return (crop - down) * (crop - right) / crop**2


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_the_two_crops_overlap_by_at_least_their_share(share):
    rows, columns = torch.arange(200).expand(200, 200).T, torch.arange(200).expand(200, 200)
    ramp = torch.stack([rows, columns, rows]).to(torch.uint8)
    draws = degradations.draws(("jpeg", "noise"))
    shared = [overlap(batches.crop_pair(ramp, n, draws, CROP, share, 0, 0)) for n in range(200)]
    assert min(shared) >= share
    assert min(shared) < share + 0.2  # the whole allowance is used


def test_codec_crops_begin_anywhere_on_the_eight_pixel_grid():
    pixels = torch.zeros(3, 100, 100, dtype=torch.uint8)
    found = {batches.crop_pair(pixels, n, (("jpeg",),), CROP, 0.5, 0, 0).corners[0][0] % 8 for n in range(300)}
    assert found == set(range(8))


def test_other_families_take_the_bare_crop():
    pair = batches.crop_pair(torch.zeros(3, 100, 100, dtype=torch.uint8), 0, (("white_noise",),), CROP, 0.5, 0, 0)
    assert pair.regions[0].shape == (3, CROP, CROP) and pair.corners == ((0, 0), (0, 0))


def test_views_have_one_severity_a_level_and_stay_in_range(manifest):
    views = batches.degraded(next(pretrained(manifest)), 3, CROP, torch.device("cpu"))
    assert views.shape == (4, 2, 3, 3, CROP, CROP)
    assert views.min() >= 0 and views.max() <= 1


def test_views_do_not_depend_on_their_neighbours_in_the_batch(manifest):
    pairs = [pair for batch in take(pretrained(manifest), 2) for pair in batch]
    together = batches.degraded(pairs, 3, CROP, torch.device("cpu"))
    alone = torch.cat([batches.degraded([pair], 3, CROP, torch.device("cpu")) for pair in pairs])
    assert torch.allclose(together, alone, atol=1e-6)


def test_every_family_is_drawn(manifest):
    families = {pair.family for batch in take(pretrained(manifest), 20) for pair in batch}
    assert families == {"gaussian_blur", "jpeg", "white_noise", "brighten", "darken"}


def test_held_out_crops_are_fixed_and_single(manifest):
    one, other = (batches.held_out(manifest, "jpeg", CROP, 3) for _ in range(2))
    assert len(one) == 3 and all(len(pair.regions) == 1 for pair in one)
    assert all(torch.equal(a.regions[0], b.regions[0]) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize(("count", "expected"), [(1, [(16, 24)]), (4, [(0, 0), (0, 48), (32, 0), (32, 48)])])
def test_the_fixed_pattern_spans_the_image(count, expected):
    assert batches.corners(64, 80, CROP, count) == expected


def test_a_number_of_crops_without_a_pattern_is_refused():
    with pytest.raises(ValueError, match="7 crops make no fixed pattern"):
        batches.corners(64, 80, CROP, 7)


def test_evaluation_covers_every_image_in_order(manifest):
    rows = torch.cat([rows for _, rows in batches.evaluation(manifest, crop=CROP, count=4, batch=6)])
    assert rows.tolist() == [row for row in range(10) for _ in range(4)]


def test_working_ahead_changes_nothing():
    assert list(batches.ahead(range(7))) == list(range(7))


def test_an_error_ahead_is_raised_where_the_item_is_taken():
    def two_then_error():
        yield from (1, 2)
        raise images.ImageError("broken.jpg cannot be read")

    items = batches.ahead(two_then_error())
    assert [next(items), next(items)] == [1, 2]
    with pytest.raises(images.ImageError, match="broken"):
        next(items)


def test_closing_it_early_ends_the_endless_source():
    items = batches.ahead(itertools.count())
    assert next(items) == 0
    items.close()
