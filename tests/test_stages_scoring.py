"""What a set's scores are told with: the rater ceiling where the votes are known."""

from pathlib import Path

import numpy as np
import pytest

from iqa import statistics
from iqa.datasets.manifest import Manifest, table_of
from iqa.stages import scoring, training

VOTES = ["9 1 0 0 0", "1 8 1 0 0", "0 1 8 1 0", "0 0 1 8 1", "0 0 0 1 9"]
SCORES = [0.1, 0.3, 0.5, 0.7, 0.9]


def manifest(votes: list[str]) -> Manifest:
    columns = {"path": [f"{i}.png" for i in range(len(votes))], "score": SCORES[: len(votes)], "votes": votes}
    return Manifest("toy", Path(), table_of(columns), (1.0, 5.0), "opinion scores", "random-60-20-20")


def test_the_ceiling_is_that_of_panels_of_the_same_size_against_the_published_scores():
    counts = [[int(count) for count in votes.split()] for votes in VOTES]
    expected = statistics.rater_ceiling(counts, [10] * 5, SCORES)
    found = scoring.ceiling(manifest(VOTES))
    assert found == {"ceiling/srcc": expected.srcc, "ceiling/sd": expected.sd, "ceiling/between": expected.between}
    assert 0.9 < found["ceiling/srcc"] <= 1


@pytest.mark.parametrize("votes", [["", *VOTES[1:]], VOTES[:2], []], ids=["one unknown", "two images", "none"])
def test_there_is_no_ceiling_without_the_votes_of_every_image(votes):
    assert scoring.ceiling(manifest(votes)) == {}


@pytest.mark.parametrize(
    ("predictions", "count", "why"),
    [
        ([0.5] * 5, 5, "all 5 predictions are 0.5: a constant has no correlation with anything."),
        ([0.1, 0.2], 2, "a correlation needs at least 3 images; here there are 2."),
    ],
)
def test_a_correlation_that_is_undefined_is_explained(predictions, count, why, caplog, monkeypatch):
    monkeypatch.setattr(training, "TOLD", set())
    caplog.set_level("INFO", "iqa")
    found = scoring.correlations(np.array(predictions), manifest(VOTES[:count]), "val/")
    assert np.isnan([found["val/srcc"], found["val/plcc"]]).all()
    assert [one.getMessage() for one in caplog.records] == [f"no correlation on val: {why}"]
    assert scoring.correlations(np.array([0.1, 0.2, 0.4]), manifest(VOTES[:3]), "val/")["val/srcc"] == 1
    assert len(caplog.records) == 1
