"""Which studies an arm's values come from: every searched value is the arm's, the study has finished, the trial too."""

import pytest

from iqa import experiment
from iqa.experiment.searched import searched
from iqa.tracking.local import RunRow

FILE = """
title: Toy
preset: smoke
seeds: [0]
arms:
  baseline: {title: ImageNet}
  pretrained: {title: Pretrained, pretrain: {}}
"""
RATE = {"finetune.encoder_lr_ratio": "0.25"}  # as a trial's run says it; an arm's run has the dotted name
RUNS = {"baseline finetune seed 0": "b", "pretrained finetune seed 0": "f", "pretrained pretrain seed 0": "p"}
ARMS = [
    ("b", {"optim.encoder_lr_ratio": "0.1"}),
    ("f", {"optim.encoder_lr_ratio": "0.25", "model.dropout": "0.3"}),
    ("p", {"loss.ranking": "1.0", "degrade.families": "blur,jpeg"}),
]


@pytest.fixture
def plan(tmp_path):
    (tmp_path / "toy.yaml").write_text(FILE)
    return experiment.plan(str(tmp_path / "toy.yaml"), "", "", {})


def row(run, params, parent="", status="FINISHED", **tags):
    return RunRow(run, run, status, params, tags, {}, 0, 1, "1", parent)


def trial(number, params, state="complete", parent="study"):
    tags = {"stage": "trial", "trial": str(number), "trial.state": state}
    return row(f"trial{number}", params, parent, **tags)


def found(plan, *trials, status="FINISHED", best="trial1"):
    study = row(
        "study", {}, status=status, **{"stage": "study", "study": "rates", "best.run": best, "arm": "pretrained"}
    )
    return searched(plan, RUNS, [*(row(*arm) for arm in ARMS), study, *trials])


def test_an_arm_that_has_a_trials_values_was_chosen_by_its_study_and_another_was_not(plan):
    other = {"finetune.encoder_lr_ratio": "0.9"}
    told = {"study": "rates", "run": "study", "arm": "pretrained", "trial": 1, "best": True}
    assert found(plan, trial(0, other), trial(1, RATE)) == {"baseline": [], "pretrained": [told]}


def test_a_trial_that_is_not_the_best_is_told_as_such(plan):
    assert [one["best"] for one in found(plan, trial(0, RATE), best="trial9")["pretrained"]] == [False]


def test_of_several_trials_with_the_arms_values_the_best_is_named(plan):
    assert found(plan, trial(0, RATE), trial(1, RATE))["pretrained"][0]["trial"] == 1


def test_every_value_that_was_searched_has_to_be_the_arms(plan):
    assert found(plan, trial(1, RATE | {"finetune.model.dropout": "0.3"}))["pretrained"]
    assert not found(plan, trial(1, RATE | {"finetune.model.dropout": "0.5"}))["pretrained"]
    assert not found(plan, trial(1, {}))["pretrained"]


def test_values_of_pretraining_are_compared_with_the_arms_pretraining(plan):
    loss = {"pretrain.loss.ranking": "1", "pretrain.families": "blur,jpeg"}
    assert [len(studies) for studies in found(plan, trial(1, loss)).values()] == [0, 1]


def test_pruned_trials_and_studies_that_have_not_finished_choose_nothing(plan):
    assert not found(plan, trial(1, RATE, state="pruned"))["pretrained"]
    assert not found(plan, trial(1, RATE), status="RUNNING")["pretrained"]
