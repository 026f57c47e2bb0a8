"""What the report's tables and sentences hold, from rows and predictions written by hand."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from report_toy import EXPERIMENT, Store, lines, make, words

from iqa import report, statistics
from iqa.report import ceiling, claims, composing, provenance, results, training, verdicts
from iqa.report.document import Undefined, plain


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return make(tmp_path)


def main(store: Store, **changes) -> list[dict[str, str]]:
    return lines(results.main_table(store.evidence(**changes)))


def headline(store: Store, **changes) -> str:
    evidence = store.evidence(**changes)
    return plain(composing.headline(evidence, claims.compare(evidence), verdicts.decide(evidence)))


def given(store: Store, arm: str, seed: int) -> np.ndarray:
    file = store.answers(store.run("finetune", arm, seed), "sample")
    return np.loadtxt(file, delimiter=",", skiprows=1, usecols=(2, 3))


def test_the_main_table_holds_mean_and_spread_over_seeds_of_what_the_runs_logged(store):
    rows = [store.run("finetune", "baseline", seed) for seed in (0, 1, 2)]
    logged = [row.metrics["test/sample/srcc"] for row in rows]
    found = main(store)[0]
    assert float(found["SRCC mean"]) == pytest.approx(np.mean(logged))
    assert float(found["SRCC std"]) == pytest.approx(np.std(logged, ddof=1))
    assert found["runs"].split() == [row.run_id for row in rows]


def test_a_single_seed_shows_its_value_without_a_spread_and_its_own_interval(store):
    found = main(store, seeds=[0])[0]
    assert "SRCC std" not in found
    assert (float(found["SRCC 95% low"]), float(found["SRCC 95% high"])) == (0.5, 0.9)


def test_the_interval_of_an_arm_lies_around_its_mean(store):
    for found in main(store)[:2]:
        low, mean, high = (float(found[key]) for key in ("SRCC 95% low", "SRCC mean", "SRCC 95% high"))
        assert low < mean < high
        assert (low + high) / 2 == pytest.approx(mean)


def test_the_interval_of_an_arm_ends_at_one(store):
    for seed in EXPERIMENT["seeds"]:  # perfect but for two neighbours, other ones in each seed
        scores = np.sort(given(store, "baseline", seed)[:, 0])
        predictions = scores.copy()
        predictions[[3 * seed, 3 * seed + 1]] = scores[[3 * seed + 1, 3 * seed]]
        lines = [f"{i:03d}.png,g{i // 2},{s},{p}\n" for i, (s, p) in enumerate(zip(scores, predictions, strict=True))]
        file = store.answers(store.run("finetune", "baseline", seed), "sample")
        file.write_text("path,group,score,prediction\n" + "".join(lines))
    assert float(main(store)[0]["SRCC 95% high"]) == 1


def test_differences_are_those_of_the_crossed_statistic(store):
    arms = [np.stack([given(store, arm, seed)[:, 1] for seed in (0, 1, 2)]) for arm in ("pretrained", "baseline")]
    wanted = statistics.crossed(*arms, given(store, "baseline", 0)[:, 0], np.arange(24) // 2)
    evidence = store.evidence()
    found = lines(results.difference_table(evidence, claims.compare(evidence)))[0]
    shown = [float(found[f"ΔSRCC {part}"]) for part in ("mean", "low", "high")]
    assert shown == pytest.approx([wanted.delta, wanted.low, wanted.high])
    assert float(found["p"]) == pytest.approx(wanted.p)


def test_the_targets_together_are_the_mean_of_the_targets(store):
    own, optics, sensor, together = claims.compare(store.evidence())
    assert (own.kind, together.kind) == ("own", "cross")
    assert together.found.delta == pytest.approx((optics.found.delta + sensor.found.delta) / 2)
    assert (optics.mark, sensor.mark) == ("", "")


def test_a_single_target_is_the_cross_claim_itself(store):
    own, target = claims.compare(store.evidence(targets=["optics"]))
    assert (target.dataset, target.kind) == ("optics", "cross")
    assert target.mark


def test_its_own_data_is_no_target(store):
    assert store.evidence(targets=["sample", "optics", "optics"]).targets == ["optics"]


def test_the_headline_gives_difference_interval_pairs_and_mark(store):
    said = headline(store)
    assert said.startswith("Demonstration. Quality against ImageNet on sample (test): ΔSRCC +0.")
    assert said.endswith("], 3 seed pairs: ? undecided.")


def test_the_mark_in_the_headline_is_that_of_a_claim_on_the_contrast_it_shows(store):
    alike = {"name": "alike", "treatment": "baseline", "baseline": "baseline"}
    contrasts = [*EXPERIMENT["contrasts"], alike]
    claimed = [{"title": name, "contrast": name, "measure": "own"} for name in ("alike", "pretraining")]
    marks = {one.contrast: one.mark for one in verdicts.decide(store.evidence(contrasts=contrasts, claims=claimed))}
    assert marks == {"alike": "≈", "pretraining": "?"}
    assert headline(store, contrasts=contrasts, claims=claimed).endswith("3 seed pairs: ? undecided.")
    assert headline(store, contrasts=contrasts, claims=claimed[:1]).endswith("], 3 seed pairs.")


def test_two_seed_pairs_decide_nothing(store):
    assert headline(store, seeds=[0, 1]).endswith("2 seed pairs: ? undecided.")


def test_one_seed_pair_has_a_difference_but_no_interval(store):
    said = headline(store, seeds=[0])
    assert "[" not in said
    assert said.endswith("1 seed pair, no interval: ? undecided.")


def test_without_a_contrast_the_headline_is_the_first_arms_result(store):
    assert headline(store, contrasts=[]).startswith("Demonstration. ImageNet on sample (test): SRCC 0.")


def test_arms_that_predict_alike_are_equal_and_not_better(store):
    for seed in EXPERIMENT["seeds"]:
        text = store.answers(store.run("finetune", "baseline", seed), "sample").read_text()
        store.answers(store.run("finetune", "pretrained", seed), "sample").write_text(text)
    assert headline(store).endswith("≈ equal within the margin.")


def test_a_cell_without_its_run_shows_the_command_that_fills_it(store):
    store.without("finetune", "pretrained", 1)
    commands = {report.titled("finetune", "pretrained", 1): "this command"}
    found = main(store, commands=commands)[1]
    assert found["to fill"] == "this command"
    assert float(found["Seeds"]) == 2


def test_an_arm_without_any_run_shows_its_command_in_every_cell(store):
    for seed in EXPERIMENT["seeds"]:
        store.without("finetune", "pretrained", seed)
    _, *cells = results.main_table(store.evidence(command="the whole command")).rows[1]
    assert [plain(cell) for cell in cells[:-1]] == ["to fill: the whole command"] * 5


def test_an_unfinished_run_gives_no_number_and_is_named_with_its_reason(store):
    run = store.run("finetune", "baseline", 2)
    tags = run.tags | {"iqa.reason": "the loss is not finite"}
    store.rows[store.rows.index(run)] = replace(run, status="FAILED", tags=tags)
    assert run.run_id not in main(store)[0]["runs"]
    assert "baseline finetune seed 2 is FAILED" in words(provenance.notes(store.evidence()))
    assert "the loss is not finite" in words(provenance.notes(store.evidence()))


def test_the_newest_of_two_finished_runs_counts_even_if_it_is_worse(store):
    old = store.run("finetune", "baseline", 0)
    newer = replace(old, run_id="w" * 32, start=old.start + 10**6, metrics=old.metrics | {"test/sample/srcc": 0.1})
    (store.folder / old.run_id).rename(store.folder / newer.run_id)
    store.rows.insert(0, newer)
    assert main(store)[0]["runs"].startswith(newer.run_id)
    assert "baseline finetune seed 0 has 2 finished runs" in words(provenance.notes(store.evidence()))


def test_an_arm_of_this_name_in_another_experiment_of_the_report_is_no_repetition(store):
    """`shows:` brings the other experiment's runs, whose arms may be called as these are."""
    row = store.run("finetune", "baseline", 0)
    theirs = replace(row, run_id="w" * 32, start=row.start + 1, tags=row.tags | {"experiment": "ablate"})
    store.rows.append(theirs)
    place = report.titled("finetune", "baseline", 0)
    runs = {run.name: run.run_id for run in store.rows[:-1]}
    shown = EXPERIMENT | {"name": "ablate", "runs": {place: theirs.run_id}}
    assert "finished runs" not in words(provenance.notes(store.evidence(runs=runs, shown=[shown])))
    shared = shown | {"runs": {place: row.run_id}}  # reused by the other: this one's place has two nevertheless
    assert f"{place} has 2 finished runs" in words(provenance.notes(store.evidence(runs=runs, shown=[shared])))


def test_an_undefined_metric_is_called_so_with_the_reason_and_never_zero(store):
    run = store.run("finetune", "baseline", 1)
    run.metrics["test/sample/srcc"] = math.nan
    file = store.answers(run, "sample")
    kept = [line.rsplit(",", 1)[0] for line in file.read_text().splitlines()[1:]]
    file.write_text("path,group,score,prediction\n" + "".join(f"{line},0.5\n" for line in kept))
    (cell,) = results.main_table(store.evidence()).rows[0][1]
    reason = "All 24 predictions are 0.5: a constant has no correlation with anything."
    assert cell == Undefined(reason, (run.run_id,))
    assert f"undefined: {reason}" in headline(store)


def test_a_metric_that_the_run_never_logged_is_undefined(store):
    del store.run("finetune", "baseline", 1).metrics["test/sample/plcc"]
    (cell,) = results.main_table(store.evidence()).rows[0][3]
    assert cell.reason == "the run logged no test/sample/plcc"


def test_predictions_that_are_gone_leave_a_reason(store):
    store.answers(store.run("finetune", "baseline", 0), "sample").unlink()
    assert "predictions/sample.csv of run" in headline(store)
    assert "cannot be read" in headline(store)


@pytest.mark.parametrize("broken", ["nan", "inf", "", "much"])
def test_predictions_that_are_no_numbers_leave_a_reason(store, broken):
    file = store.answers(store.run("finetune", "baseline", 0), "sample")
    first = file.read_text().splitlines()[1]
    file.write_text(file.read_text().replace(first, first.rsplit(",", 1)[0] + f",{broken}"))
    assert "cannot be read" in headline(store)


@pytest.mark.parametrize(("old", "new"), [("000.png,", "000.jpg,"), ("g0,0.", "g0,0.9")])
def test_models_that_saw_other_images_or_scores_are_not_compared(store, old, new):
    file = store.answers(store.run("finetune", "pretrained", 2), "sample")
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new, 1))
    assert "tested different images or scores of sample" in headline(store)


def test_a_pretraining_shared_by_two_arms_is_found_through_the_weights(store):
    for seed in EXPERIMENT["seeds"]:
        shared = store.run("pretrain", "pretrained", seed)
        store.run("finetune", "baseline", seed).params["model.weights"] = f"runs:/{shared.run_id}/encoder"
    evidence = store.evidence(arms={arm: {"title": arm} for arm in EXPERIMENT["arms"]})
    found = lines(results.ordering_table(evidence))[-1]
    assert float(found["baseline mean"]) == float(found["pretrained mean"]) == pytest.approx(0.97)


def test_an_arm_is_pretrained_by_declaration_by_run_or_by_command(store):
    assert store.evidence().pretrained == ["pretrained"]
    bare = {arm: {"title": arm} for arm in EXPERIMENT["arms"]}
    assert store.evidence(arms=bare).pretrained == ["pretrained"]
    store.rows = []
    assert store.evidence(arms=bare).pretrained == []
    assert store.evidence(arms=bare, commands={"baseline pretrain seed 1": "x"}).pretrained == ["baseline"]


def test_seeds_that_stopped_early_are_left_out_of_later_epochs_and_counted(store):
    stopped = store.curves[store.run("finetune", "baseline", 0).run_id]
    for key in stopped:
        stopped[key] = stopped[key][:2]
    last = lines(training.epochs(store.evidence(), "finetune", "baseline", {"train/loss": "Loss"}))[-1]
    assert last["Epoch"] == "3 (2 of 3 seeds)"
    assert float(last["Loss mean"]) == pytest.approx(0.833)


def test_an_epoch_whose_value_is_undefined_is_left_blank(store):
    for seed in EXPERIMENT["seeds"]:
        store.curves[store.run("finetune", "baseline", seed).run_id]["val/srcc"][0] = (1, math.nan)
    keys = {"train/loss": "Loss", "val/srcc": "Val"}
    assert plain(training.epochs(store.evidence(), "finetune", "baseline", keys).rows[0][2]) == "–"


def test_a_folder_of_ones_own_is_found_by_its_name(store):
    assert float(main(store, data="/somewhere/else/sample")[0]["Seeds"]) == 3


def test_published_numbers_are_marked_as_quoted_and_belong_to_no_run(store):
    found = next(line for line in main(store) if line["Model"] == "HyperIQA")
    assert (found["SRCC mean"], found["PLCC mean"], found["runs"]) == ("0.906", "0.917", "")
    assert found["Source"].startswith("quoted, not re-run")


def test_the_rater_ceiling_stands_beside_the_share_of_it_that_is_attained(store):
    for row in store.rows:
        if row.tags["stage"] == "finetune":
            row.metrics["test/sample/ceiling/srcc"] = 0.9
    found = lines(ceiling.ceiling(store.evidence()))[0]
    logged = [store.run("finetune", "baseline", seed).metrics["test/sample/srcc"] for seed in (0, 1, 2)]
    assert float(found["Ceiling mean"]) == 0.9
    assert float(found["Attained mean"]) == pytest.approx(np.mean(logged) / 0.9)
    assert found["runs"].split() == [store.run("finetune", "baseline", seed).run_id for seed in (0, 1, 2)]


def test_a_set_without_votes_has_no_ceiling_and_that_is_said(store):
    assert "sample does not tell its raters' votes" in plain(ceiling.ceiling(store.evidence()).parts)


def test_runs_are_named_in_the_same_order_whichever_began_first(store):
    def named() -> list[str]:
        (table,) = (block for block in provenance.runs_table(store.evidence()).blocks if block.name == "runs")
        return [plain(row[0]) for row in table.rows]

    before = named()
    store.rows = [replace(row, start=2 * 1_790_000_000_000 - row.start) for row in store.rows]
    assert named() == before and len(before) > 10
