"""Random re-splits of an experiment's own data: what the report decides by, and what it shows."""

from dataclasses import replace

import numpy as np
import pytest
from report_toy import Store, lines, logged, make

from iqa import statistics
from iqa.report import analysis, claims, cost, figures, results, training
from iqa.report.document import Undefined, plain


@pytest.fixture
def store(tmp_path):
    return make(tmp_path)


def resplit(store: Store, rounds: int) -> dict:
    """Both arms once in each of several re-splits of their own data, and what the experiment says of it."""
    store.rows.clear()
    parts = [f"round {k}" for k in range(rounds)]
    for k, part in enumerate(parts):
        for arm, noise in (("baseline", 0.2), ("pretrained", 0.1)):
            store.add("finetune", arm, 0, {}, {})
            store.rows[-1].tags["fold"] = part
            store.rows[-1].metrics.update(logged(store, "sample", noise, k))
    return {"seeds": [0], "folds": parts, "resplit": [80, 20], "targets": []}


def test_random_re_splits_are_decided_by_nadeau_and_bengio_since_they_share_images(store):
    evidence = store.evidence(**resplit(store, 4))
    (found,) = claims.compare(evidence)
    srcc = [
        [evidence.run("finetune", arm, 0, part).metrics["test/sample/srcc"] for part in evidence.folds]
        for arm in ("pretrained", "baseline")
    ]
    expected = statistics.nadeau_bengio(np.subtract(*srcc), 80, 20)
    ends = (found.found.low, found.found.high, found.found.p)
    assert ends == pytest.approx((expected.low, expected.high, expected.p))
    assert "1 seed pair × 4 re-splits" in plain(claims.sentence(evidence, found))
    shown = lines(results.main_table(evidence))[1]
    low, mean, high = (float(shown[f"SRCC{end}"]) for end in (" 95% low", "", " 95% high"))
    arm = statistics.nadeau_bengio(np.subtract(srcc[0], 1), 80, 20)
    assert low < mean < high and high - low == pytest.approx(min(arm.high, 0) - arm.low)


def test_a_re_split_whose_predictions_are_constant_leaves_no_number(store):
    evidence = store.evidence(**resplit(store, 3))
    file = store.answers(evidence.run("finetune", "pretrained", 0, "round 1"), "sample")
    lines_ = file.read_text().splitlines()
    file.write_text("\n".join([lines_[0], *(line.rsplit(",", 1)[0] + ",0.5" for line in lines_[1:])]) + "\n")
    (found,) = claims.compare(evidence)
    assert isinstance(found.hole, Undefined) and "constant" in found.hole.reason


def test_curves_are_those_of_every_fold_as_the_tables_of_epochs_are(store):
    changes = resplit(store, 3)
    for row in store.rows:
        level = int(row.tags["fold"].split()[-1]) / 10
        store.curves[row.run_id] = {"val/srcc": [(1, level), (2, level + 0.5)]}
    evidence = store.evidence(**changes)
    drawn = figures.curves(evidence, "finetune", evidence.arms, "val/srcc")
    assert list(drawn["baseline"]) == [f"0, fold round {k}" for k in range(3)]
    table = training.epochs(evidence, "finetune", "baseline", {"val/srcc": "Val. SRCC"})
    assert "mean over 3 runs" in plain(table.caption)
    means = [np.mean([line[at][1] for line in drawn["baseline"].values()]) for at in (0, 1)]
    assert means == pytest.approx([row[1][0].values[0] for row in table.rows])
    (caption,) = {training.finetuning(evidence).caption.split(" Line: ")[1]}
    assert caption == "mean over seeds and folds; band: their range."


def test_a_spread_over_seeds_is_one_of_the_seeds_means_over_their_folds(store):
    """Folds differ by their images, seeds by their training: of runs of both, a spread would be of neither."""
    store.rows.clear()
    for seed, fold in ((seed, fold) for seed in (0, 1) for fold in (0, 1)):
        value = 0.5 + seed / 10 + fold / 4
        store.add("finetune", "baseline", seed, {}, {"val/srcc": [(1, value)]})
        store.rows[-1].tags["fold"] = str(fold)
        store.rows[-1] = replace(store.rows[-1], start=1000, end=1000 + int(value * 3_600_000))
    evidence = store.evidence(seeds=[0, 1], folds=["0", "1"], targets=[], contrasts=[])
    wanted = pytest.approx((0.675, np.std([0.625, 0.725], ddof=1)))
    shown = {
        "epoch": training.epochs(evidence, "finetune", "baseline", {"val/srcc": "Val. SRCC"}).rows[0][1][0],
        "first epoch": analysis.why(evidence, []).rows[2][2][2],
        "elapsed": next(row for row in cost.time_table(evidence).rows if "finetune, ImageNet" in plain(row[0]))[-2][0],
    }
    for name, number in shown.items():
        assert number.values == wanted and "over 2 seeds" in number.what and len(number.runs) == 4, name


def test_the_images_of_a_seed_are_those_of_all_its_folds_and_of_one_re_split(store):
    told = resplit(store, 2) | {"seeds": [0]}
    ((_, *_, apart),) = results.further_table(store.evidence(**told)).rows[:1]
    ((_, *_, together),) = results.further_table(store.evidence(**told | {"resplit": None})).rows[:1]
    assert (plain(apart), plain(together)) == ("24", "48")
    store.rows = [row for row in store.rows if (row.tags["arm"], row.tags["fold"]) != ("baseline", "round 1")]
    ((_, *_, half),) = results.further_table(store.evidence(**told | {"resplit": None})).rows[:1]
    assert plain(half) == "24"
    captions = [plain(results.main_table(store.evidence(**told | {"resplit": of})).caption) for of in ([80, 20], None)]
    assert "mean of its 2 re-splits" in captions[0] and "mean of its 2 folds" in captions[1]


def test_epochs_say_on_how_many_crops_they_rest_where_the_results_rest_on_others(store):
    for row in store.rows:
        row.params.update({"crops.validation": "1", "crops.grid": "3"})
    (said,) = training.crops(store.evidence())
    assert "rest on 1 crop of an image, the results on 9" in plain(said.parts)
    for row in store.rows:
        row.params["crops.validation"] = "9"
    assert training.crops(store.evidence()) == ()
