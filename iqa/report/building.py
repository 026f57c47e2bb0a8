"""Runs → the report's files: HTML, Markdown, figures, tables, numbers. Same inputs, same bytes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iqa.report import bundle, claims, html, latex, markdown, results, verdicts
from iqa.report.composing import compose, summary
from iqa.report.document import (
    Document,
    Figure,
    Number,
    Table,
    csv_text,
    missing,
    numbers,
    plain,
    table_csv,
    walk,
)
from iqa.report.evidence import Evidence, Fetch, History, ReportError, Row
from iqa.report.links import Links


@dataclass(frozen=True)
class Report:
    """What was written, and what its caller wants to say about it.

    headline: one sentence with the mark; markdown_summary: the headline and the main table, for the parent run's
    description; metrics: name → value, for the parent run; missing: the commands that would fill the holes.
    """

    folder: Path
    html: Path
    markdown: Path
    headline: str
    markdown_summary: str
    metrics: dict[str, float]
    missing: tuple[str, ...]


def build(
    rows: Sequence[Row],
    history: History,
    fetch: Fetch,
    experiment: Mapping[str, Any],
    url: Callable[[str], str],
    folder: Path,
) -> Report:
    """Write folder/report.html, report.md, figures/, tables/ and numbers.csv. Same inputs, same bytes.

    history(run id, key) → [(step, value)]; fetch(run id, artifact path) → local file, OSError or ValueError if there
    is none; url(run id) → the run's page; experiment: name, preset, demonstration, arms {arm: {"title",
    "pretrain"}}, seeds, contrasts, data, targets, commands {titled(stage, arm, seed): command}, notes; also title,
    command (of the whole experiment) and failed (sentences).
    """
    evidence = _checked(rows, history, fetch, experiment)
    comparisons, decided = claims.compare(evidence), verdicts.decide(evidence)
    document = compose(evidence, comparisons, decided)
    names = {row.run_id: row.name for row in rows}
    page, text = html.render(document, Links(url, names)), markdown.render(document, Links(url, names))
    _write(folder, document, page, text)
    told = dict(experiment) | {"rows": sorted(names)}
    _text(folder / bundle.EXPERIMENT, bundle.declared(told))
    return Report(
        folder=folder,
        html=folder / "report.html",
        markdown=folder / "report.md",
        headline=plain(document.headline),
        markdown_summary=summary(evidence, document),
        metrics=results.headline_metrics(evidence, comparisons),
        missing=missing(document),
    )


def unlinked(
    rows: Sequence[Row], history: History, fetch: Fetch, experiment: Mapping[str, Any], folder: Path
) -> Report:
    """`build` without the addresses of the runs' pages."""
    return build(rows, history, fetch, experiment, no_page, folder)


def no_page(run: str) -> str:
    """The address of a run's page where none is shown."""
    return ""


def _checked(rows: Sequence[Row], history: History, fetch: Fetch, experiment: Mapping[str, Any]) -> Evidence:
    """The evidence, once the experiment says what a report needs; raises ReportError naming what it lacks."""
    lacking = [key for key in ("name", "arms", "seeds", "data") if not experiment.get(key)]
    if lacking:
        raise ReportError(f"The experiment declares no {', no '.join(lacking)}: add it to the experiment's file.")
    arms = list(experiment["arms"])
    sides = {*arms, *experiment.get("groups", {})}
    for contrast in experiment.get("contrasts", ()):
        strange = [contrast[side] for side in ("treatment", "baseline") if contrast[side] not in sides]
        if strange:
            raise ReportError(f"Contrast {contrast['name']} names the arm '{strange[0]}'; there are {', '.join(arms)}.")
    return Evidence(rows, history, fetch, experiment)


def _write(folder: Path, document: Document, page: str, text: str) -> None:
    """All files; figures and tables of an earlier report do not stay behind."""
    for part in ("figures", "tables"):
        (folder / part).mkdir(parents=True, exist_ok=True)
        for old in sorted(file for file in (folder / part).iterdir() if file.suffix in (".png", ".csv", ".tex")):
            old.unlink()
    for block in walk(document.sections):
        if isinstance(block, Figure):
            for panel in block.panels:
                (folder / "figures" / f"{block.name}-{panel.name}.png").write_bytes(panel.png)
            _text(folder / "figures" / f"{block.name}.csv", csv_text(block.header, block.data))
        elif isinstance(block, Table):
            _text(folder / "tables" / f"{block.name}.csv", table_csv(block))
            _text(folder / "tables" / f"{block.name}.tex", latex.table(block))
    _text(folder / "numbers.csv", _numbers_csv(numbers(document)))
    _text(folder / "report.md", text)
    _text(folder / "report.html", page)


def _numbers_csv(found: Sequence[Number]) -> str:
    """Every number of the report with its computation and its runs: what a checker recomputes."""
    lines = [
        (one.what, part, value, one.text, " ".join(one.runs))
        for one in found
        for part, value in zip(one.parts, one.values, strict=True)
    ]
    return csv_text(("what", "part", "value", "shown", "runs"), lines)


def _text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")
