"""What a figure draws of the runs: the fit that the tables' numbers are computed after."""

import numpy as np
import pytest

from iqa import metrics
from iqa.report import figures, looks, plots
from iqa.report.predictions import Predictions
from tests.report_toy import make

ALIKE = {arm: {"title": "Alike", "pretrain": None} for arm in ("baseline", "pretrained")}


@pytest.fixture
def store(tmp_path):
    return make(tmp_path)


def answers(scores, values):
    return Predictions(tuple(map(str, range(len(scores)))), np.arange(len(scores)), scores, values, "run")


def test_the_fit_of_a_scatter_is_the_one_that_the_tables_logistic_plcc_is_computed_after(store):
    run = store.run("finetune", "baseline", 0)
    shown = figures.scatter(store.evidence(), "sample")
    lines = [row for row in shown.data if row[:2] == ("baseline", 0)]
    scores, mapped = (np.array([row[at] for row in lines]) for at in (3, 5))
    assert metrics.plcc(mapped, scores) == pytest.approx(run.metrics["test/sample/plcc_logistic"])


def test_arms_of_one_title_have_a_curve_each(store):
    evidence = store.evidence(arms=ALIKE)
    assert list(figures.curves(evidence, "finetune", evidence.arms, "val/srcc")) == ["baseline", "pretrained"]
    shown = figures.finetuning(evidence)
    assert len(shown.data) == 4 * 2 * 3 * 3  # metrics, arms, seeds, epochs
    assert "for Alike, Alike;" in shown.panels[0].alt


def test_arms_of_one_title_have_dots_of_their_own(store):
    for row in store.rows:
        if (file := store.answers(row, "optics")).exists():
            head, *lines = file.read_text().splitlines()
            file.write_text("\n".join([f"{head},family", *(f"{line},jpeg" for line in lines)]) + "\n")
    shown = looks.by_family(store.evidence(arms=ALIKE), "optics")
    values = {arm: {"jpeg": [row[3] for row in shown.data if row[0] == arm]} for arm in ALIKE}
    titles = {arm: "Alike" for arm in ALIKE}
    apart = plots.dots(values, ["jpeg"], "SRCC within each distortion of optics", titles, "SRCC")
    assert shown.panels[0].png == apart


def test_the_curve_bends_where_the_points_do_and_ends_with_the_predictions():
    values = np.linspace(-3, 5, 40)
    scores = 0.2 + 0.6 / (1 + np.exp(-(values - 1) / 0.4))
    score, prediction = figures.fitted(answers(scores, values))[1]
    assert (prediction[0], prediction[-1]) == (-3, 5)
    assert score == pytest.approx(0.2 + 0.6 / (1 + np.exp(-(prediction - 1) / 0.4)), abs=1e-6)


def test_without_a_fit_the_points_stand_alone():
    mapped, curve = figures.fitted(answers(np.array([0.1, 0.5, 0.9]), np.array([0.2, 0.4, 0.6])))
    assert np.isnan(mapped).all() and curve.shape == (2, 0)
    assert plots.scatter(np.array([0.1, 0.9]), np.array([0.2, 0.6]), curve, "Few", 0, (0.2, 0.6)).startswith(b"\x89PNG")
