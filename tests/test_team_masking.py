"""Two reports of the same experiment are the same but for ids, dates, addresses and costs; anything else is noticed."""

import base64

import pytest

from benchmarks.team import masking

RUNS = ("0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210")


def report(
    folder, run, seconds="1.5 s", address="http://127.0.0.1:5000/#/experiments/1/", day="2026-11-28", srcc="0.9"
):
    """A report in small: every kind of file, every thing that two stores cannot share."""
    for below in ("tables", "figures"):
        (folder / below).mkdir(parents=True)
    inner = base64.b64encode(f"what,runs\nsrcc,{run}\n".encode()).decode()
    number = f"mean test/srcc,,0.9,{srcc},{run}\nmean cost/hours of 1 finetune runs,,0.{seconds[0]},{seconds},{run}\n"
    cost = "mean cost/hours of 1 finetune runs"
    links = f"[{run[:8]}]: {address}runs/{run}\n[S1]: #sources\n"
    page = f'<a href="{address}runs/{run}" title="test/srcc">{srcc}</a> '
    page += f'<a href="#source-1" title="{cost}"><span>{seconds}</span></a> '
    texts = {
        "numbers.csv": f"what,part,value,shown,runs\n{number}",
        "report.md": f"# R\n{day}: [{srcc}][{run[:8]}], [{seconds}][S1]\n\n{links}",
        "report.html": f'{page}<a href="data:text/csv;base64,{inner}">csv</a>',
        "tables/main.tex": f"model & {srcc} & {seconds} + {seconds} \\\\\n",
        "tables/main.csv": f"model,srcc,time\nA,{srcc},{seconds}\n",
        "tables/cost.csv": f"time\n{seconds}\n",
        "figures/curve.png": f"picture of {srcc}",
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_what_two_stores_cannot_share_is_masked(tmp_path):
    one = report(tmp_path / "one", RUNS[0])
    other = report(tmp_path / "two", RUNS[1], "2.5 s", "http://127.0.0.1:41234/#/experiments/7/", "2026-11-29")
    assert masking.differences(one, other) == []
    assert RUNS[0][:8] not in "".join(text.decode() for text in masking.masked(one).values())


@pytest.mark.parametrize(
    "name", ["report.md", "report.html", "tables/main.tex", "tables/main.csv", "figures/curve.png"]
)
def test_another_result_is_noticed_wherever_it_stands(tmp_path, name):
    one, other = report(tmp_path / "one", RUNS[0]), report(tmp_path / "two", RUNS[1])
    text = (other / name).read_text().replace("0.9", "0.8")
    (other / name).write_text(text)
    (said,) = masking.differences(one, other)
    assert said.startswith(f"{name}: ") and "0.8" in said


def test_a_file_that_one_of_them_lacks_is_noticed(tmp_path):
    one, other = report(tmp_path / "one", RUNS[0]), report(tmp_path / "two", RUNS[1])
    (other / "figures/curve.png").unlink()
    assert masking.differences(one, other) == ["figures/curve.png is in one of them alone"]
