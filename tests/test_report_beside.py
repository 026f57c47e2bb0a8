"""The table beside the verdict: the crossed bootstrap and Pitman and Morgan's test, on the predictions of the marks."""

import numpy as np
import pytest

from iqa import statistics
from iqa.report import analysis, beside, claims
from iqa.report.document import Missing, Undefined, walk
from tests.report_toy import EXPERIMENT, make
from tests.test_report_resplits import resplit


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setattr(beside, "RESAMPLES", 60)
    return make(tmp_path)


def rows(evidence):
    (table,) = beside.beside(evidence, claims.compare(evidence))
    return {row[1][0].text: row for row in table.rows}


def arms(evidence, dataset, fold=None):
    stage = evidence.stage_of(dataset)
    found = [
        [evidence.predictions(stage, arm, seed, dataset, fold) for seed in evidence.seeds]
        for arm in ("pretrained", "baseline")
    ]
    return [np.stack([one.values for one in side]) for side in found], found[0][0]


def test_each_set_has_its_bootstrap_and_the_counts_of_its_pairs(store):
    evidence = store.evidence()
    found = rows(evidence)
    assert list(found) == ["sample", "optics", "sensor"]
    for dataset, (_, _, (interval,), (smaller,), (clearly,), (worse,)) in found.items():
        sides, one = arms(evidence, dataset)
        drawn = statistics.crossed_bootstrap(*sides, one.scores, one.units, resamples=60, name=f"{dataset} 0")
        assert interval.values == (drawn.low, drawn.high) and len(interval.runs) == 6
        tests = statistics.pitman_morgan(*sides, one.scores)
        assert smaller.values == (sum(test.slope > 0 for test in tests),) and smaller.text.endswith(" of 3")
        assert clearly.values == (sum(test.slope > 0 and test.p < 0.05 for test in tests),)
        assert worse.values == (sum(test.slope < 0 and test.p < 0.05 for test in tests),)


def test_the_contrasts_of_claims_alone_are_shown_where_there_are_claims(store):
    more = [*EXPERIMENT["contrasts"], {"name": "turned", "treatment": "baseline", "baseline": "pretrained"}]
    claimed = [{"title": "x", "contrast": "turned", "measure": "own"}]
    (table,) = beside.beside(evidence := store.evidence(contrasts=more, claims=claimed), claims.compare(evidence))
    assert {row[0][0].text for row in table.rows} == {"turned"}


def test_a_missing_run_shows_its_command_and_without_contrasts_there_is_no_table(store):
    for seed in EXPERIMENT["seeds"]:
        store.without("finetune", "pretrained", seed)
    assert all(isinstance(cell[0], Missing) for cell in rows(store.evidence())["sample"][2:])
    assert beside.beside(store.evidence(contrasts=[]), []) == []


def test_re_splits_have_counts_and_no_bootstrap_since_they_share_images(store):
    row = rows(store.evidence(**resplit(store, 3)))["sample"]
    assert isinstance(row[2][0], Undefined) and row[3][0].text.endswith(" of 3")


def test_no_mark_reads_it_and_the_analysis_shows_it(store):
    evidence = store.evidence()
    section = analysis.analysis(evidence, [], claims.compare(evidence))
    assert "beside" in [getattr(block, "name", "") for block in walk([section])]
