"""Which cells a command may compute, what a plan says of them, what a declaration's hash covers."""

from collections import Counter

import pytest

from iqa import experiment
from iqa.config import ConfigError, flatten
from iqa.experiment import cells, matrix, planning, publishing, running
from iqa.tracking import RunRow, Snapshot

FILE = """
title: Toy
preset: smoke
seeds: [0, 1, 2]
folds: FOLDS
arms:
  baseline: {title: ImageNet}
  again: {title: The same, finetune: {}}
  pretrained: {title: Pretrained, pretrain: {}}
groups:
  tuned: {title: Tuned, arms: [baseline, again]}
contrasts:
  - {name: pretraining, treatment: pretrained, baseline: tuned}
claims:
  - {title: Better, contrast: pretraining, measure: own}
"""


@pytest.fixture
def planned(tmp_path):
    def make(folds=0, text=FILE, data="sample", seeds=""):
        (tmp_path / "toy.yaml").write_text(text.replace("FOLDS", str(folds)))
        return experiment.plan(str(tmp_path / "toy.yaml"), "", seeds, {"data": str(data)})

    return make


def test_arms_that_agree_share_their_cell_and_both_places_show_it(planned, home):
    plan = planned()
    outcome = running.found(plan, lambda line: None, running.Choice())
    assert outcome.placed["baseline finetune seed 0"] == outcome.placed["again finetune seed 0"]
    assert len(outcome.cells) == 6  # three seeds of one shared fine-tuning and one pretraining


def test_every_run_carries_the_declarations_hash_which_words_do_not_change(planned):
    plan = planned()
    cell = next(running.chain(plan, "baseline", 0, "", running.Outcome()))
    assert cell.tags["experiment.hash"] == plan.experiment.declaration
    reworded = planned(text=FILE.replace("title: Toy", "title: Other"))
    more = planned(text=FILE.replace("[0, 1, 2]", "[0, 1, 2, 3]"))
    assert reworded.experiment.declaration == plan.experiment.declaration != more.experiment.declaration


def test_folds_are_places_of_their_own_split_inside_both_stages_and_targets_see_the_first(planned):
    plan = planned(5)
    titles = [place.title for place in matrix.places(plan)]
    assert sum(" finetune " in title for title in titles) == 3 * 3 * 5
    assert sum(" evaluate " in title for title in titles) == 3 * 3
    for told in (plan.finetuning("baseline", 0, fold="3"), plan.pretraining("pretrained", 0, "3")):
        assert (told.data.protocol, told.data.fold) == ("kfold-5", 3)


def test_rounds_are_places_of_their_own_drawn_anew_by_a_random_protocol(planned, home, photos):
    plan = planned(text=FILE.replace("folds: FOLDS", "rounds: 3\nprotocol: random-80-20"), data=photos)
    titles = [place.title for place in matrix.places(plan)]
    assert sum(" finetune " in title for title in titles) == 3 * 3 * 3
    assert sum(" evaluate " in title for title in titles) == 3 * 3 and "baseline finetune seed 0 round 2" in titles
    for told in (plan.finetuning("baseline", 0, fold="round 2"), plan.pretraining("pretrained", 0, "round 2")):
        assert (told.data.protocol, told.data.round) == ("random-80-20", 2)
    assert any("3 re-splits share their images" in line for line in planning.decidable(plan))


def test_only_and_force_choose_by_title(planned):
    cells = list(running.chain(planned(), "baseline", 1, "", running.Outcome()))
    assert running.Choice().may(cells[0]) and not running.Choice().again(cells[0])
    assert running.Choice(only="pretrained *, * seed 1").may(cells[0])
    assert not running.Choice(only="baseline finetune seed 0").may(cells[0])
    assert running.Choice(force="all").again(cells[0]) and running.Choice(force="base*").again(cells[0])
    assert not running.Choice(only="baseline evaluate *", force="all").again(cells[0]), "its successors wait for it"


def test_a_plan_counts_places_shared_cells_and_what_the_seeds_can_decide(planned, home):
    said = "\n".join(planning.lines(planned(), running.Choice()))
    assert "finetune     9 places, 0 done" in said and "share a cell" in said
    assert "3 finetune cells to compute; no finished run like them tells the cost" not in said
    assert "6 finetune cells to compute" in said  # the pretrained ones have no key before their encoder is there
    assert "3 seed pairs find a true ΔSRCC of" in said and "the spreads are assumed, not measured" in said


def test_a_plan_prices_every_arm_by_its_own_epochs(planned, home, photos):
    text = FILE.replace("finetune: {}", "finetune: {epochs: 4}")
    text = text.replace("  pretrained:", "  longer: {title: Longer, spends: pretrained}\n  pretrained:")
    plan = planned(text=text, data=photos)
    baseline, longer = (plan.finetuning(arm, 0) for arm in ("baseline", "longer"))
    told = {name: str(value) for name, value in flatten(baseline).items()}
    row = RunRow("a" * 32, "", "FINISHED", told, {"stage": "finetune"}, {"cost/hours": 0.5}, 0, 1, "0", "")
    missing = Counter({"baseline": 3, "again": 2, "longer": 1, "pretrained": 1})
    priced = planning._estimate(plan, Snapshot([row]), "finetune", missing)
    assert (priced.missing, priced.unknown, priced.from_runs) == (7, 0, 1)
    crops = baseline.optim.epochs * len(cells.data(**baseline.data.model_dump()).part("train"))
    more = (crops + longer.optim.extra_passes) / crops
    assert more > 1 and priced.hours == pytest.approx(0.5 * (3 + 1 + 2 * 4 / baseline.optim.epochs + more))


def test_a_plan_of_which_everything_is_done_says_that_nothing_is_left(planned, home, monkeypatch):
    places = list(matrix.places(planned()))
    done = {place.title: cells.Result("a" * 32, reused=True) for place in places}
    outcome = running.Outcome(done=done, placed={title: title for title in done})
    monkeypatch.setattr(planning, "survey", lambda plan, choice: (places, outcome))
    said = "\n".join(planning.lines(planned(), running.Choice()))
    assert "nothing is left to compute" in said and "together about" not in said


def finished(plan, **tags):
    """The baseline's fine-tuning with seed 0, as a finished run."""
    cell = next(running.chain(plan, "baseline", 0, "", running.Outcome()))
    return RunRow("a" * 32, "", "FINISHED", {}, cell.tags | tags, {}, 0, 1, "0", "")


def test_cells_of_other_code_are_counted_and_those_of_this_code_are_not_though_they_are_forced(planned, home, photos):
    plan = planned(data=photos)

    def said(choice, **tags):
        outcome = running.found(plan, lambda line: None, choice, Snapshot([finished(plan, **tags)]))
        return list(planning.changed(outcome, choice))

    assert said(running.Choice(), cell="other code's") == [
        "1 finetune cells were finished by other code; --accept-code reuses them"
    ]
    assert said(running.Choice(force="all")) == []
    assert said(running.Choice(force="all"), cell="other code's") == [], "forced: they are computed all the same"


def test_an_empty_report_replaces_none_that_has_runs(planned, home, photos, monkeypatch):
    plan, said = planned(data=photos), []
    folder = publishing.report_folder(plan)
    folder.mkdir(parents=True)
    (folder / "experiment.json").write_text('{"runs": {"baseline finetune seed 0": "a"}}')
    rows = [finished(plan, cell="other code's")]
    monkeypatch.setattr("iqa.tracking.reading.rows", lambda status="", **_: [] if status == "RUNNING" else rows)
    with pytest.raises(ValueError, match="was written from 1 finished cells: give --accept-code"):
        publishing.rewrite(plan, command="", fills="", say=said.append)
    assert said == ["1 finetune cells were finished by other code; --accept-code reuses them"]
    assert not (home / "runs").exists(), "no run was begun for it"


@pytest.mark.parametrize("told", ["", '{"runs": {}}'])
def test_a_report_without_a_run_is_no_bundle(planned, home, told):
    folder = publishing.report_folder(planned())
    folder.mkdir(parents=True)
    (folder / "experiment.json").write_text(told)
    with pytest.raises(ValueError, match=f"{folder} rests on no finished cell"):
        publishing.bundle(planned(), home / "bundle.zip")
    assert not (home / "bundle.zip").exists()


def test_the_commands_of_a_plan_are_one_line_a_missing_cell(planned, home):
    lines = list(planning.commands(planned(), running.Choice(), ["--experiment=toy.yaml"]))
    assert lines[0] == "iqa main --experiment=toy.yaml '--only=pretrained pretrain seed 0'"
    assert not any("again finetune" in line for line in lines)
    assert sum("pretrain seed" in line for line in lines) == 3


def test_of_a_seed_the_arms_that_pretrain_come_first(planned, home):
    order = [(place.seed, place.arm) for place in matrix.places(planned())]
    assert [seed for seed, _ in order] == sorted(seed for seed, _ in order)
    assert list(dict.fromkeys(arm for seed, arm in order if seed == 0)) == ["pretrained", "baseline", "again"]


def test_a_plan_of_some_cells_counts_and_prints_no_others(planned, home):
    some = running.Choice(only="baseline * seed 1")
    assert [line.rpartition("=")[2] for line in planning.commands(planned(), some, [])] == [
        "baseline finetune seed 1'",
        "baseline evaluate seed 1'",
    ]
    assert "  finetune     1 places, 0 done" in list(planning.lines(planned(), some))
    with pytest.raises(ValueError, match="names no cell"):
        list(planning.lines(planned(), running.Choice(only="nothing *")))


def test_two_seed_pairs_can_decide_nothing_and_the_plan_says_so(planned, home):
    plan = planned()
    few = plan.model_copy(update={"experiment": plan.experiment.model_copy(update={"seeds": (0, 1)})})
    assert any("decide nothing" in line for line in planning.decidable(few))


def test_a_pattern_that_names_no_cell_is_refused(planned, home):
    with pytest.raises(ValueError, match="names no cell"):
        experiment.part(planned(), show=print, say=print, choice=running.Choice(only="nobody"))


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("arms: [baseline, again]", "arms: [baseline, agian]", "did you mean 'again'"),
        ("baseline: tuned}", "baseline: tunde}", "did you mean 'tuned'"),
        ("contrast: pretraining", "contrast: pretaining", "did you mean 'pretraining'"),
        ("folds: FOLDS", "folds: 3", "5 folds, or not"),
        ("folds: FOLDS", "rounds: 11", "2 to 10 re-splits"),
        ("folds: FOLDS", "shows: [ablation]", "did you mean 'ablations'"),
        ("folds: FOLDS", "folds: 5\nrounds: 3", "by one of them"),
        ("  tuned: {", "  baseline: {", "also an arm"),
    ],
)
def test_a_declaration_that_names_nothing_is_refused(planned, old, new, fault):
    with pytest.raises(ConfigError, match=fault):
        planned(text=FILE.replace(old, new))


def test_a_report_shows_other_experiments_with_this_ones_preset_overrides_and_seeds(planned):
    text = FILE + "shows: [ablations]\n"
    (own,) = planned(text=text).shown
    assert (own.experiment.name, own.preset, own.experiment.seeds) == ("ablations", "smoke", (0, 1, 2))
    fewer = planned(text=text, seeds="5").shown[0]
    assert fewer.experiment.seeds == (5,) and fewer.finetuning("none", 5).data.name == "sample"
    assert planned(text=text).experiment.declaration == planned().experiment.declaration
    words = publishing.told("iqa main --preset=paper --experiment=toy '--data=my photos'", own)
    assert words == "iqa main --preset=paper '--data=my photos' --experiment=ablations"
    spaced = publishing.told("iqa main --experiment toy --seeds 0-2", own)
    assert spaced == "iqa main --seeds 0-2 --experiment=ablations"


def test_the_ablations_are_nine_rows_of_seven_arms():
    told = matrix.read("ablations")
    assert sum(len(table.rows) for table in told.ablations) == 9 and len(told.arms) == 7


def test_the_paper_compares_both_sides_over_one_grid_of_rates():
    plan = experiment.plan("paper", "", "", {})
    rates = [
        [plan.finetuning(arm, 0).optim.encoder_lr_ratio for arm in group.arms]
        for group in plan.experiment.groups.values()
    ]
    assert rates[0] == rates[1] == [0.02, 0.1, 0.4] and len(plan.experiment.claims) == 4
