"""The simulation behind the documentation's coverage table, in small."""

import math

import pytest

from benchmarks import statistics_simulation as simulation


def test_the_settings_are_those_that_were_asked_for():
    asked = {(s.S, s.ratio, s.n) for s in simulation.settings() if s.sets == 1}
    assert asked == {(s, r, n) for s in (3, 6, 8) for r in (0, 1, 4) for n in (84, 200, 2015)}


@pytest.mark.parametrize("ratio", [1.0, 4.0])
def test_the_interval_covers_where_one_factor_alone_does_not(ratio):
    row = simulation.simulate(simulation.Setting(6, ratio, 200), 600, seed=1)
    assert 92 <= row.coverage <= 98.5  # 600 experiments: one standard deviation is 0.9
    assert min(row.images_alone, row.seeds_alone) < row.coverage - 2
    assert abs(row.images_alone - {1.0: 88, 4.0: 69}[ratio]) < 5  # the spread of seeds is what the ratio says
    assert row.false_better <= 6  # 150 families: at most 5% asked, one standard deviation is 1.3 at 2.5%


def test_a_true_difference_is_covered_too():
    row = simulation.simulate(simulation.Setting(6, 1.0, 84), 300, delta=0.02)
    assert 91 <= row.coverage <= 99.5 and math.isnan(row.false_better)


def test_the_model_has_the_differences_it_claims():
    found = [simulation.experiment(simulation.Setting(8, 0.0, 2015), 0, k, delta=0.02).delta for k in range(40)]
    assert sum(found) / 40 == pytest.approx(0.02, abs=0.002)


@pytest.mark.parametrize(
    ("pairs", "ratio", "n", "coverage", "expected"),
    [
        (3, 1, 200, 80, "shown"),
        (6, 1, 200, 95, "met"),
        (6, 1, 200, 97.4, "MISSED: above 97"),
        (6, 0, 200, 98, "met, above 97"),
        (8, 4, 84, 97.5, "met, above 97"),
        (8, 0, 84, 92.9, "MISSED: below 93"),
    ],
)
def test_the_verdict_on_a_coverage_is_what_was_asked(pairs, ratio, n, coverage, expected):
    assert simulation.verdict(simulation.Setting(pairs, ratio, n), coverage) == expected


def test_the_command_writes_the_table_twice_the_same(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(
        simulation, "settings", lambda: [simulation.Setting(3, 0.0, 20), simulation.Setting(6, 1.0, 20, 2)]
    )
    pages = []
    for folder in (tmp_path / "a", tmp_path / "b"):
        monkeypatch.setattr("sys.argv", ["statistics_simulation", "--experiments", "8", "--out", str(folder)])
        simulation.main()
        results = (folder / "benchmarks" / "results" / "statistics_simulation.csv").read_text()
        pages.append((results, (folder / "docs" / "statistics-simulation.md").read_text()))
    assert pages[0] == pages[1] and results.count("\n") == 3
    assert "| 2×20 | 1 | 6 |" in pages[0][1] and "2×20" in capsys.readouterr().out
