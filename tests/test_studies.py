"""Studies: what they search, how they are named and counted. The nesting of their trials: test_pipeline."""

import optuna
import pytest

from iqa import config
from studies import search


def names():
    return sorted(path.stem for path in search.FOLDER.glob("*.py") if path.stem not in ("__init__", "search"))


@pytest.mark.parametrize("name", names())
def test_every_study_suggests_what_its_stage_takes(name):
    space = search.find(name)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(20):
        assert config.load(space.stage, space.suggest(study.ask()), "demo")


def test_the_encoder_rate_is_searched_over_the_declared_range():
    space = search.find("encoder_lr_ratio")
    trial = optuna.create_study().ask()
    space.suggest(trial)
    assert trial.distributions == {
        "optim.encoder_lr_ratio": optuna.distributions.FloatDistribution(0.005, 1.0, log=True)
    }


@pytest.mark.parametrize("name", names())
def test_the_objective_is_a_validation_value(name):
    assert search.find(name).objective.startswith("val/")


def test_an_unknown_study_is_refused_with_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'encoder_lr_ratio'"):
        search.find("encoder_ratio")


@pytest.mark.parametrize("trials", ["0", "-1", "many", "1.5", ""])
def test_a_number_of_trials_is_whole_and_positive(trials):
    with pytest.raises(ValueError, match="whole number"):
        search.count(trials)


def test_studies_live_where_the_environment_says(monkeypatch):
    monkeypatch.setenv("OPTUNA_STORAGE", "sqlite:///elsewhere.db")
    assert search.storage() == "sqlite:///elsewhere.db"
