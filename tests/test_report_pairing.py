"""Predictions of anybody against anybody's, and run against run."""

import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from iqa.report import ReportError, differing, latex, pairing
from iqa.report.document import Missing, Number, Table, say


@pytest.fixture
def files(tmp_path):
    def write(name, lines, header="image,mos,pred"):
        (tmp_path / name).write_text("\n".join([header, *lines]) + "\n")
        return tmp_path / name

    return write


def rows(shift):
    return [f"{i:02d}.png,{i / 20},{i / 20 + shift * ((i * 7) % 5) / 10}" for i in range(20)]


def test_two_files_are_compared_by_the_verdicts_statistic(files):
    said = list(pairing.compare([files("a.csv", rows(0.1))], [files("b.csv", rows(1.0))], resamples=50))
    assert said[0] == "20 images, 20 units, 1 seed pair"
    assert any(line.startswith("ΔSRCC +") and "95% interval" in line for line in said)
    assert any(line.startswith("mark: ?") for line in said)


def test_the_order_of_the_lines_does_not_matter(files):
    one, other = files("a.csv", rows(0.1)), files("b.csv", rows(1.0)[::-1])
    turned = files("c.csv", rows(1.0))
    assert list(pairing.compare([one], [other], 50)) == list(pairing.compare([one], [turned], 50))


def test_columns_are_found_by_their_usual_names_and_missing_ones_are_named(files):
    assert len(pairing.read(files("a.csv", rows(0), "filename,score,prediction")).paths) == 20
    with pytest.raises(ReportError, match="lacks score"):
        pairing.read(files("b.csv", rows(0), "image,foo,pred"))
    with pytest.raises(ReportError, match="lacks score.* A dmos may mean that lower is better: name it score if"):
        pairing.read(files("c.csv", rows(0), "image,dmos,pred"))


def test_scores_that_run_against_both_predictions_are_pointed_out(files):
    turned = [line.rpartition(",")[0] + f",{-float(line.rpartition(',')[2])}" for line in rows(0.1)]
    one, other, against = files("a.csv", rows(0.1)), files("b.csv", rows(0.2)), files("c.csv", turned)
    warned = [
        any("the better side is the other one" in line for line in pairing.compare([first], [second], 50))
        for first, second in ((one, other), (one, against), (against, against))
    ]
    assert warned == [False, False, True]


def test_files_of_other_images_or_other_scores_are_refused(files):
    one = files("a.csv", rows(0.1))
    with pytest.raises(ReportError, match="differ in 1 images"):
        list(pairing.compare([one], [files("b.csv", rows(0.1)[1:])]))
    with pytest.raises(ReportError, match="different scores"):
        list(pairing.compare([one], [files("c.csv", [line.replace(",0.5,", ",0.9,") for line in rows(0.1)])]))
    with pytest.raises(ReportError, match="1 and 2 files"):
        list(pairing.compare([one], [one, one]))


def grouped(shift, group):
    return [f"{line},{group(i)}" for i, line in enumerate(rows(shift))]


def test_units_are_those_of_whichever_file_names_them_in_whichever_order(files):
    """Else the interval would depend on which file is named first."""
    told = files("a.csv", grouped(0.1, lambda i: f"g{i // 5}"), "image,mos,pred,group")
    bare = files("b.csv", rows(1.0))
    for pair in ((told, bare), (bare, told)):
        assert next(pairing.compare([pair[0]], [pair[1]], 50)) == "20 images, 4 units, 1 seed pair"
    other = files("c.csv", grouped(1.0, lambda i: f"g{i // 4}"), "image,mos,pred,group")
    with pytest.raises(ReportError, match="different units"):
        list(pairing.compare([told], [other]))


def test_one_run_given_thrice_is_no_three_seeds(files):
    one, other = files("a.csv", rows(0.01)), files("b.csv", [f"{i:02d}.png,{i / 20},{i % 3}" for i in range(20)])
    said = list(pairing.compare([one] * 3, [other] * 3, 50))
    assert any(line.startswith("mark: ?") for line in said)
    assert any("more than once in treatment and baseline" in line for line in said)


def seed(of, spread):
    return [f"{i:02d}.png,{i / 20},{i / 20 + spread * ((i * 7 + of) % 5) / 10}" for i in range(20)]


@pytest.mark.parametrize(
    ("pairs", "says"),
    [
        (2, r"mark: \? \(as the only claim; fewer than three seed pairs are always \?\)"),
        (3, r"mark: .* \(as the only claim; made with p [\d.e-]+ at 4 degrees of freedom: .*\)"),
        (6, r"mark: .* \(as the only claim\)"),
    ],
)
def test_the_p_that_a_mark_is_made_with_is_told_where_it_is_not_the_intervals(files, pairs, says):
    sides = [
        [files(f"{name}{of}.csv", seed(of, wide)) for of in range(pairs)] for name, wide in (("a", 0.2), ("b", 2.0))
    ]
    (told,) = [line for line in pairing.compare(*sides, 50) if line.startswith("mark: ")]
    assert re.fullmatch(says, told), told


def test_equal_models_have_equal_errors(files):
    one = files("a.csv", rows(0.1))
    assert list(pairing.compare([one], [one], 50))[-1].endswith("(treatment): equal errors, p 1")


def test_one_image_and_values_that_overflow_are_refused(files):
    for count in (1, 2):
        few = [files("a.csv", rows(0)[:count])], [files("b.csv", rows(1)[:count])]
        with pytest.raises(ReportError, match=f"names {count} images: a correlation needs three at least"):
            list(pairing.compare(*few))
    with pytest.raises(ReportError, match="line 2: the score is '1e308': give a number below 1e\\+100"):
        pairing.read(files("c.csv", ["a.png,1e308,1", "b.png,-1e308,1"]))


def test_an_image_named_twice_and_a_word_for_a_number_are_refused(files):
    with pytest.raises(ReportError, match="more than once"):
        pairing.read(files("a.csv", [*rows(0), rows(0)[0]]))
    with pytest.raises(ReportError, match="line 2: the prediction is 'high': give a number"):
        pairing.read(files("b.csv", ["a.png,0.1,high"]))


def test_two_runs_differ_in_what_they_were_told_and_what_came_out(tmp_path):
    (tmp_path / "environment.txt").write_text("# python 3.11\nnumpy==2.4.6\n")
    shared = {"name": "x", "tags": {"git.commit": "c0ffee", "other": "1"}}
    params = {"seed": "0", "data.name": "koniq"}
    one = SimpleNamespace(
        run_id="1", params=params | {"lr": "1"}, metrics={"test/s/srcc": 0.5, "system/x": 1.0}, **shared
    )
    params |= {"lr": "2", "data.name": "spaq"}
    other = SimpleNamespace(run_id="2", params=params, metrics={"test/s/srcc": 0.75, "system/x": 2.0}, **shared)
    said = list(differing.differences(one, other, lambda run, path: tmp_path / Path(path).name))
    assert "config: 1 of 2 differ" in said and "  lr: 1 → 2" in said
    assert "data: 1 of 1 differ" in said and "  data.name: koniq → spaq" in said
    assert not any("declaration" in line or "system/" in line for line in said)
    assert "environment: 0 of 2 differ" in said and "code and machine: 0 of 1 differ" in said
    assert "  test/s/srcc: 0.5 → 0.75 (+0.25)" in said


def test_two_experiments_differ_in_what_they_declare(tmp_path):
    one = {"seeds": [0, 1], "arms": {"baseline": {"title": "ImageNet"}}, "runs": {"a": "1"}}
    other = one | {"seeds": [0, 1, 2], "arms": {"baseline": {"title": "random"}}, "runs": {"a": "2"}}
    for run, told in (("1", one), ("2", other)):
        (tmp_path / run / "report").mkdir(parents=True)
        (tmp_path / run / "report" / "experiment.json").write_text(json.dumps(told))
    rows = [SimpleNamespace(run_id=run, name="x", params={}, tags={}, metrics={}) for run in ("1", "2")]
    said = list(differing.differences(*rows, lambda run, path: tmp_path / run / path))
    assert said[1:4] == [
        "declaration: 2 of 4 differ",
        "  arms.baseline.title: ImageNet → random",
        "  seeds.2: (none) → 2",
    ]


def test_a_table_becomes_latex_in_which_nothing_is_special():
    number = Number((0.5, 0.1), "{0:.2f} ± {1:.2f}", ("r",), "x", ("mean", "std"))
    rows = ((say("50% & a_b"), (number,)), (say("–"), (Missing("iqa run --a=#1"),)))
    text = latex.table(Table("t", say("Δ"), ("Model", "SRCC"), rows))
    assert r"50\% \& a\_b & 0.50 $\pm$ 0.10 \\" in text and r"\texttt{iqa run --a=\#1}" in text
    assert text.count(r"\begin{") == text.count(r"\end{") == 2
