"""The document model and what renderers make of its atoms."""

import math

import pytest

from iqa.report import html, latex, markdown
from iqa.report.document import Missing, Number, Quoted, Table, Text, Undefined, plain, say, slug, table_csv
from iqa.report.links import Links

URL = "http://tracking.test/#/runs/{}".format


@pytest.fixture
def links() -> Links:
    return Links(URL, {"a" * 32: "first", "b" * 32: "second"})


def number(*runs: str) -> Number:
    return Number((0.5, 0.1), "{0:.2f} ± {1:.2f}", runs, "mean", ("mean", "std"))


LONE = Number((0.7,), "{0}", ("a",), "one seed")


def test_a_number_without_a_run_cannot_be_written():
    with pytest.raises(AssertionError, match="names no run"):
        Number((0.5,), "{0}", (), "made up")


def test_a_number_that_is_not_finite_cannot_be_written():
    with pytest.raises(AssertionError, match="undefined"):
        Number((math.nan,), "{0}", ("run",), "srcc")


def test_a_negative_number_is_shown_with_a_minus_sign_and_stored_as_it_is():
    shown = Number((-0.5,), "{0:+.2f}", ("run",), "difference")
    assert shown.text == "\N{MINUS SIGN}0.50"
    assert table_csv(Table("t", (), ("d",), (((shown,),),))) == "d,to fill,runs\n-0.5,,run\n"


def test_a_scaled_number_is_stored_unscaled():
    share = Number((0.25,), "{0:.0f} %", ("run",), "share", scale=100)
    assert share.text == "25 %"
    assert "0.25" in table_csv(Table("t", (), ("d",), (((share,),),)))


def test_the_csv_has_a_column_for_each_part_and_lone_values_stand_in_the_first():
    lone = Number((0.7,), "{0}", ("b",), "one seed")
    table = Table("t", (), ("m", "x"), ((say("p"), (number("a"),)), (say("q"), (lone, Missing("run it")))))
    assert table_csv(table) == "m,x mean,x std,to fill,runs\np,0.5,0.1,,a\nq,0.7,,run it,b\n"


@pytest.mark.parametrize(
    ("cell", "header", "line"),
    [
        ((number("a"), number("a")), "x mean,x std,x 2 mean,x 2 std", "0.5,0.1,0.5,0.1"),
        ((LONE, LONE, LONE), "x,x 2,x 3", "0.7,0.7,0.7"),
        ((number("a"), LONE), "x,x mean,x std", "0.7,0.5,0.1"),
    ],
)
def test_every_number_of_a_cell_has_its_column_however_many_have_the_same_parts(cell, header, line):
    assert table_csv(Table("t", (), ("x",), ((cell,),))) == f"{header},to fill,runs\n{line},,a\n"


def test_a_row_that_does_not_fit_its_columns_is_our_own_mistake():
    with pytest.raises(AssertionError, match="2 cells"):
        Table("t", (), ("one",), ((say("a"), say("b")),))


def test_one_run_links_to_its_page_and_several_to_their_entry(links):
    assert f'href="{URL("a" * 32)}"' in html.cell((number("a" * 32),), links)
    assert 'href="#source-1"' in html.cell((number("a" * 32, "b" * 32),), links)
    assert links.groups == {("a" * 32, "b" * 32): 1}


def test_a_store_without_pages_gives_entries_instead_of_links():
    unseen = Links(lambda run: f"javascript:{run}", {})
    assert 'href="#source-1"' in html.cell((number("a"),), unseen)
    assert "javascript" not in html.source(("a",), unseen)


def test_markdown_labels_carry_the_run_or_the_number_of_its_entry(links):
    used: dict[str, str] = {}
    assert markdown.cell((number("a" * 32),), links, used) == "[0.50 ± 0.10][aaaaaaaa]"
    assert markdown.cell((number("a" * 32, "b" * 32),), links, used) == "[0.50 ± 0.10][S1]"
    assert used == {"aaaaaaaa": URL("a" * 32), "S1": "#sources"}


@pytest.mark.parametrize(
    "atom", [Text("<i>x</i>"), Quoted("<i>x</i>", "<i>x</i>"), Missing("<i>x</i>"), Undefined("<i>x</i>")]
)
def test_no_atom_brings_markup_of_its_own(links, atom):
    assert "<i>" not in html.cell((atom,), links)


def test_markdown_cells_cannot_end_early(links):
    table = Table("t", (), ("a|b",), (((Text("c|d"),),), ((Text("e|f", code=True),),)))
    for line in markdown.table(table, links, {}).splitlines():
        assert line.replace(r"\|", "").count("|") == 2


def test_neighbours_with_the_same_hole_share_one_command(links):
    hole = (Missing("run it"),)
    table = Table("t", (), ("m", "x", "y", "z"), ((say("p"), hole, hole, (number("a"),)),))
    assert [slot.span for slot in html.slots(table, table.rows[0], html.numeric_columns(table), links)] == [1, 2, 1]


def test_holes_are_set_off_from_a_value_and_say_once_what_they_are(links):
    parts = (number("a" * 32), Missing("run 1"), Missing("run 2"))
    assert plain(parts) == "0.50 ± 0.10; to fill: run 1; run 2"
    assert markdown.cell(parts, links, {}) == "[0.50 ± 0.10][aaaaaaaa]; to fill: `run 1`; `run 2`"
    assert html.cell(parts, links).count("to fill:") == 1
    assert plain(say("A: ", Missing("run 1"), ".")) == "A: to fill: run 1."
    told = latex.table(Table("t", (), ("x",), ((parts,),)))
    assert r"; \textit{to fill:} \texttt{run 1}; \texttt{run 2}" in told


def test_a_command_beside_a_value_gets_a_line_of_its_own(links):
    row = (say("p"), (number("a"), Missing("run it")), (number("a"), Missing("run it")))
    table = Table("t", (), ("m", "x", "y"), (row,))
    assert "run it" not in "".join(slot.html for slot in html.slots(table, row, html.numeric_columns(table), links))
    assert html.beside(row) == (Missing("run it"),)


def test_slugs_are_safe_in_file_names():
    assert slug("../a b/ü") == "a-b"
    assert slug("///") == "x"
