"""Evidence → the document, in the original report's order of sections, with banner and headline."""

from collections.abc import Sequence
from dataclasses import replace

from iqa.report import (
    analysis,
    appendix,
    choosing,
    claims,
    cost,
    figures,
    provenance,
    results,
    setup,
    training,
    trials,
)
from iqa.report.claims import Comparison
from iqa.report.document import Cell, Document, plain, say
from iqa.report.evidence import Evidence
from iqa.report.verdicts import Verdict

BIASED = (
    "demonstration: synthetic pseudo-scores, and pretraining shares the degradations that made them; "
    "this demo is biased towards pretraining"
)


def compose(evidence: Evidence, comparisons: Sequence[Comparison], decided: Sequence[Verdict]) -> Document:
    """The whole document."""
    measured = results.results(evidence, comparisons)
    measured = replace(measured, sections=(*measured.sections, *choosing.section(evidence), *trials.section(evidence)))
    return Document(
        evidence.experiment.get("title")
        or f"Does quality-aware pretraining help? Experiment {evidence.experiment['name']}",
        _banner(evidence.experiment.get("demonstration", False)),
        headline(evidence, comparisons, decided),
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
            provenance.notes(evidence),
            provenance.reproducibility(evidence),
            provenance.references(),
            appendix.appendix(evidence),
        ),
    )


def _banner(demonstration: bool | str) -> str:
    if isinstance(demonstration, str) and demonstration:
        return demonstration if demonstration.lower().startswith("demonstration") else f"demonstration: {demonstration}"
    return BIASED if demonstration else ""


def headline(evidence: Evidence, comparisons: Sequence[Comparison], decided: Sequence[Verdict]) -> Cell:
    """The first contrast on the test part of its own data, with its claim's mark; without contrasts, an arm's SRCC.

    Claims on other contrasts say nothing about it: without one of its own it has no mark.
    """
    prefix = "Demonstration. " if evidence.experiment.get("demonstration") else ""
    own = [one for one in comparisons if one.kind == "own"]
    if own:
        marks = [one.mark for one in decided if (one.measure, one.contrast) == ("own", own[0].name)]
        mark = marks[0] if marks else own[0].mark
        return say(prefix, *claims.sentence(evidence, replace(own[0], mark=mark)))
    arm = evidence.arms[0]
    return say(f"{prefix}{evidence.title(arm)} on {evidence.own} (test): SRCC ", *results.own_srcc(evidence, arm), ".")


def summary(evidence: Evidence, document: Document) -> str:
    """Without links: the runs are nested under the run that carries this description."""
    main = results.main_table(evidence, quoted=False)
    lines = [main.columns, ["---"] * len(main.columns), *([plain(one) for one in row] for row in main.rows)]
    body = "\n".join(f"| {' | '.join(part.replace('|', '/') for part in line)} |" for line in lines)
    banner = f"**{document.banner}**\n\n" if document.banner else ""
    return f"{banner}{plain(document.headline)}\n\n{body}\n"
