"""How many trials stand behind each arm: counted from the studies' runs, 0 where none, unequal budgets said."""

import pytest

from iqa.report import trials
from iqa.report.checking import check
from iqa.report.document import Missing, Paragraph, plain
from tests.report_toy import EXPERIMENT, Run, make

COUNTS = {"trials/complete": 12.0, "trials/pruned": 7.0, "trials/failed": 1.0, "best/val_srcc": 0.87}
STUDY = "s" * 32
TOLD = {"study": "rates", "run": STUDY, "arm": "pretrained", "trial": 4, "best": True}


@pytest.fixture
def store(tmp_path):
    made = make(tmp_path)
    made.rows.append(Run(STUDY, "study rates", tags={"stage": "study", "study": "rates"}, metrics=COUNTS))
    return made


def shown(store, **changes):
    """{arm's title: the row's cells as text}, and the paragraphs below."""
    (section,) = trials.section(store.evidence(**changes))
    table, *notes = section.blocks
    assert all(isinstance(note, Paragraph) for note in notes)
    return {plain(row[0]): [plain(cell) for cell in row[1:]] for row in table.rows}, [plain(n.parts) for n in notes]


def test_an_arm_has_all_trials_of_its_study_behind_it_and_an_arm_without_a_study_none(store):
    rows, notes = shown(store, studies={"baseline": [], "pretrained": [TOLD]})
    assert rows["Quality"] == ["20", "rates (trial 4, its best, searched with Quality)", "0.8700", "–"]
    assert rows["ImageNet"][0] == "0"
    assert notes == [
        "The arms were not given the same number of trials: a difference between them may come from the search."
    ]


def test_arms_with_the_same_number_of_trials_need_no_warning(store):
    assert shown(store, studies={"baseline": [TOLD], "pretrained": [TOLD]})[1] == []
    assert shown(store, studies={})[1] == []


def test_arms_of_a_grid_say_how_many_they_were_chosen_from(store):
    groups = {"tuned": {"title": "Tuned", "arms": ["baseline", "pretrained"]}}
    assert shown(store, studies={}, groups=groups)[0]["ImageNet"][3] == "2 of Tuned"


def test_an_arm_without_runs_shows_the_command_that_fills_it(store):
    for seed in EXPERIMENT["seeds"]:
        store.without("finetune", "baseline", seed)
    (section,) = trials.section(store.evidence(studies={}))
    assert isinstance(section.blocks[0].rows[0][1][0], Missing)


def test_a_written_report_has_the_trials_its_check_passes_and_the_study_is_no_run_of_the_experiment(store, tmp_path):
    written = store.build(tmp_path / "report", studies={"baseline": [], "pretrained": [TOLD]})
    text = written.markdown.read_text()
    assert "Trials behind each arm" in text and "study rates is" not in text
    assert STUDY[:8] not in (tmp_path / "report" / "tables" / "runs.csv").read_text()
    assert check(tmp_path / "report", store.rows, store.history, store.fetch) == []
    altered = [row for row in store.rows if row.run_id != STUDY]
    assert check(tmp_path / "report", altered, store.history, store.fetch)[0].endswith(f"run {STUDY}, which is gone")
