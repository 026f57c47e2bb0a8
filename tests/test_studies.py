"""Studies from the command to the runs: what they search, how they nest, go on, refuse, prune, fail and are shown."""

import csv
import os
import signal
import threading
import urllib.request
from wsgiref.simple_server import WSGIRequestHandler, make_server

import optuna
import pytest
import yaml
from study_left import kept, runs

from benchmarks import study_toy
from iqa import config, experiment, tracking
from iqa.experiment import cells
from iqa.tracking import signals
from studies import search
from studies.search import attempt, claims, leading, order, summary


@pytest.mark.parametrize("name", search.names())
def test_every_study_suggests_what_its_stages_take(name):
    for seed in range(20):
        suggestion = order.drawn(search.find(name), seed)[1]
        assert suggestion and all(config.load(stage, told, "demo") for stage, told in suggestion.items())


@pytest.mark.parametrize("name", search.names())
def test_a_study_is_short_and_says_its_command_space_budget_and_result(name):
    text = (order.FOLDER / f"{name}.py").read_text("utf-8")
    assert len(text.splitlines()) <= 40
    words = (f"mlflow run . -e study -P name={name}", "Space:", "Budget:", "Result:", "validation SRCC")
    assert all(word in " ".join(search.find(name).__doc__.split()) for word in words)


def test_the_encoder_rate_and_the_loss_weights_are_searched_over_the_declared_ranges():
    spelled = {name: order.drawn(search.find(name))[0] for name in ("encoder_lr_ratio", "loss_weights")}
    assert {n: order.spelled(one) for n, one in spelled["encoder_lr_ratio"].items()} == {
        "encoder_lr_ratio": "0.005 to 1, logarithmic"
    }
    weights = {name: order.spelled(one) for name, one in spelled["loss_weights"].items()}
    assert weights["lambda"] == "0.1 to 10, logarithmic" and weights["m_rank"] == "0.02 to 0.4, logarithmic"
    assert weights["families"].startswith("one of blur, jpeg")


def test_a_study_leaves_a_parent_with_its_trials_and_their_steps_below_it(toys, home, capsys):
    assert toys("--trials=5") == 0
    (parent,), trials, steps = runs("study"), runs("trial"), runs("finetune")
    assert {row.parent for row in [*trials, *steps]} == {parent.run_id} and len(trials) == len(steps) == 5
    assert parent.tags["study"] == "encoder_lr_ratio-smoke" and parent.tags["trials"] == "5"
    best = max(trials, key=lambda row: row.metrics.get("best/val_srcc", 0))
    assert parent.metrics["best/val_srcc"] == best.metrics["best/val_srcc"] == kept(home).best_value
    assert parent.tags["best.encoder_lr_ratio"] == best.params["finetune.encoder_lr_ratio"]
    assert "best of 5 trials" in capsys.readouterr().out
    shown = tracking.fetch(parent.run_id, "study")
    drawn = {f"{name}.png" for name in ("history", "curves", "slice", "parallel_coordinate", "importance")}
    assert {file.name for file in shown.iterdir()} == {"trials.csv", *drawn}
    with (shown / "trials.csv").open() as lines:
        assert [row["run"] for row in csv.DictReader(lines)] == [row.run_id for row in trials]
    assert "| 0 | " in parent.tags["mlflow.note.content"]


def test_a_trial_shows_validation_curves_and_no_test_value(toys):
    assert toys("--trials=1") == 0
    (trial,) = runs("trial")
    assert [step for step, _ in tracking.history(trial.run_id, "val/srcc")] == [1, 2, 3, 4]
    assert trial.tags["trial.state"] == "complete" and not [name for name in trial.metrics if "test" in name]


def test_a_study_goes_on_by_its_name_in_the_same_parent_run(toys, home):
    assert toys("--trials=2") == toys("--trials=3") == 0
    assert len(runs("study")) == 1 and len(runs("trial")) == 3 and len(kept(home).trials) == 3
    assert toys("--trials=3") == 0
    assert len(runs("trial")) == 3 and len(study_toy.notes()) == sum(
        len(trial.intermediate_values) for trial in kept(home).trials
    )


def test_a_study_that_goes_on_draws_what_one_without_a_pause_draws(toys, home):
    assert toys("--trials=13", "--pruner=none") == 0
    whole = [trial.params for trial in kept(home).trials]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPTUNA_STORAGE", f"sqlite:///{home}/second/optuna.db")
        assert toys("--trials=5", "--pruner=none") == toys("--trials=13", "--pruner=none") == 0
    second = optuna.load_study(study_name="encoder_lr_ratio-smoke", storage=f"sqlite:///{home}/second/optuna.db")
    assert [trial.params for trial in second.trials] == whole
    assert len({params["encoder_lr_ratio"] for params in whole}) == 13  # and no two trials draw the same


def test_the_same_name_with_another_space_or_setting_is_refused_with_the_difference(toys, capsys, monkeypatch):
    assert toys("--trials=1") == 0
    assert toys("--trials=2", "--batch_size=7") == 2
    error = capsys.readouterr().err
    assert "finetune.optim.batch_size: 64 there, 7 here" in error and "-P study=NAME" in error

    def wider(trial):
        return {"finetune": {"encoder_lr_ratio": trial.suggest_float("encoder_lr_ratio", 0.01, 2.0, log=True)}}

    monkeypatch.setattr(search.find("encoder_lr_ratio"), "suggest", wider)
    assert toys("--trials=2") == 2
    assert "0.005 to 1, logarithmic there, 0.01 to 2, logarithmic here" in capsys.readouterr().err
    assert len(runs("trial")) == 1 and toys("--trials=1", "--study=wider") == 0


def test_a_pruned_trial_is_visible_as_such_and_its_step_is_no_result(toys, home):
    assert toys("--trials=8", "--pruner=median") == 0
    pruned = [trial for trial in kept(home).trials if trial.state == optuna.trial.TrialState.PRUNED]
    assert pruned, "nothing was pruned"
    for trial in pruned:
        row = tracking.row(trial.user_attrs["run"])
        assert row.status == "KILLED" and row.tags["trial.state"] == "pruned" and "best/val_srcc" not in row.metrics
    closed = [row for row in runs("finetune") if row.status == "KILLED"]
    assert len(closed) == len(pruned) and {row.tags["iqa.stopped"] for row in closed} == {"closed"}
    for row in closed:
        assert cells.finished(cells.Cell(row.tags["stage"], None, row.tags["cell"], row.tags)) is None


def test_a_trial_that_fails_counts_and_says_why_and_the_others_go_on(toys, home, monkeypatch):
    def risky(trial):
        decay = trial.suggest_categorical("weight_decay", (0.1, 2.0))
        return {"finetune": {"optim.weight_decay": decay}}

    monkeypatch.setattr(search.find("encoder_lr_ratio"), "suggest", risky)
    assert toys("--trials=2", "--sampler=grid") == 0
    assert sorted(trial.state.name for trial in kept(home).trials) == ["COMPLETE", "FAIL"]
    failed = next(row for row in runs("trial") if row.status == "FAILED")
    assert failed.tags["iqa.reason"] == "This weight decay leaves nothing."
    (parent,) = runs("study")
    assert parent.status == "FINISHED" and "leaves nothing" in (
        tracking.fetch(parent.run_id, "study/trials.csv").read_text()
    )


def test_a_study_whose_first_trials_all_fail_ends_with_the_reason(toys, capsys):
    assert toys("--trials=9", "--finetune.optim.weight_decay=2") == 2
    assert "Every one of 3 trials failed, the last one: This weight decay" in capsys.readouterr().err
    assert len(runs("trial")) == 3 and {row.status for row in runs("trial")} == {"FAILED"}


def test_a_value_is_the_mean_over_seeds_and_folds(toys, home):
    assert toys("--trials=1", "--seeds=0,2", "--folds=1-2", "--pruner=none") == 0
    (trial,) = kept(home).trials
    assert sorted(trial.intermediate_values) == list(range(1, 17))
    values = [row.metrics["best/val_srcc"] for row in runs("finetune")]
    assert len(values) == 4 and trial.value == pytest.approx(sum(values) / 4)
    assert {note["fold"] for note in study_toy.notes()} == {1, 2}
    assert "val/srcc/seed-2-fold-1" in runs("trial")[0].metrics


def test_a_shared_pretraining_is_computed_once_and_every_trial_begins_with_it(toys, home):
    (home / "toy.yaml").write_text(
        "title: Toy\npreset: smoke\nseeds: [0]\narms:\n  pretrained: {title: P, pretrain: {families: jpeg}}\n"
    )
    assert toys("--trials=3", "--arm=pretrained", "--experiment=toy.yaml", "--pruner=none") == 0
    (pretraining,) = runs("pretrain")
    assert [note["families"] for note in study_toy.notes() if note["stage"] == "pretrain"] == ["jpeg"]
    encoder = f"runs:/{pretraining.run_id}/encoder"
    assert {row.params["model.weights"] for row in runs("finetune")} == {encoder}
    assert {row.tags["arm"] for row in [*runs("study"), *runs("trial")]} == {"pretrained"}


def test_the_loss_weights_are_searched_by_pretraining_and_then_fine_tuning(toys):
    assert toys("--name=loss_weights", "--trials=2", "--pruner=none") == 0
    assert len(runs("pretrain")) == len(runs("finetune")) == 2
    assert {row.params["loss.m_rank"] for row in runs("pretrain")} == {
        row.params["pretrain.loss.m_rank"] for row in runs("trial")
    }


def test_the_best_of_a_study_that_is_not_there_is_refused_and_leaves_nothing(toys, home, capsys):
    before = sorted(os.listdir(home))
    assert toys("--action=best") == 2 and sorted(os.listdir(home)) == before
    assert toys("--trials=1") == 0 and toys("--action=best", "--study=other") == 2
    assert capsys.readouterr().err.count("error: There is no study") == 2
    assert optuna.get_all_study_names(f"sqlite:///{home}/optuna.db") == ["encoder_lr_ratio-smoke"]


def test_a_study_without_trials_takes_another_meaning_and_another_parent(toys, home, capsys, monkeypatch):
    with monkeypatch.context() as broken:
        broken.setattr(leading, "labour", lambda *_: (_ for _ in ()).throw(ValueError("Ended before a trial.")))
        assert toys("--trials=1") == 2 and not kept(home).trials
        assert toys("--action=best", "--seeds=1") == 2
    assert "no complete trial" in capsys.readouterr().err
    assert toys("--trials=1", "--seeds=1") == 0 and len(kept(home).trials) == 1
    assert {row.params["seeds"] for row in runs("study")} == {"[0]", "[1]"}
    assert toys("--trials=1") == 2 and "its trials mean something else" in capsys.readouterr().err


def test_the_best_trial_becomes_a_preset_that_a_stage_takes(toys, home, photos, capsys):
    assert toys("--trials=4") == 0 and toys("--action=best") == 0
    assert "-P preset=encoder_lr_ratio-smoke.yaml" in capsys.readouterr().out
    told = config.load("finetune", {}, "encoder_lr_ratio-smoke.yaml")
    assert told.optim.encoder_lr_ratio == kept(home).best_params["encoder_lr_ratio"]
    assert (told.optim.epochs, told.data.name, told.crops.size) == (4, str(photos), 64)
    text = (home / "encoder_lr_ratio-smoke.yaml").read_text()
    assert yaml.safe_load(text)["finetune"]["optim.epochs"] == 4  # a number, though the command gave a word
    assert text.startswith("# The best of the study") and set(yaml.safe_load(text)) == set(config.STAGES)


@pytest.mark.parametrize("action", ["search", "best"])
@pytest.mark.parametrize("name", ["a/b", "o'brien", "..", "x" * 101])
def test_a_study_s_name_is_one_that_an_experiment_may_have(name, action, toys, home, capsys):
    before = sorted(os.listdir(home))
    assert toys(f"--study={name}", f"--action={action}") == 2 and sorted(os.listdir(home)) == before
    assert f"study = '{name}': up to 100 letters, digits, dots, dashes" in capsys.readouterr().err


def test_a_preset_takes_the_place_of_its_own_study_s_alone(toys, home, capsys):
    assert toys("--trials=1", "--study=conda") == 0
    (home / "conda.yaml").write_text("name: iqa\n")
    assert toys("--action=best", "--study=conda") == 2
    assert "conda.yaml is there and no preset of this study: move it away" in capsys.readouterr().err
    assert (home / "conda.yaml").read_text() == "name: iqa\n"
    (home / "conda.yaml").unlink()
    assert toys("--action=best", "--study=conda") == toys("--action=best", "--study=conda") == 0


def test_an_arm_that_a_studys_preset_gave_its_values_knows_the_study_again(toys, home, photos):
    assert toys("--trials=3") == 0 and toys("--action=best") == 0
    plan = experiment.plan("demo", "encoder_lr_ratio-smoke.yaml", "0", {})
    (parent,), best = runs("study"), max(runs("trial"), key=lambda row: row.metrics.get("best/val_srcc", 0))
    tuned = cells.cell("finetune", plan.finetuning("baseline", 0), {"arm": "baseline"})
    ours = cells.compute(tuned).run_id
    assert experiment.searched(plan, {"baseline finetune seed 0": ours}, tracking.rows()) == {
        "baseline": [
            {
                "study": parent.tags["study"],
                "run": parent.run_id,
                "arm": "",
                "trial": int(best.tags["trial"]),
                "best": True,
            }
        ],
        "pretrained": [],
    }


@pytest.mark.parametrize("sampler", ["tpe", "gp", "random", "grid"])
@pytest.mark.parametrize("pruner", ["hyperband", "median", "none"])
def test_every_sampler_works_with_every_pruner(toys, home, sampler, pruner):
    assert toys("--trials=3", "--name=regularisation", f"--sampler={sampler}", f"--pruner={pruner}") == 0
    assert len(kept(home, "regularisation-smoke").trials) == 3


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--name=encoder_ratio"], "did you mean 'encoder_lr_ratio'"),
        (["--sampler=tpee"], "'tpee' is no sampler: did you mean 'tpe'"),
        (["--pruner=hyper"], "'hyper' is no pruner: did you mean 'hyperband'"),
        (["--trials=0"], "trials = '0': give a whole number"),
        (["--workers=two"], "workers = 'two': give a whole number"),
        (["--action=bets"], "action = 'bets'"),
        (["--arm=nobody"], "'nobody' is no arm"),
        (["--storage=mysql://x/y"], "storage = 'mysql://x/y'"),
        (["--storage=postgresql://u:secret@127.0.0.1:1/none"], "u:***@127.0.0.1:1/none does not answer"),
        (["--encoder_lr_ratio=0.5"], "optim.encoder_lr_ratio is what the study encoder_lr_ratio searches"),
        (["--seed=3"], "did you mean 'seeds'"),
        (["--folds=7"], "there are folds 0 to 4"),
        (["--protocol=random-80-20"], "has no validation part under protocol random-80-20"),
        (["--arm=control", "--experiment=toy.yaml"], "The arm control spends what pretrained does"),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_nothing(toys, home, capsys, words, sentence):
    (home / "toy.yaml").write_text(
        "title: Toy\npreset: smoke\nseeds: [0]\narms:\n  pretrained: {title: P, pretrain: {}}\n"
        "  control: {title: C, spends: pretrained}\n"
    )
    assert toys(*words) == 2
    errors = capsys.readouterr().err
    assert sentence in errors and "Traceback" not in errors
    assert not tracking.rows() and not (home / "runs").exists()


def test_a_value_so_far_ignores_an_undefined_epoch():
    records = iter([{"epoch": 1, "val/srcc": float("nan")}, {"epoch": 2, "val/srcc": 0.5}])
    found = list(attempt.reports(tracking.Silent(), records, 0, [], ""))
    assert [report.value for report in found] == [-1.0, 0.5]


def test_a_worker_that_is_asked_to_stop_gives_its_trial_back_and_goes_on_with_it(toys, home, monkeypatch):
    def stopping(config, run):
        for record in study_toy.finetune(config, run):
            if record["epoch"] == 2:
                os.kill(os.getpid(), signal.SIGTERM)
            yield record

    monkeypatch.setattr(cells, "stage_of", {"finetune": stopping}.__getitem__)
    monkeypatch.setattr(signals, "_asked", 0)
    assert toys("--trials=1", "--pruner=none") == 143
    monkeypatch.setattr(signals, "_asked", 0)
    assert [trial.state.name for trial in kept(home).trials] == ["FAIL", "WAITING"]
    assert {row.status for row in tracking.rows()} == {"KILLED"}
    monkeypatch.setattr(cells, "stage_of", study_toy.STAGES.__getitem__)
    assert toys("--trials=1", "--pruner=none") == 0
    assert [trial.state.name for trial in kept(home).trials] == ["FAIL", "COMPLETE"]
    assert [note["epoch"] for note in study_toy.notes()] == [1, 2, 3, 4]
    assert len(tracking.rows()) == 3 and {row.status for row in tracking.rows()} == {"FINISHED"}


def test_a_trial_that_was_taken_over_while_its_worker_slept_counts_once(toys, home, monkeypatch):
    def sleeping(config, run):
        for record in study_toy.finetune(config, run):
            study = kept(home)
            if record["epoch"] == 2 and len(study.trials) == 1:  # what another worker does after the time of grace
                study.tell(0, state=optuna.trial.TrialState.FAIL)
                claims.again(study, study.trials[0])
            yield record

    monkeypatch.setattr(cells, "stage_of", {"finetune": sleeping}.__getitem__)
    assert toys("--trials=1", "--pruner=none") == 0
    first, second = kept(home).trials
    assert (first.state.name, second.state.name) == ("FAIL", "COMPLETE") and second.params == first.params
    assert [note["epoch"] for note in study_toy.notes()] == [1, 2, 2, 3, 4]


def test_the_dashboard_shows_a_study_on_the_same_storage(toys, home):
    dashboard = pytest.importorskip("optuna_dashboard")
    assert toys("--trials=1") == 0
    app = dashboard.wsgi(f"sqlite:///{home}/optuna.db")
    with make_server("127.0.0.1", 0, app, handler_class=Quiet) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        where = f"http://127.0.0.1:{server.server_port}"
        pages = [
            urllib.request.urlopen(where + path, timeout=30).read().decode() for path in ("/dashboard", "/api/studies")
        ]
        server.shutdown()
    assert "<title>Optuna Dashboard</title>" in pages[0] and "encoder_lr_ratio-smoke" in pages[1]


class Quiet(WSGIRequestHandler):
    def log_message(self, *words):
        """Nothing on the terminal."""


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_the_history_shows_pruned_trials_at_the_last_value_they_reported():
    states, made = optuna.trial.TrialState, optuna.create_study(direction="maximize")
    made.add_trial(optuna.trial.create_trial(state=states.COMPLETE, value=0.5, intermediate_values={1: 0.2, 2: 0.5}))
    made.add_trial(optuna.trial.create_trial(state=states.PRUNED, intermediate_values={2: 0.3, 1: 0.4}))
    shown = {points.get_label(): points.get_offsets().tolist() for points in summary.history(made).collections}
    assert shown["validation SRCC"] == [[0.0, 0.5]] and shown["pruned, last value"] == [[1.0, 0.3]]
