"""Parts by content: the same for everybody, and no content in two of them."""

import hashlib

import pytest

from iqa.datasets import splits
from iqa.datasets.manifest import DataError

DIGESTS = [hashlib.sha256(bytes([i])).hexdigest() for i in range(100)]


def parts(digests, groups=None, seed=0, protocol="random-60-20-20", **turn):
    return splits.by_content(digests, groups or digests, seed, protocol, **turn)


def test_the_shares_are_met():
    assert splits.counted(parts(DIGESTS)) == "60 / 20 / 20"
    assert splits.counted(parts(DIGESTS, protocol="random-70-10-20")) == "70 / 10 / 20"
    assert splits.counted(parts(DIGESTS, protocol="random-80-20")) == "80 / 0 / 20"


def test_a_row_stays_in_its_part_when_the_order_changes():
    there = dict(zip(DIGESTS, parts(DIGESTS), strict=True))
    back = dict(zip(DIGESTS[::-1], parts(DIGESTS[::-1]), strict=True))
    assert there == back


def test_another_split_seed_gives_another_split():
    assert parts(DIGESTS, seed=1) != parts(DIGESTS)
    assert parts(DIGESTS, seed=1) == parts(DIGESTS, seed=1)


def test_the_order_is_that_of_the_hashes_of_seed_and_digest():
    ranked = sorted(DIGESTS, key=lambda digest: hashlib.sha256(f"7:{digest}".encode()).digest())
    there = dict(zip(DIGESTS, parts(DIGESTS, seed=7), strict=True))
    assert [there[digest] for digest in ranked] == ["train"] * 60 + ["validation"] * 20 + ["test"] * 20


def test_equal_contents_and_equal_groups_stay_together():
    digests = DIGESTS[:30] + DIGESTS[:10]  # rows 30…39 repeat the contents of 0…9
    groups = [f"g{i // 2}" for i in range(30)] + [f"other{i}" for i in range(10)]
    placed = parts(digests, groups)
    assert placed[30:] == placed[:10]
    assert all(placed[i] == placed[i + 1] for i in range(0, 30, 2))


def test_group_names_do_not_move_the_split():
    named = [f"g{i // 2}" for i in range(100)]
    renamed = [f"scene {i // 2}" for i in range(100)]
    assert parts(DIGESTS, named) == parts(DIGESTS, renamed)


@pytest.mark.parametrize("count", range(3, 12))
def test_every_part_of_a_small_set_has_something(count):
    assert set(parts(DIGESTS[:count])) == {"train", "validation", "test"}


def test_five_folds_each_test_once_and_train_on_three():
    folds = [parts(DIGESTS, protocol="kfold-5", fold=fold) for fold in range(5)]
    assert folds[0] == parts(DIGESTS, protocol="kfold-5")
    assert all(splits.counted(fold) == "60 / 20 / 20" for fold in folds)
    for row in zip(*folds, strict=True):
        assert sorted(row) == ["test", "train", "train", "train", "validation"]
    for fold in range(5):  # fold k's validation is fold k + 1's test
        validated = [part == "validation" for part in folds[fold]]
        assert validated == [part == "test" for part in folds[(fold + 1) % 5]]


def test_two_contents_cannot_make_three_parts():
    with pytest.raises(DataError, match="2 different contents cannot be split into 3 parts"):
        parts(DIGESTS[:2] * 5)
    assert sorted(parts(DIGESTS[:2], protocol="random-80-20")) == ["test", "train"]


def test_a_leak_names_both_files_and_both_parts():
    found = splits.leaks(["a.png", "b.png", "c.png"], ["d1", "d1", "d2"], ["train", "test", "test"])
    assert found == ["the same content stands in train and test ('a.png', 'b.png'): keep it in one"]
    assert splits.leaks(["a.png", "b.png"], ["d1", "d1"], ["test", "test"]) == []


def test_every_round_is_another_draw_and_the_first_is_the_plain_one():
    rounds = [tuple(parts(DIGESTS, protocol="random-80-20", round=i)) for i in range(splits.ROUNDS)]
    assert len(set(rounds)) == 10 and rounds[0] == tuple(parts(DIGESTS, protocol="random-80-20"))


@pytest.mark.parametrize(
    ("told", "label"),
    [
        (("kfold-5", 0, 0), "kfold-5:0"),
        (("kfold-5", 4, 0), "kfold-5:4"),
        (("random-80-20", 0, 0), "random-80-20"),
        (("random-80-20", 0, 9), "random-80-20:9"),
        (("koniq-official", 0, 0), "koniq-official"),
    ],
)
def test_a_result_names_its_fold_or_round(told, label):
    assert splits.label(*told) == label


@pytest.mark.parametrize(("protocol", "fold", "round"), [("koniq-official", 1, 0), ("koniq-official", 0, 1),
    ("kfold-5", 0, 1), ("kfold-5", 5, 0), ("random-80-20", 0, 10), ("random-80-20", 1, 0)])  # fmt: skip
def test_a_turn_that_a_protocol_does_not_have_is_refused(protocol, fold, round):
    with pytest.raises(DataError, match="leave it out|folds 0 to 4 and rounds 0 to 9"):
        splits.label(protocol, fold, round)
