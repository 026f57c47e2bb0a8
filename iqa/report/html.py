"""Document → one HTML file that needs nothing else: styles, figures and data inside, no script, no request.

`environment` and `picture` are what every page is made with, the contact sheet too.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from markupsafe import Markup, escape

from iqa.report.document import (
    Cell,
    Code,
    Document,
    Figure,
    Missing,
    Number,
    Paragraph,
    Quoted,
    Section,
    Table,
    Text,
    Undefined,
    csv_text,
    led,
    table_csv,
)
from iqa.report.links import Links

KINDS = {Paragraph: "paragraph", Code: "code", Table: "table", Figure: "figure"}


@dataclass(frozen=True)
class Slot:
    """A table cell as the page needs it: merged over `span` columns, `label` for narrow screens."""

    html: Markup
    label: str
    span: int
    kind: str  # num | empty num | empty | ''


def render(document: Document, links: Links) -> str:
    """The page. Everything is escaped; what is linked, is linked to the tracking store or inside the page."""
    templates = environment(
        cell=partial(cell, links=links),
        slots=partial(slots, links=links),
        beside=beside,
        kind=lambda block: KINDS[type(block)],
        png=lambda panel: picture(panel.png, "png"),
        data=data_uri,
        source=partial(source, links=links),
        anchor=anchor,
        numeric=numeric_columns,
        figure_source=lambda block: (Text("source", block.runs),),
        folds=_groups,
    )
    # the body comes first: only then is it known which groups of runs the list of sources has to hold
    body = templates.get_template("body.html").render(document=document)
    return templates.get_template("page.html").render(document=document, body=Markup(body), links=links)


def environment(**functions: Any) -> Any:
    """Jinja's environment with the templates of this folder: everything is escaped, a missing name is an error."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    found = Environment(
        loader=PackageLoader("iqa.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    found.globals.update(functions)
    return found


def picture(content: bytes, kind: str) -> Markup:
    """A picture as the address of itself; kind: png, jpeg."""
    return Markup(f"data:image/{kind};base64,{base64.b64encode(content).decode()}")


def cell(parts: Cell, links: Links) -> Markup:
    """Atoms as markup."""
    return Markup("").join(
        Markup('<span class="hole">{}<code>{}</code></span>').format(lead, part.command)
        if isinstance(part, Missing)
        else _atom(part, links)
        for lead, part in led(parts)
    )


def slots(table: Table, row: Sequence[Cell], upright: Sequence[bool], links: Links) -> list[Slot]:
    """A row's cells; neighbours with the same hole become one, so that its command has room.

    upright: which columns hold numbers.
    """
    found: list[Slot] = []
    column = 0
    while column < len(row):
        span = 1
        while _hole(row[column]) and column + span < len(row) and row[column + span] == row[column]:
            span += 1
        label = " · ".join(table.columns[column : column + span]) if span < 3 else "to fill"
        found.append(Slot(cell(_shown(row[column]), links), label, span, _kind(row[column], upright[column])))
        column += span
    return found


def numeric_columns(table: Table) -> list[bool]:
    """Which columns hold numbers, so that their headings stand over them."""
    filled = [[row[i] for row in table.rows if not _hole(row[i])] for i in range(len(table.columns))]
    return [bool(cells) and all(_numeric(one) for one in cells) for cells in filled]


def source(runs: tuple[str, ...], links: Links) -> Markup:
    """The runs of an entry in the list of sources, each with its link where it has a page."""
    parts = []
    for run in runs:
        name = Markup("{} <code>{}</code>").format(links.name(run), run)
        address = links.page(run)
        parts.append(Markup('<a href="{}">{}</a>').format(address, name) if address else name)
    return Markup(", ").join(parts)


def data_uri(block: Table | Figure) -> str:
    """The numbers behind a table or figure as a csv that the page carries with it."""
    text = table_csv(block) if isinstance(block, Table) else csv_text(block.header, block.data)
    return "data:text/csv;base64," + base64.b64encode(text.encode()).decode()


def anchor(title: str) -> str:
    """A heading's address inside the page."""
    return "-".join("".join(char.lower() if char.isalnum() else " " for char in title).split())


def _atom(atom: Text | Number | Quoted | Undefined, links: Links) -> Markup:
    if isinstance(atom, Undefined):
        inner = Markup('<span class="undefined">undefined</span>')
        linked = _linked(inner, atom.runs, atom.reason, links) if atom.runs else inner
        return Markup('{} <small class="reason">{}</small>').format(linked, atom.reason)
    if isinstance(atom, Quoted):
        return Markup('<span class="quoted" title="quoted from {}, not re-run">{}</span>').format(
            atom.source, atom.text
        )
    if isinstance(atom, Number):
        value, sign, rest = atom.text.partition(" ± ")
        spread = Markup('<span class="pm">{}</span>').format(sign + rest) if sign else ""
        return _linked(Markup('<span class="n">{}{}</span>').format(value, spread), atom.runs, atom.what, links)
    return _text(atom, links)


def _text(atom: Text, links: Links) -> Markup:
    inner = escape(atom.text)
    for tag, wanted in (("code", atom.code), ("strong", atom.strong)):
        inner = Markup(f"<{tag}>{{}}</{tag}>").format(inner) if wanted else inner
    return _linked(inner, atom.runs, "", links) if atom.runs else inner


def _linked(inner: Markup, runs: tuple[str, ...], what: str, links: Links) -> Markup:
    title = ": ".join(filter(None, (what, links.words(runs))))
    return Markup('<a class="v" href="{}" title="{}">{}</a>').format(links.href(runs), title, inner)


def _hole(parts: Cell) -> bool:
    return len(parts) == 1 and isinstance(parts[0], Missing | Undefined)


def _numeric(parts: Cell) -> bool:
    first: Any = parts[0] if parts else Text("")
    return isinstance(first, Number | Quoted) or (isinstance(first, Text) and first.text == "–")


def _shown(parts: Cell) -> Cell:
    """A cell without the commands that stand beside its value: those get a line of their own."""
    return parts if _hole(parts) else tuple(part for part in parts if not isinstance(part, Missing))


def beside(row: Sequence[Cell]) -> Cell:
    """The commands of a row that stand beside values, each once."""
    found = [part for parts in row if not _hole(parts) for part in parts if isinstance(part, Missing)]
    return tuple(dict.fromkeys(found))


def _kind(parts: Cell, numeric: bool) -> str:
    """The classes of a cell: numbers to the right, and so are blanks among numbers."""
    blank = len(parts) == 1 and parts[0] == Text("–")
    return " ".join(["empty"] * blank + ["num"] * ((numeric and not _hole(parts)) or (_numeric(parts) and not blank)))


def _groups(section: Section) -> list[tuple[bool, list[Any]]]:
    """Blocks in order, neighbouring list items together, so that they share a list."""
    groups: list[tuple[bool, list[Any]]] = []
    for block in section.blocks:
        item = isinstance(block, Paragraph) and block.kind == "item"
        if item and groups and groups[-1][0]:
            groups[-1][1].append(block)
        else:
            groups.append((item, [block]))
    return groups
