"""What the console says of a stage at work."""

from types import SimpleNamespace

import pytest

from entrypoints import progress

TRAINING = SimpleNamespace(optim=SimpleNamespace(epochs=4))
CELL = SimpleNamespace(title="baseline finetune seed 0", config=TRAINING)


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass when a test says so."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_the_first_line_of_a_stage_says_where_its_run_is(clock, capsys):
    show = progress.Progress()
    show(CELL, "http://here/r1", 1, {"train/loss": 0.5})
    show(CELL, "http://here/r1", 2, {"train/loss": 0.25})
    assert [line for line in capsys.readouterr().out.splitlines() if "http" in line] == [
        "baseline finetune seed 0: http://here/r1"
    ]


def test_what_is_left_is_told_from_the_second_record_on(clock, capsys):
    show = progress.Progress()
    for number in range(1, 5):
        show(CELL, "http://here/r1", number, {})
        clock[0] += 45
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition("  ")[2].split("  ")[-1].strip() for line in lines[1:]] == [
        "1/4",
        "1:30 left",
        "0:45 left",
        "4/4",
    ]


def test_a_stage_that_says_itself_how_long_it_is_is_believed(clock, capsys):
    progress.Progress()(CELL, "http://here/r1", 5, {"epochs": 13})
    assert "  5/13" in capsys.readouterr().out


def test_a_resumed_stage_counts_from_where_it_went_on(clock, capsys):
    show = progress.Progress()
    show(CELL, "http://here/r1", 3, {})
    clock[0] += 10
    show(CELL, "http://here/r1", 4, {})
    assert "left" not in capsys.readouterr().out


def test_a_line_holds_loss_validation_speed_and_the_share_of_waiting(clock, capsys):
    record = {"train/loss": 0.12345, "val/srcc": 0.9, "val/plcc": 0.91, "cost/images_per_s": 41.04, "cost/data_wait": 0}
    progress.Progress()(CELL, "http://here/r1", 2, record)
    line = capsys.readouterr().out.splitlines()[1]
    assert line == "  2/4  loss 0.123  validation SRCC 0.9  PLCC 0.91  images/s 41  data wait 0.0%"


def test_of_a_target_set_the_whole_is_shown_and_not_its_parts(clock, capsys):
    cell = SimpleNamespace(title="evaluate", config=SimpleNamespace(targets=SimpleNamespace(names=("a", "b"))))
    progress.Progress()(
        cell, "http://here/r1", 1, {"test/a/srcc": 0.5, "test/a/family/jpeg/srcc": 0.1, "test/a/rmse": 1.0}
    )
    assert capsys.readouterr().out.splitlines()[1] == "  1/2  a/srcc 0.5000"


@pytest.mark.parametrize(("seconds", "told"), [(0, "0:00"), (90, "1:30"), (4000, "1:06:40")])
def test_a_time_is_told_in_minutes_and_hours(seconds, told):
    assert progress.clock(seconds) == told
