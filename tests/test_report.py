"""The whole report on a toy experiment: files, links, bytes, and what stands in the place of what is missing."""

import html
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from report_toy import EXPERIMENT, HOST, Store, make

from iqa import report
from iqa.report import kept, setup


class Links(HTMLParser):
    """Every address that a page loads (src, css) or links to, and its images' alternatives."""

    def __init__(self, page: str):
        super().__init__()
        self.loads, self.links, self.alts, self.values = [], [], [], []
        self.ids, self.inside = set(), 0
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        found = dict(attrs)
        self.ids |= {found["id"]} if "id" in found else set()
        if tag == "a":
            self.links.append(found["href"])
        elif "href" in found:
            self.loads.append(found["href"])
        self.loads += [found["src"]] if "src" in found else []
        self.alts += [found.get("alt", "")] if tag == "img" else []
        self.inside += tag == "a"
        if found.get("class") == "n":
            self.values.append(bool(self.inside))

    def handle_endtag(self, tag: str) -> None:
        self.inside -= tag == "a"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return make(tmp_path)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, report.Report]:
    """One report for all tests that only read it."""
    folder = tmp_path_factory.mktemp("report")
    made = make(folder)
    return made, made.build(folder / "out")


@pytest.fixture
def page(built) -> Links:
    return Links(built[1].html.read_text())


def test_the_same_runs_in_another_order_give_the_same_bytes_drawn_anew(built, tmp_path, monkeypatch):
    store, first = built
    monkeypatch.setattr(kept, "folder", lambda: store.folder / "others")
    again = Store(store.folder)
    again.rows, again.curves = store.rows[::-1], store.curves
    again.build(tmp_path)
    files = sorted(path.relative_to(first.folder) for path in first.folder.rglob("*.*"))
    assert len(files) > 30
    for file in files:
        assert (first.folder / file).read_bytes() == (tmp_path / file).read_bytes(), file


def test_every_number_on_the_page_lies_in_a_link(page):
    assert len(page.values) > 80
    assert all(page.values)


def test_links_lead_to_the_tracking_store_or_into_the_page(page):
    outside = [link for link in page.links if not link.startswith(("#", "data:text/csv"))]
    assert len(outside) > 15
    assert all(link.startswith(f"{HOST}/#/experiments/1/runs/") for link in outside)
    assert {link[1:] for link in page.links if link.startswith("#")} <= page.ids


def test_the_page_loads_nothing_from_outside_itself(page):
    assert page.loads
    assert all(address.startswith("data:") for address in page.loads)


def test_every_picture_has_words_in_its_place(page):
    assert len(page.alts) == 17
    assert all(len(alt) > 20 for alt in page.alts)


def test_no_name_or_note_brings_markup_of_its_own(store, tmp_path):
    arms = EXPERIMENT["arms"] | {"baseline": {"title": '"><i>arm</i>'}}
    written = store.build(tmp_path / "out", title="<i>title</i>", arms=arms, targets=[])
    for text in (written.html.read_text(), written.markdown.read_text().replace("\\<", "")):
        assert "<b>not</b>" not in text
        assert "<i>" not in text


def test_markdown_defines_every_label_that_it_uses_and_names_every_run(built):
    store, written = built
    text = written.markdown.read_text()
    used = set(re.findall(r"\]\[(\w+)\]", text))
    assert used == set(re.findall(r"^\[(\w+)\]: ", text, re.MULTILINE))
    assert all(row.run_id in text for row in store.rows)


def test_every_figure_lies_beside_its_data(built):
    figures = built[1].folder / "figures"
    pictures, data = {path.name for path in figures.glob("*.png")}, {path.stem for path in figures.glob("*.csv")}
    assert len(pictures) == 17
    assert {next(stem for stem in data if name.startswith(stem)) for name in pictures} == data


def test_pictures_carry_no_metadata_that_could_differ(built):
    for picture in (built[1].folder / "figures").glob("*.png"):
        assert b"tEXt" not in picture.read_bytes()


def test_every_number_of_the_report_is_listed_with_its_runs(built):
    store, written = built
    lines = (written.folder / "numbers.csv").read_text().splitlines()
    ids = {row.run_id for row in store.rows}
    assert len(lines) > 100
    assert all(set(line.rsplit(",", 1)[1].split()) <= ids for line in lines[1:])


def test_the_page_says_when_it_is_a_demonstration(built):
    assert "biased towards pretraining" in built[1].html.read_text()
    assert "biased towards pretraining" in built[1].markdown.read_text()


def test_an_experiment_that_is_none_says_nothing_of_demonstrations(store, tmp_path):
    real = store.build(tmp_path / "out", demonstration=False, targets=[])
    assert "emonstration" not in real.html.read_text() + real.headline


def test_a_notice_of_copyright_stands_whole_where_a_set_has_one(store, tmp_path):
    notice = "Copyright (c) 2015 Somebody\n\nAll rights <reserved>."
    with_one = store.build(tmp_path / "one", notices={"sample": notice}, targets=[])
    page = html.unescape(with_one.html.read_text())
    assert notice in page and notice in with_one.markdown.read_text()
    assert "Notices of copyright" not in store.build(tmp_path / "none", targets=[]).html.read_text()


def test_of_many_different_values_the_first_and_the_last_are_shown(store, monkeypatch):
    monkeypatch.setattr(setup, "MOST", 2)
    rows = [row for row in store.rows if row.tags["stage"] == "finetune" and row.tags["arm"] == "baseline"]
    for name, row in zip("abc", rows, strict=True):
        row.params["model.weights"] = f"runs:/{name * 32}/encoder"
    evidence = store.evidence()
    (told,) = (one for one in setup.methodology(evidence).sections[1].blocks if one.parts[0].text == "Model: ")
    assert "runs:/aaaaaaaa…/encoder / … 1 more … / runs:/cccccccc…/encoder" in "".join(part.text for part in told.parts)


def test_the_caller_gets_what_the_parent_run_carries(built):
    written = built[1]
    for arm in EXPERIMENT["arms"]:
        assert {f"arm/{arm}/srcc/mean", f"arm/{arm}/srcc/std", f"arm/{arm}/srcc_interval/low"} <= set(written.metrics)
    names = {f"delta/pretraining/{name}/srcc/mean" for name in ("sample", "optics", "sensor", "targets")}
    assert names <= set(written.metrics)
    assert all(math.isfinite(value) for value in written.metrics.values())
    assert written.headline in written.markdown_summary
    assert written.missing == ()


def test_without_any_run_every_result_is_the_experiments_command_and_nothing_is_a_number(store, tmp_path):
    store.rows = []
    written = store.build(tmp_path / "out")
    assert written.missing == ("mlflow run . -P preset=smoke -P experiment=toy",)
    page = Links(written.html.read_text())
    assert page.values == []
    assert page.alts == []
    assert "mlflow run ." in written.headline
    assert written.metrics == {}


def test_holes_show_their_command_or_their_reason_in_both_forms(store, tmp_path):
    store.without("finetune", "pretrained", 1)
    failed = store.run("finetune", "baseline", 2)
    tags = failed.tags | {"iqa.reason": "the loss is not finite"}
    store.rows[store.rows.index(failed)] = replace(failed, status="FAILED", tags=tags)
    store.run("evaluate", "baseline", 0).metrics["test/optics/srcc"] = math.nan
    command = "mlflow run . -e finetune -P seed=1"
    written = store.build(tmp_path / "out", commands={report.titled("finetune", "pretrained", 1): command})
    assert set(written.missing) == {command, "mlflow run . -P preset=smoke -P experiment=toy"}
    for text in (written.html.read_text(), written.markdown.read_text().replace("\\_", "_")):
        assert command in text
        assert "the loss is not finite" in text
        assert "the run logged test/optics/srcc as not a number" in text


def test_a_report_that_is_written_again_leaves_no_old_figures_behind(built, tmp_path):
    store, _ = built
    empty = Store(store.folder)
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "old.png").write_bytes(b"")
    (tmp_path / "figures" / "mine.txt").write_text("not the report's")
    empty.build(tmp_path)
    assert [path.name for path in (tmp_path / "figures").iterdir()] == ["mine.txt"]


def test_dollars_in_a_name_are_no_mathematics(store, tmp_path):
    arms = EXPERIMENT["arms"] | {"baseline": {"title": "a $\\frac{1}$ name"}}
    assert "a $\\frac{1}$ name" in store.build(tmp_path / "out", arms=arms, targets=[]).html.read_text()


def test_an_experiment_that_lacks_something_is_refused_in_one_sentence_and_nothing_is_written(store, tmp_path):
    with pytest.raises(report.ReportError, match="declares no arms, no data"):
        store.build(tmp_path / "out", arms={}, data="")
    with pytest.raises(report.ReportError, match="names the arm 'nobody'"):
        store.build(tmp_path / "out", contrasts=[{"name": "c", "treatment": "nobody", "baseline": "baseline"}])
    assert not (tmp_path / "out").exists()
