"""The report: rows and artifacts → tables, figures, marks → HTML, Markdown, LaTeX, CSV. It never loads a model.

evidence (which run stands in which place), setup · results · training · analysis · cost · looks · appendix (the
sections), verdicts and claims (marks), figures · plots · pictures, document → html · markdown · latex, provenance
and links, checking and bundle, pairing and differing (`iqa compare`).
"""

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from iqa.report import (
    analysis,
    appendix,
    bundle,
    checking,
    choosing,
    claims,
    cost,
    figures,
    html,
    latex,
    markdown,
    provenance,
    results,
    setup,
    training,
    verdicts,
)
from iqa.report.claims import Comparison
from iqa.report.document import (
    Cell,
    Document,
    Figure,
    Number,
    Table,
    csv_text,
    missing,
    numbers,
    plain,
    say,
    table_csv,
    walk,
)
from iqa.report.evidence import Evidence, Fetch, History, ReportError, Row, describe
from iqa.report.links import Links
from iqa.report.verdicts import Verdict

__all__ = ["Report", "ReportError", "build", "check", "check_bundle", "describe", "headline", "pack"]

BIASED = (
    "demonstration: synthetic pseudo-scores, and pretraining shares the degradations that made them; "
    "this demo is biased towards pretraining"
)


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
    "pretrain"}}, seeds, contrasts, data, targets, commands {describe(stage, arm, seed): command}, notes; also title,
    command (of the whole experiment) and failed (sentences).
    """
    evidence = _checked(rows, history, fetch, experiment)
    comparisons, decided = claims.compare(evidence), verdicts.decide(evidence)
    document = compose(evidence, comparisons, decided)
    names = {row.run_id: row.name for row in rows}
    page, text = html.render(document, Links(url, names)), markdown.render(document, Links(url, names))
    _write(folder, document, page, text)
    told = dict(experiment) | {"rows": sorted(names)}
    _text(folder / bundle.EXPERIMENT, json.dumps(told, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
    return Report(
        folder=folder,
        html=folder / "report.html",
        markdown=folder / "report.md",
        headline=plain(document.headline),
        markdown_summary=_summary(evidence, document),
        metrics=results.headline_metrics(evidence, comparisons),
        missing=missing(document),
    )


def check(folder: Path, rows: Sequence[Row], history: History, fetch: Fetch) -> list[str]:
    """What of a written report does not follow from these runs any more."""
    return checking.check(folder, rows, history, fetch, _unlinked)


def check_bundle(source: Path) -> list[str]:
    """What of a bundle's numbers does not follow from its own predictions and metrics."""
    return checking.check_bundle(source, _unlinked)


def pack(folder: Path, rows: Sequence[Row], history: History, fetch: Fetch, target: Path) -> Path:
    """The evidence of a written report as a zip from which `check_bundle` computes every number again."""
    experiment = json.loads((folder / bundle.EXPERIMENT).read_bytes())
    used = [row for row in rows if row.run_id in set(experiment["rows"])]
    recorder = bundle.Recorder(history, fetch)
    with tempfile.TemporaryDirectory() as place:
        _unlinked(used, recorder.history, recorder.fetch, experiment, Path(place))
        for row in used:
            checking.recomputed(row, recorder.fetch)  # asks for every run's predictions
    return bundle.write(target, recorder, used, experiment, folder / bundle.NUMBERS)


def _unlinked(
    rows: Sequence[Row], history: History, fetch: Fetch, experiment: Mapping[str, Any], folder: Path
) -> Report:
    return build(rows, history, fetch, experiment, lambda run: "", folder)


def headline(rows: Sequence[Row], history: History, fetch: Fetch, experiment: Mapping[str, Any]) -> str:
    """The result in one sentence, with its mark by rule."""
    evidence = _checked(rows, history, fetch, experiment)
    return plain(_headline(evidence, claims.compare(evidence), verdicts.decide(evidence)))


def compose(evidence: Evidence, comparisons: Sequence[Comparison], decided: Sequence[Verdict]) -> Document:
    """The document, in the order of the seed's."""
    measured = results.results(evidence, comparisons)
    measured = replace(measured, sections=(*measured.sections, *choosing.section(evidence)))
    return Document(
        evidence.experiment.get("title")
        or f"Does quality-aware pretraining help? Experiment {evidence.experiment['name']}",
        _banner(evidence.experiment.get("demonstration", False)),
        _headline(evidence, comparisons, decided),
        (
            setup.overview(evidence),
            setup.methodology(evidence),
            setup.setup(evidence),
            measured,
            training.training(evidence),
            analysis.analysis(evidence, decided, comparisons),
            analysis.ablations(evidence),
            figures.visualisations(evidence, comparisons),
            cost.cost(evidence),
            analysis.conclusions(evidence, decided),
            provenance.runs_table(evidence),
            provenance.deviations(evidence),
            provenance.reproducibility(evidence),
            provenance.references(),
            appendix.appendix(evidence),
        ),
    )


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


def _banner(demonstration: bool | str) -> str:
    if isinstance(demonstration, str) and demonstration:
        return demonstration if demonstration.lower().startswith("demonstration") else f"demonstration: {demonstration}"
    return BIASED if demonstration else ""


def _headline(evidence: Evidence, comparisons: Sequence[Comparison], decided: Sequence[Verdict]) -> Cell:
    """The first contrast on the test part of its own data, with its claim's mark; without contrasts, an arm's SRCC."""
    prefix = "Demonstration. " if evidence.experiment.get("demonstration") else ""
    own = [one for one in comparisons if one.kind == "own"]
    if own:
        mark = next((one.mark for one in decided if one.measure == "own"), own[0].mark)
        return say(prefix, *claims.sentence(evidence, replace(own[0], mark=mark)))
    arm = evidence.arms[0]
    return say(f"{prefix}{evidence.title(arm)} on {evidence.own} (test): SRCC ", *results.own_srcc(evidence, arm), ".")


def _summary(evidence: Evidence, document: Document) -> str:
    """Without links: the runs are nested under the run that carries this description."""
    main = results.main_table(evidence, quoted=False)
    lines = [main.columns, ["---"] * len(main.columns), *([plain(one) for one in row] for row in main.rows)]
    body = "\n".join(f"| {' | '.join(part.replace('|', '/') for part in line)} |" for line in lines)
    banner = f"**{document.banner}**\n\n" if document.banner else ""
    return f"{banner}{plain(document.headline)}\n\n{body}\n"


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
