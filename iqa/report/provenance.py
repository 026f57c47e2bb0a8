"""Where the numbers come from: runs, what is to be known of them, and the commands that make them again."""

from collections import Counter
from collections.abc import Sequence

from iqa.report.document import Block, Cell, Code, Paragraph, Section, Table, Text, say
from iqa.report.evidence import FINISHED, Evidence, Row, duration, titled

REFERENCES = (
    "QualiCLIP: Agnolucci et al., Quality-Aware Image-Text Alignment for Opinion-Unaware Image Quality Assessment, "
    "arXiv:2403.11176, 2024.",
    "HyperIQA: Su et al., Blindly Assess Image Quality in the Wild Guided by a Self-Adaptive Hyper Network, CVPR 2020.",
    "Swin Transformer: Liu et al., Swin Transformer: Hierarchical Vision Transformer using Shifted Windows, ICCV 2021, "
    "arXiv:2103.14030.",
    "KADID-10k: Lin et al., QoMEX 2019. KonIQ-10k: Hosu et al., IEEE TIP 2020.",
    "Influence of Spearman's correlation: Croux and Dehon, Statistical Methods & Applications, 2010.",
)


def notes(evidence: Evidence) -> Section:
    """What a reader has to know that the tables do not say: declared notes, then what the rows themselves show."""
    found = [Paragraph(say(note), "item") for note in evidence.experiment.get("notes", ())]
    found += [Paragraph(say(f"Failed: {sentence}"), "item") for sentence in evidence.experiment.get("failed", ())]
    found += [*_unfinished(evidence), *_repeated(evidence), *_code(evidence)]
    return Section("Failed runs and notes", tuple(found) or (Paragraph(say("No run failed, and nothing was noted.")),))


def runs_table(evidence: Evidence) -> Section:
    """Every run of the experiment."""
    rows = tuple(_run(evidence, row) for row in evidence.ranked)
    caption = say("Every run, each linked to its page in the tracking store.")
    table = Table(
        "runs", caption, ("Run", "Stage", "Model", "Seed", "Status", "Started, UTC", "Took"), rows, stack=True
    )
    holes = list(
        dict.fromkeys(hole.command for stage, arm in _cells(evidence) for hole in evidence.missing(stage, arm))
    )
    if not holes:
        return Section("Runs", (table,))
    words = say(f"{len(holes)} command{'s' if len(holes) > 1 else ''} would fill what is missing:")
    return Section("Runs", (table, Paragraph(words), Code("\n".join(holes))))


def reproducibility(evidence: Evidence) -> Section:
    """Commit, and the command of every run."""
    commits: dict[str, list[str]] = {}
    for row in evidence.ranked:
        commit = row.tags.get("git.commit")
        if commit:
            dirty = " with uncommitted changes" if _is_true(row.tags.get("git.dirty")) else ""
            commits.setdefault(f"{commit}{dirty}", []).append(row.run_id)
    lines = [
        Paragraph(say("Commit: ", Text(commit, tuple(runs), code=True)), "item") for commit, runs in commits.items()
    ]
    blocks: list[Block] = [
        *(lines or [Paragraph(say("Commit: not recorded by the runs."))]),
        Paragraph(say("The whole experiment; cells that are finished are reused:")),
        Code(evidence.whole),
        *_commands(evidence),
    ]
    return Section("Code and reproducibility", tuple(blocks), (Section("Checkpoints", (checkpoints(evidence),)),))


def checkpoints(evidence: Evidence) -> Table:
    """What each seed's stages handed on, under the names by which any command takes them."""
    rows = []
    for arm in evidence.arms:
        for place, row in evidence.places("finetune", arm).items():
            weights = str(row.params.get("model.weights", "")) or "–"
            begun = tuple(one.run_id for one in evidence.rows if weights.startswith(f"runs:/{one.run_id}/"))
            model = Text(f"runs:/{row.run_id}/model", (row.run_id,), code=True)
            rows.append((say(evidence.title(arm)), say(place), say(Text(weights, begun, code=True)), say(model)))
        holes = tuple(dict.fromkeys(evidence.missing("finetune", arm)))  # one command may fill several
        rows += [(say(evidence.title(arm)), say("missing"), say("–"), holes)] if holes else []
    caption = say("The weights of every seed: the encoder that fine-tuning began with, and the model that was tested.")
    return Table("checkpoints", caption, ("Model", "Seed", "Encoder", "Whole model"), tuple(rows), fold=True)


def references() -> Section:
    return Section("References", tuple(Paragraph(say(text), "item") for text in REFERENCES))


def _commands(evidence: Evidence) -> list[Table]:
    rows = [row for row in evidence.ranked if row.tags.get("iqa.command") and row.status == FINISHED]
    if not rows:
        return []
    lines = tuple((say(Text(_name(row), (row.run_id,))), say(Text(row.tags["iqa.command"], code=True))) for row in rows)
    return [Table("commands", say("Each step alone, as its run recorded it."), ("Run", "Command"), lines, fold=True)]


def _run(evidence: Evidence, row: Row) -> tuple[Cell, ...]:
    from datetime import UTC, datetime

    arm = row.tags.get("arm", "")
    started = datetime.fromtimestamp(row.start / 1000, UTC).strftime("%Y-%m-%d %H:%M") if row.start else "–"
    took: Cell = say("–")
    if row.start and row.end:
        took = (duration([(row.end - row.start) / 3_600_000], [row], "hours from start to end"),)
    return (
        say(Text(row.run_id[:8], (row.run_id,), code=True)),
        say(row.tags.get("stage", "–")),
        say(evidence.title(arm) if arm in evidence.arms else arm or "–"),
        say(str(row.tags.get("seed", "–"))),
        say(row.status),
        say(started),
        took,
    )


def _unfinished(evidence: Evidence) -> list[Paragraph]:
    return [
        Paragraph(
            say(
                f"{_name(row)} is {row.status}, and no number comes from it (",
                Text(row.run_id[:8], (row.run_id,), code=True),
                ")" + (f": {row.tags['iqa.reason']}" if row.tags.get("iqa.reason") else "."),
            ),
            "item",
        )
        for row in evidence.ranked
        if row.status != FINISHED and row.tags.get("stage") in ("pretrain", "finetune", "evaluate")
    ]


def _repeated(evidence: Evidence) -> list[Paragraph]:
    """Cells that finished more than once: the newest counts. Another experiment's cell may be called the same."""
    own, *shown = [set(one.experiment.get("runs", {}).values()) for one in evidence.with_shown]
    theirs = set().union(*shown) - own
    keys = [
        tuple(str(row.tags.get(kind, "")) for kind in ("stage", "arm", "seed", "fold"))
        for row in evidence.ranked
        if row.status == FINISHED and row.run_id not in theirs
    ]
    return [
        Paragraph(say(f"{titled(*place)} has {times} finished runs; the newest is shown."), "item")
        for place, times in sorted(Counter(keys).items(), key=str)
        if times > 1 and place[0] and place[1]
    ]


def _code(evidence: Evidence) -> list[Paragraph]:
    used = [row for row in evidence.ranked if row.status == FINISHED]
    other = tuple(evidence.experiment.get("other_code", ()))
    dirty = tuple(row.run_id for row in used if _is_true(row.tags.get("git.dirty")))
    commits = {row.tags["git.commit"] for row in used if row.tags.get("git.commit")}
    found = []
    if other:
        text = Text(f"{len(other)} of {len(used)} runs", other)
        found.append(Paragraph(say(text, " were made by other code and reused on request (accept_code)."), "item"))
    if dirty:
        text = Text(f"{len(dirty)} of {len(used)} runs", dirty)
        found.append(Paragraph(say(text, " were made from a working tree with uncommitted changes."), "item"))
    if len(commits) > 1:
        text = Text(f"{len(commits)} commits", tuple(row.run_id for row in used))
        found.append(Paragraph(say("The runs come from ", text, "."), "item"))
    return found


def _cells(evidence: Evidence) -> Sequence[tuple[str, str]]:
    pretrain = [("pretrain", arm) for arm in evidence.pretrained]
    evaluate = [("evaluate", arm) for arm in evidence.arms] if evidence.targets else []
    return [*pretrain, *(("finetune", arm) for arm in evidence.arms), *evaluate]


def _name(row: Row) -> str:
    return row.name or " ".join(
        filter(None, (row.tags.get("arm"), row.tags.get("stage"), str(row.tags.get("seed", ""))))
    )


def _is_true(value: object) -> bool:
    return str(value).lower() in ("true", "1", "yes")
