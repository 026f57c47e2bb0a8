"""Document → Markdown (GitHub's dialect) beside its figure files; every number carries its run."""

import re

from iqa.report.document import (
    Atom,
    Block,
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
    led,
)
from iqa.report.links import Links

_SPECIAL = re.compile(r"([\\`*_\[\]<>|#~])")


def render(document: Document, links: Links) -> str:
    """The text. A number of one run is a link labelled with the run, of several with their entry in Sources."""
    used: dict[str, str] = {}
    parts = [f"# {_escaped(document.title)}"]
    parts += [f"> **{_escaped(document.banner)}**"] if document.banner else []
    parts.append(cell(document.headline, links, used))
    parts += [_section(section, 2, links, used) for section in document.sections]
    parts.append(_sources(links))
    parts.append("\n".join(f"[{label}]: {address}" for label, address in sorted(used.items())))
    return "\n\n".join(part for part in parts if part) + "\n"


def cell(parts: Cell, links: Links, used: dict[str, str]) -> str:
    """Atoms as inline Markdown; `used` collects label → address of the links."""
    return "".join(lead + _atom(part, links, used) for lead, part in led(parts))


def table(block: Table, links: Links, used: dict[str, str]) -> str:
    """A table with its header, without its caption."""
    lines = [list(map(_escaped, block.columns)), ["---"] * len(block.columns)]
    lines += [[cell(parts, links, used).replace("\n", " ") for parts in row] for row in block.rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _section(section: Section, level: int, links: Links, used: dict[str, str]) -> str:
    text = f"{'#' * level} {_escaped(section.title)}"
    listed = False
    for block in section.blocks:
        item = isinstance(block, Paragraph) and block.kind == "item"
        text += ("\n" if item and listed else "\n\n") + _block(block, links, used)
        listed = item
    return "\n\n".join([text, *(_section(part, level + 1, links, used) for part in section.sections)])


def _block(block: Block, links: Links, used: dict[str, str]) -> str:
    if isinstance(block, Code):
        return f"```{block.language}\n{block.text}\n```"
    if isinstance(block, Table):
        return f"{cell(block.caption, links, used)} ([csv](tables/{block.name}.csv))\n\n{table(block, links, used)}"
    if isinstance(block, Figure):
        pictures = [f"![{_escaped(one.alt)}](figures/{block.name}-{one.name}.png)" for one in block.panels]
        source = _linked("source", block.runs, links, used)
        return "\n\n".join([*pictures, f"{_escaped(block.caption)} ({source}, [csv](figures/{block.name}.csv))"])
    return ("- " if block.kind == "item" else "") + cell(block.parts, links, used)


def _atom(atom: Atom, links: Links, used: dict[str, str]) -> str:
    if isinstance(atom, Missing):
        return _code(atom.command)
    if isinstance(atom, Undefined):
        word = _linked("undefined", atom.runs, links, used) if atom.runs else "undefined"
        return f"{word} ({_escaped(atom.reason)})"
    if isinstance(atom, Quoted):
        return f"*{_escaped(atom.text)}*"
    if isinstance(atom, Number):
        return _linked(_escaped(atom.text), atom.runs, links, used)
    return _text(atom, links, used)


def _text(atom: Text, links: Links, used: dict[str, str]) -> str:
    inner = _code(atom.text) if atom.code else _escaped(atom.text)
    if atom.strong and inner.strip():
        body = inner.strip()
        inner = inner.replace(body, f"**{body}**")
    return _linked(inner, atom.runs, links, used) if atom.runs else inner


def _linked(inner: str, runs: tuple[str, ...], links: Links, used: dict[str, str]) -> str:
    address, label = links.href(runs), links.label(runs)
    used[label] = "#sources" if address.startswith("#") else address
    return f"[{inner}][{label}]"


def _sources(links: Links) -> str:
    if not links.groups:
        return ""
    lines = [f"- **S{number}**: {', '.join(_run(run, links) for run in runs)}" for runs, number in links.groups.items()]
    return "\n".join(["## Sources", "", *lines])


def _run(run: str, links: Links) -> str:
    name, address = f"{_escaped(links.name(run))} `{run}`", links.page(run)
    return f"[{name}]({address})" if address else name


def _code(text: str) -> str:
    """A code span; a pipe would end a table's cell, so it is written as GitHub wants it there."""
    fence = "``" if "`" in text else "`"
    pad = " " if "`" in text else ""
    return fence + pad + text.replace("\n", " ").replace("|", r"\|") + pad + fence


def _escaped(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", text)
