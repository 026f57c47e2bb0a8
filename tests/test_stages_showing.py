"""Which pictures of the test part a run leaves for its report, and how."""

import numpy as np

from iqa import datasets, images
from iqa.stages import showing
from iqa.tracking import Silent


def test_the_strip_goes_from_the_lowest_prediction_to_the_highest_at_equal_steps():
    assert showing.along(np.array([0.3, 0.1, 0.2])) == [1, 2, 0]
    steps = showing.along(np.arange(71)[::-1].astype(float))
    assert steps == [70, 60, 50, 40, 30, 20, 10, 0]


def test_a_run_keeps_each_picture_once_as_a_small_jpeg_beside_its_path(photos, tmp_path):
    test = datasets.load(str(photos)).part("test")
    run = Silent(tmp_path)
    predictions = test.table["score"].to_numpy() + np.linspace(0, 1, len(test))
    showing.show(predictions, test, run)
    with np.load(tmp_path / "pictures" / f"{test.name}.npz", allow_pickle=False) as left:
        paths = left["paths"].tolist()
        assert len(set(paths)) == len(paths) and paths[left["worst"][0]] == test.table["path"].iloc[-1]
        assert left["strip"].tolist() == [
            paths.index(test.table["path"].iloc[row]) for row in showing.along(predictions)
        ]
        shapes = [images.decode(left[str(at)].tobytes(), path).shape for at, path in enumerate(paths)]
    assert all(max(shape) <= showing.SIDE for shape in shapes)
