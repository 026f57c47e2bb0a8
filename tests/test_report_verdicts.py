"""The declared claims: what each measure compares, and what leaves a mark open."""

from collections import Counter

import numpy as np
import pytest

from iqa import statistics
from iqa.report import analysis, choosing, claims, verdicts
from iqa.report.choosing import chosen
from iqa.report.document import Missing, Number, Table, plain, walk
from tests.report_toy import EXPERIMENT, Store, lines, make

ARMS = ("pretrained", "baseline")
CLAIMS = [{"title": m, "contrast": "pretraining", "measure": m} for m in ("cross", "own", "epochs")]
GROUPED = {
    "groups": {"tuned": {"title": "Tuned", "arms": ["baseline", "pretrained"]}},
    "contrasts": [{"name": "pretraining", "treatment": "tuned", "baseline": "baseline"}],
}


@pytest.fixture
def store(tmp_path):
    return make(tmp_path)


def decided(store, **changes):
    return {one.measure: one for one in verdicts.decide(store.evidence(claims=CLAIMS, **changes))}


def test_every_claim_gets_a_p_adjusted_over_all_of_them_and_a_mark(store):
    found = decided(store)
    assert list(found) == ["cross", "own", "epochs"]
    least, most = sorted(found[measure].p for measure in ("cross", "own"))
    assert min(one.adjusted for one in found.values()) == pytest.approx(min(1.0, 3 * least))
    assert max(found[measure].adjusted for measure in ("cross", "own")) == pytest.approx(max(3 * least, 2 * most))


def test_pairs_that_agree_exactly_have_no_p_and_decide_nothing(store):
    found = decided(store)["epochs"]  # each pretrained run starts above the target, each baseline run reaches it alike
    assert found.parts[0].contrast.why and found.mark == "?"


def test_every_number_of_a_table_is_in_its_csv(store):
    evidence = store.evidence(claims=CLAIMS)
    parts = analysis.analysis(evidence, verdicts.decide(evidence), claims.compare(evidence))
    for table in (block for block in walk([parts]) if isinstance(block, Table)):
        for row, line in zip(table.rows, lines(table), strict=True):
            held = [value for cell in row for atom in cell if isinstance(atom, Number) for value in atom.values]
            assert Counter(map(repr, held)) <= Counter(line.values())


def test_where_claims_are_declared_the_table_of_differences_marks_nothing(store):
    assert {one.mark for one in claims.compare(store.evidence(claims=CLAIMS))} == {""}


def test_fewer_epochs_are_counted_to_the_baselines_mean_final_value_less_the_tolerance(store):
    found = decided(store)["epochs"]
    # finals .83, .832, .834: the target is .827; pretrained starts above it, baseline needs its third epoch or second
    assert "validation SRCC of 0.8270" in plain(found.words) and found.parts[0].margin is None
    assert found.parts[0].contrast.delta > 0


def test_the_hours_of_pretraining_stand_beside_the_epochs(store):
    assert "Hours, pretraining included: Quality 1.8 min; ImageNet 1.2 min" in plain(decided(store)["epochs"].extra[0])


def test_a_claim_without_its_runs_shows_the_command_and_stays_open(store):
    for seed in EXPERIMENT["seeds"]:
        store.without("finetune", "pretrained", seed)
    found = decided(store)
    assert all(one.mark == "?" for one in found.values())
    assert isinstance(found["own"].hole, Missing)


def test_a_declared_seed_without_its_runs_leaves_the_mark_open_whatever_the_others_say(store):
    """Else a report looked at after each seed would find its ✓ by stopping at the right one."""
    only = {"claims": CLAIMS[:1]}
    [whole] = verdicts.decide(store.evidence(**only))
    assert whole.mark == "✓" and plain(whole.words).endswith("3 seed pairs.")
    [short] = verdicts.decide(store.evidence(**only, seeds=[0, 1, 2, 3]))
    assert short.mark == "?" and short.p == whole.p
    assert plain(short.words).endswith("3 seed pairs; 1 of 4 seeds lack a finished run, so the mark stays ?.")
    assert "1 of 4 seeds" in plain(decided(store, seeds=[0, 1, 2, 3])["epochs"].words)


def test_the_same_holds_for_contrasts_where_no_claim_is_declared(store):
    alone = {"targets": ["optics"], "contrasts": EXPERIMENT["contrasts"]}
    assert [one.mark for one in claims.compare(store.evidence(**alone))] == ["?", "✓"]
    assert {one.mark for one in claims.compare(store.evidence(**alone, seeds=[0, 1, 2, 3]))} == {"?"}


@pytest.mark.parametrize(("trained", "akin"), [("jpeg", "jpeg2000"), ("white_noise", "denoise")])
def test_families_of_groups_used_in_pretraining_are_left_out_of_the_second_half_of_the_cross_claim(
    store, trained, akin
):
    for row in store.rows:
        row.params["degrade.families"] = trained
        for target in ("optics", "sensor"):
            file = store.answers(row, target)
            if file.exists():
                lines = file.read_text().splitlines()
                kinds = ["family,level", *([f"{akin},1", "lens_blur,1"] * 12)]
                file.write_text("\n".join(f"{a},{b}" for a, b in zip(lines, kinds, strict=True)) + "\n")
    whole, kept = decided(store)["cross"].parts
    assert kept.contrast.delta != whole.contrast.delta
    by_hand = []
    for target in ("optics", "sensor"):
        arms = [[answers_within(store, arm, seed, target) for seed in EXPERIMENT["seeds"]] for arm in ARMS]
        ours, theirs = (np.stack([predicted for _, predicted in runs]) for runs in arms)
        by_hand.append(statistics.crossed(ours, theirs, arms[0][0][0]))
    assert kept.contrast.per_seed == pytest.approx(statistics.macro(by_hand).per_seed)


def answers_within(store, arm, seed, target):
    """(scores, predictions) of the images whose family is of a group that pretraining did not use."""
    lines = store.answers(store.run("evaluate", arm, seed), target).read_text().splitlines()[1:]
    told = [line.split(",") for line in lines if "lens_blur" in line]
    return np.array([float(line[2]) for line in told]), np.array([float(line[3]) for line in told])


@pytest.mark.parametrize(
    ("trained", "left_out", "left_in"),
    [
        ("white_noise", {"denoise", "ycbcr_noise"}, {"color_quantization", "mean_shift", "contrast", "jpeg"}),
        ("brightness", {"mean_shift", "mean_up"}, {"denoise", "contrast"}),
        ("color_shift", {"color_quantization"}, {"denoise", "quantization"}),
        ("sharpen", {"contrast", "contrast_up"}, {"mean_shift", "brighten"}),
    ],
)
def test_families_that_kadid_alone_has_go_with_their_group(store, trained, left_out, left_in):
    """KADID's denoised pictures show what pretraining on noise has seen; no family of ours is called so."""
    for row in store.rows:
        row.params["degrade.families"] = trained
    found = set(verdicts.used(store.evidence(), "pretrained"))
    assert left_out <= found and not left_in & found


def test_a_run_under_another_declaration_of_this_experiment_voids_every_mark(store):
    store.rows[0].tags.update({"experiment": "toy", "experiment.hash": "older"})
    found = decided(store, declaration="newer")
    assert all(one.mark == "?" and "another declaration" in one.void for one in found.values())
    store.rows[0].tags["experiment"] = "other"
    assert not decided(store, declaration="newer")["own"].void


def test_so_does_one_that_has_no_place_in_this_report(store):
    """Seeds 0 to 7 were looked at, and 8 to 15 are reported: none of the first runs is in the second report."""
    found = decided(store, declaration="newer", redeclared=["a" * 32])
    assert all(one.mark == "?" and one.void.startswith("1 run was made under another") for one in found.values())


def test_claims_on_runs_of_another_experiment_are_not_said_to_be_declared_before_the_first_result(store):
    """A copy of an experiment's file with other claims reuses its runs, whose results are known."""

    def said(**changes):
        evidence = store.evidence(claims=CLAIMS, **changes)
        return plain(analysis.analysis(evidence, verdicts.decide(evidence), []).sections[0].blocks[0].caption)

    assert said().startswith("Claims declared before the first result")
    for row in store.rows[3:5]:
        row.tags.update({"experiment": "demo", "experiment.hash": "other"})
    assert "2 runs were made for another experiment (demo) and are reused" in said()
    store.rows[3].tags["experiment"] = store.rows[4].tags["experiment"] = "toy"
    assert said(declaration="newer").startswith("Claims of the declaration newer. p:")


def test_a_group_is_its_arm_with_the_best_mean_validation_and_the_edge_is_flagged(store):
    for row in store.rows:
        if row.tags["arm"] == "pretrained" and "best/val_srcc" in row.metrics:
            row.metrics["best/val_srcc"] = 0.95
    evidence = store.evidence(**GROUPED)
    assert (chosen(evidence, "tuned").arm, chosen(evidence, "tuned").edge) == ("pretrained", True)
    assert chosen(evidence, "baseline").arm == "baseline"
    assert claims.compare(evidence)[0].treatment == "pretrained"


def test_a_group_with_a_missing_seed_is_not_chosen_from(store):
    store.without("finetune", "pretrained", 1)
    assert chosen(store.evidence(**GROUPED), "tuned").hole is not None


def test_the_experiments_own_list_says_which_run_stands_in_a_place(store):
    shared = store.run("finetune", "baseline", 0)
    evidence = store.evidence(runs={"pretrained finetune seed 0": shared.run_id})
    assert evidence.run("finetune", "pretrained", 0) is shared
    assert evidence.run("finetune", "baseline", 0) is None


GRID = {
    "arms": {name: {"title": name, "pretrain": None} for name in ("slow", "fast", "pre-slow", "pre-fast")},
    "groups": {
        "plain": {"title": "Plain", "arms": ["slow", "fast"]},
        "pre": {"title": "Pretrained", "arms": ["pre-slow", "pre-fast"]},
    },
    "contrasts": [{"name": "tuned", "treatment": "pre", "baseline": "plain"}],
}


def interaction(folder, values, bend=0.01):
    """What the report says of the gain at the last rate minus the first: value by arm, those of "fast" by seed."""
    store = Store(folder)
    for arm, value in values.items():
        for seed in EXPERIMENT["seeds"]:
            store.add("finetune", arm, seed, {"best/val_srcc": value + bend * seed * seed * (arm == "fast")}, {})
    return plain(choosing.section(store.evidence(**GRID))[0].blocks[-1].parts)


def test_the_interaction_with_the_rate_is_a_paired_t_over_seeds(tmp_path):
    said = interaction(tmp_path, {"slow": 0.5, "fast": 0.5, "pre-slow": 0.5, "pre-fast": 0.6})
    assert "+0.0833 [−" not in said and "(validation SRCC, last rate minus first): +0.0833 [" in said


def test_the_interaction_pairs_seeds_by_number_and_takes_those_that_all_four_arms_have(tmp_path):
    """Seeds 0, 1, 2 of three arms against 1, 2, 3 of the fourth: by place in the list, seed 0 would meet seed 1."""
    store = Store(tmp_path)
    gains = {"slow": 0.0, "fast": 0.0, "pre-slow": 0.1, "pre-fast": 0.2}
    for arm, gain in gains.items():
        for seed in (1, 2, 3) if arm == "pre-fast" else (0, 1, 2):
            lift = gain + (seed == 2) / 50 * (arm == "pre-fast")
            store.add("finetune", arm, seed, {"best/val_srcc": 0.5 + seed / 10 + lift}, {})
    evidence = store.evidence(**GRID, seeds=[0, 1, 2, 3])
    expected = statistics.paired_t([0.1, 0.12])
    (said,) = choosing.section(evidence)[0].blocks[1:]
    number = said.parts[1]
    assert number.values == pytest.approx((expected.delta, expected.low, expected.high))
    assert {row.tags["seed"] for row in store.rows if row.run_id in number.runs} == {"1", "2"} and len(number.runs) == 8
    assert plain(said.parts).endswith("], from 2 of the 4 runs that each arm is to have.")


def test_the_interaction_waits_for_two_runs_that_all_four_arms_have(tmp_path):
    store = Store(tmp_path)
    for arm in GRID["arms"]:
        for seed in (1, 2) if arm == "slow" else (0, 1):
            store.add("finetune", arm, seed, {"best/val_srcc": 0.5}, {})
    assert len(choosing.section(store.evidence(**GRID, seeds=[0, 1, 2]))[0].blocks) == 1


def test_the_interaction_ends_in_one_period_also_where_its_reason_is_a_sentence(tmp_path):
    said = interaction(tmp_path, {"slow": 0.5, "fast": 0.5, "pre-slow": 0.5, "pre-fast": 0.6}, bend=0)
    assert said.endswith("undefined: The differences do not vary at all: no interval.")


def test_the_interaction_is_undefined_where_a_validation_value_is(tmp_path):
    said = interaction(tmp_path, {"slow": 0.5, "fast": 0.5, "pre-slow": float("nan"), "pre-fast": 0.6})
    assert "a run has no defined validation SRCC" in said


def test_the_ablations_of_another_experiment_stand_in_the_report_that_shows_it(store):
    """Its arms are no arms of this experiment, and its own seeds and names count."""
    told = [{"title": "Effect of epochs", "what": "Epochs", "rows": [{"label": "0", "arm": "none"}]}]
    other = EXPERIMENT | {"arms": {"none": {"title": "None", "pretrain": None}}, "ablations": told, "seeds": [0, 1]}
    for seed in (0, 1):
        store.add("finetune", "none", seed, {"test/sample/srcc": 0.5 + seed / 10, "test/sample/plcc": 0.5}, {})
    evidence = store.evidence(shown=[other])
    (section,) = analysis.ablations(evidence).sections
    srcc = section.blocks[0].rows[0][1][0]
    assert (section.title, srcc.values[0]) == ("Effect of epochs", 0.55) and len(srcc.runs) == 2
    assert "none" not in evidence.arms


def test_the_slope_over_pretraining_epochs_is_the_difference_of_the_two_largest_numbers(store):
    rows = [{"label": "0", "arm": "baseline"}, {"label": "5", "arm": "baseline"}, {"label": "20", "arm": "pretrained"}]
    changes = {"ablations": [{"title": "Epochs", "what": "Epochs", "rows": rows}]}
    said, number = analysis.why(store.evidence(**changes), []).rows[3][2]
    assert said.text == "5 to 20 epochs: ΔSRCC on sample "
    assert number.values[0] == pytest.approx(claims.compare(store.evidence())[0].found.delta)
    for seed in EXPERIMENT["seeds"]:
        store.without("finetune", "pretrained", seed)
    assert isinstance(analysis.why(store.evidence(**changes), []).rows[3][2][1], Missing)


def test_a_report_without_ablations_says_that_they_are_another_experiment_s(store):
    evidence = store.evidence()
    told = [plain(analysis.why(evidence, []).rows[at][2]) for at in (3, 4)]
    told.append(plain(analysis.ablations(evidence).blocks[0].parts))
    assert all("mlflow run . -e ablate -P preset=smoke has them in a report of its own" in one for one in told)
    assert not any("to fill" in one for one in told)


def in_folds(folder, curves):
    """The verdict on epochs of two arms in two folds: curves by arm and fold, the same for every seed but one."""
    store = Store(folder)
    for (arm, fold), curve in curves.items():
        for seed in EXPERIMENT["seeds"]:
            store.add("finetune", arm, seed, {}, {"val/srcc": list(enumerate(curve[seed == 2], start=1))})
            store.rows[-1].tags["fold"] = fold
    return decided(store, folds=["0", "1"])["epochs"]


SLOW, MIDDLE, FAST = [0.1, 0.2, 0.3, 0.8], [0.1, 0.8, 0.8, 0.8], [0.8, 0.8, 0.8, 0.8]
LOW = [0.1, 0.1, 0.1, 0.4]


def test_epochs_of_an_experiment_in_folds_are_counted_in_every_fold_to_its_own_target(tmp_path):
    """First fold: 4 epochs against 2 (the third seed 1); second fold, whose target is lower: 4 against 1."""
    curves = {("baseline", "0"): (SLOW, SLOW), ("pretrained", "0"): (MIDDLE, FAST)}
    curves |= {("baseline", "1"): (LOW, LOW), ("pretrained", "1"): (FAST, FAST)}
    found = in_folds(tmp_path, curves)
    by_seed = [(np.log(2) + np.log(4)) / 2] * 2 + [np.log(4)]  # the folds are the sets: a seed's mean over them
    assert found.parts[0].contrast.per_seed == pytest.approx(by_seed)
    assert found.parts[0].contrast.p == pytest.approx(statistics.paired_t(by_seed).p)
    assert f"takes {np.exp(-np.mean(by_seed)):.2f} × the epochs" in plain(found.words)
    assert "validation SRCC of 0.5950 (each of 2 folds its own; this is their mean)" in plain(found.words)
    assert len(found.runs) == 12


def test_epochs_of_an_experiment_in_folds_wait_for_every_fold(tmp_path):
    curves = {("baseline", "0"): (SLOW, SLOW), ("pretrained", "0"): (FAST, FAST), ("baseline", "1"): (LOW, LOW)}
    assert isinstance(in_folds(tmp_path, curves).hole, Missing)
