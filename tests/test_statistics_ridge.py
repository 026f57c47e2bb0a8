"""Ridge probes of frozen features: the closed form, the choice of strength, the draw of labels."""

import numpy as np
import pytest

from iqa.statistics import probe, ridge


@pytest.fixture
def toy():
    random = np.random.default_rng(5)
    features = random.normal(size=(90, 6))
    return features, features @ np.array([1.0, -0.5, 0, 0, 0.25, 0]) + 0.3 * random.normal(size=90)


@pytest.mark.parametrize("columns", [6, 200])
def test_ridge_solves_its_normal_equations_for_every_strength_narrow_and_wide(columns):
    random = np.random.default_rng(1)
    x, y = random.normal(size=(40, columns)), random.normal(size=40)
    weights, offsets = ridge(x, y, (0.01, 1.0))
    centred = x - x.mean(axis=0)
    for strength, w, b in zip((0.01, 1.0), weights, offsets, strict=True):
        direct = np.linalg.solve(centred.T @ centred + 40 * strength * np.eye(columns), centred.T @ (y - y.mean()))
        assert np.allclose(w, direct) and b == pytest.approx(y.mean() - x.mean(axis=0) @ direct)


def test_a_stronger_penalty_gives_smaller_weights(toy):
    weights, _ = ridge(*toy, (0.01, 0.1, 1.0, 10.0))
    sizes = np.linalg.norm(weights, axis=1)
    assert (np.diff(sizes) < 0).all()


def test_a_probe_finds_a_linear_score_and_takes_the_strength_that_validation_prefers(toy):
    x, y = toy
    found = probe((x[:60], y[:60]), (x[60:], y[60:]))
    assert found.validation_srcc > 0.85 and found.labels == 60
    assert found.validation_srcc >= probe((x[:60], y[:60]), (x[60:], y[60:]), strengths=(1e4,)).validation_srcc


def test_a_tenth_of_the_labels_is_drawn_by_the_seed_alone(toy):
    x, y = toy
    one, again, other = (probe((x, y), (x, y), share=0.1, seed=seed) for seed in (0, 0, 1))
    assert one.labels == 9
    assert np.array_equal(one.weights, again.weights) and not np.array_equal(one.weights, other.weights)


def test_a_feature_that_never_varies_changes_nothing(toy):
    x, y = toy
    padded = np.column_stack([x, np.full(len(y), 7.0)])
    assert np.allclose(probe((x, y), (x, y))(x), probe((padded, y), (padded, y))(padded))


def test_what_ridge_cannot_use_is_refused(toy):
    x, y = toy
    with pytest.raises(ValueError, match="three images"):
        ridge(x[:2], y[:2])
    with pytest.raises(ValueError, match="positive"):
        ridge(x, y, (0.0,))
    with pytest.raises(ValueError, match="finite"):
        ridge(np.where(x == x[0, 0], np.nan, x), y)
    with pytest.raises(ValueError, match="share"):
        probe((x, y), (x, y), share=0.0)
