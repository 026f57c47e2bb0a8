"""The table of arms: means over folds, spread over seeds, and what is not finished."""

import pytest

from benchmarks import method_table
from benchmarks.method_table import Tuned, table


def runs(arm, seed, values, **more):
    return [
        Tuned(arm, seed, fold, {"test/toy/srcc": value, "test/toy/epoch_srcc": 9.0} | more)
        for fold, value in enumerate(values)
    ]


def test_a_row_is_the_mean_over_folds_and_the_spread_over_seeds():
    found = runs("a", "0", [0.1, 0.2, 0.3, 0.4, 0.5]) + runs("a", "1", [0.5, 0.5, 0.5, 0.5, 0.5])
    assert table(found, {"a": "Arm"}).splitlines() == [
        "| arm | fine-tuned |",
        "|---|---|",
        "| Arm | 0.4000 ± 0.1414 (2 seeds) |",
    ]


def test_a_seed_without_all_its_folds_is_counted_and_left_out():
    found = runs("a", "0", [0.2] * 5) + runs("a", "1", [0.9] * 3)
    assert "| Arm | 0.2000 (1 seed, 1 unfinished) |" in table(found, {"a": "Arm"})
    assert "| Arm | – 1 unfinished |" in table(runs("a", "1", [0.9] * 3), {"a": "Arm"})


def test_probes_have_columns_where_runs_have_them():
    found = runs("a", "0", [0.2] * 5, **{"probe/100/srcc": 0.6, "probe/10/srcc": 0.3})
    header, _, row, other = table(found, {"a": "Arm", "b": "Other"}).splitlines()
    assert header == "| arm | fine-tuned | probe, all labels | probe, a tenth |"
    assert row == "| Arm | 0.2000 (1 seed) | 0.6000 (1 seed) | 0.3000 (1 seed) |"
    assert other == "| Other | – | – | – |"


def test_an_undefined_correlation_stays_undefined():
    assert "nan" in table(runs("a", "0", [0.2, 0.2, float("nan"), 0.2, 0.2]), {"a": "Arm"})


@pytest.mark.parametrize(("words", "sentence"), [(["--epocs=1"], "'epocs' is no parameter"), (["x"], "belongs to no")])
def test_bad_words_end_with_two(words, sentence, home, capsys):
    assert method_table.main(words) == 2
    assert sentence in capsys.readouterr().err


def test_looking_before_anything_ran_computes_nothing(home, photos, capsys):
    words = [f"--data={photos}", f"--targets={photos}", "--degrade.crop=96", "--compute.threads=1"]
    assert method_table.main(["--look", "--seeds=0", "--preset=smoke", *words]) == 0
    printed = capsys.readouterr().out
    assert "No pretraining, its compute spent on more fine-tuning" in printed and "seed)" not in printed
