"""The appendix: the original experiment's commands in ours, deviations from it, full configurations, environment."""

import json

from iqa import config
from iqa.report.document import Block, Code, Paragraph, Section, Table, Text, say
from iqa.report.evidence import Evidence, Row
from iqa.report.ordering import newest_first
from iqa.report.setup import ENVIRONMENT, NAMED, field_value

COMMANDS = (  # a command or flag of the original experiment → ours, and why it differs
    ("./run_qualiclip_experiments.sh", "mlflow run . -P preset=paper", "stops and goes on; finished cells are reused"),
    ("pip install git+…/CLIP.git", "make venv", "every version is pinned; no code from a branch"),
    ("pretrain_qualiclip.py", "mlflow run . -e pretrain -P preset=paper", ""),
    ("train_swin.py", "mlflow run . -e finetune -P preset=paper", ""),
    ("--dataset koniq-10k", "-P data=koniq -P data_root=…", ""),
    ("--model_size base", "-P encoder=swin_base", "any encoder with four stages"),
    ("--epochs", "-P epochs=…", "in main for both stages; pretrain.epochs= for one"),
    ("--batch_size", "-P batch_size=…", "gradient accumulation: -P compute.micro_batch=…"),
    ("--lr (pretraining)", "-P lr=…", ""),
    ("--lr (fine-tuning), lr_ratio", "-P head_lr=… -P encoder_lr_ratio=…", "head rate × ratio is the encoder's rate"),
    ("--lr_encoder_pretrained 1e-6", "-P encoder_lr_ratio=0.02", "5e-5 × 0.02"),
    ("--pretrained_encoder …pkl", "-P weights=runs:/ID/encoder", "by identity, never by file name; no pickle"),
    ("distortion_types", "-P families=blur,jpeg,noise,brightness", ""),
    ("num_levels", "-P levels=5", ""),
    ("loss_type", "-P loss=simplified", ""),
    ("use_multiscale, use_attention", "-P model.multi_scale=… -P model.attention=…", ""),
    ("best_model_*.pkl", "the artifact model of the run", "selected on validation, not on test"),
)
ORIGINAL = "paper"  # the preset with the original experiment's numbers
DEVIATIONS = (
    "The original compares an encoder rate of 1e-6 with one of 5e-6, which confounds the rate with the pretraining: "
    "its pair is shown where the experiment has it, and tuned against tuned decides.",
    "Epochs are selected on the validation part; the original selected on the test part.",
    "Brightness is two families, brighten and darken, each in order of severity; the original's list was not.",
    "The ranking term is a margin without absolute targets, and every term is a mean over its own pairs.",
    "Images are degraded before normalisation, in [0, 1].",
    "Every number is a mean over seeds with its spread; the original shows one run.",
    "Batch normalisation, where an encoder has it, keeps its stored statistics.",
)


def appendix(evidence: Evidence) -> Section:
    """Commands, configurations, environment."""
    configs = tuple(_configuration(evidence, stage, arm) for stage, arm in _arms(evidence))
    method = tuple(Paragraph(say(text), "item") for text in DEVIATIONS)
    parts = (
        Section("The original experiment's commands and flags, and ours", (_commands(),)),
        Section("Deviations from the original experiment", (*method, *differing(evidence))),
        Section("Full configurations", tuple(block for pair in configs for block in pair)),
        Section("Environment", _environment(evidence)),
        *_notices(evidence),
    )
    return Section("Appendix", (), parts)


def _commands() -> Table:
    rows = tuple(
        (say(Text(theirs, code=True)), say(Text(ours, code=True)), say(note or "–")) for theirs, ours, note in COMMANDS
    )
    return Table(
        "commands-original", say("Its way of saying it, and ours."), ("Original", "Here", "Note"), rows, stack=True
    )


def differing(evidence: Evidence) -> tuple[Block, ...]:
    """The fields in which the runs' configurations are not the original experiment's, a table for each stage."""
    return tuple(_differing(evidence, stage) for stage in ("pretrain", "finetune") if _of(evidence, stage))


def _differing(evidence: Evidence, stage: str) -> Block:
    arms = _of(evidence, stage)
    rows = [row for arm in arms for row in evidence.runs(stage, arm)]
    if not rows:
        return Paragraph(say(f"Fields of {stage}: ", *evidence.missing(stage, arms[0])[:1]))
    original = config.flatten(config.load(stage, {}, ORIGINAL))
    kept = (key for key in original if key not in ("seed", *config.NO_PART_OF_THE_RESULT))
    fields = [key for key in kept if any(_differs(row, key, original[key]) for row in rows)]
    if not fields:
        return Paragraph(say(f"In {stage} every recorded field has the value of the preset {ORIGINAL}."))
    lines = tuple(
        (
            say(Text(key, code=True)),
            say(str(original[key]).replace(",", ", ") or "(empty)"),
            *(field_value(evidence, stage, arm, (key,)) for arm in arms),
        )
        for key in fields
    )
    caption = say(
        f"Fields of {stage} whose value is not the preset {ORIGINAL}'s, which holds the original experiment's numbers; "
        "an encoder of a pretraining run in the place of its weights is no deviation."
    )
    columns = ("Field", "Original", *(evidence.title(arm) for arm in arms))
    return Table(f"deviations-{stage}", caption, columns, lines, stack=True)


def _differs(row: Row, key: str, original: object) -> bool:
    """Numbers by value, however a store writes them; an encoder by identity is how the original goes on, too."""
    value = str(row.params.get(key, original)) or str(row.tags.get(NAMED.get(key, ""), ""))
    if value.startswith("runs:/"):
        return False
    try:
        return float(value) != float(str(original))
    except ValueError:
        return value != str(original)


def _of(evidence: Evidence, stage: str) -> list[str]:
    return evidence.pretrained if stage == "pretrain" else evidence.arms


def _arms(evidence: Evidence) -> list[tuple[str, str]]:
    return [("pretrain", arm) for arm in evidence.pretrained] + [("finetune", arm) for arm in evidence.arms]


def _configuration(evidence: Evidence, stage: str, arm: str) -> tuple[Block, ...]:
    """The resolved config of an arm's first run, as it was; or the command that would make it."""
    rows = evidence.runs(stage, arm)
    name = f"{stage}, {evidence.title(arm)}: "
    if not rows:
        return (Paragraph(say(name, *evidence.missing(stage, arm)[:1])),)
    row = rows[0]
    tree = json.dumps({key: row.params[key] for key in sorted(row.params)}, indent=2, ensure_ascii=False)
    head = say(Text(name, strong=True), Text(row.run_id[:8], (row.run_id,), code=True))
    return (Paragraph(head), Code(tree, language="json", fold=True))


def _notices(evidence: Evidence) -> tuple[Section, ...]:
    """The notices of copyright of the data sets, whole: the figures show their pictures."""
    told = evidence.experiment.get("notices", {})
    blocks = tuple(
        block
        for name, text in told.items()
        for block in (Paragraph(say(f"Of {name}, whose pictures the figures show:")), Code(text, language="text"))
    )
    return (Section("Notices of copyright", blocks),) if blocks else ()


def _environment(evidence: Evidence) -> tuple[Block, ...]:
    """Interpreter and packages of the newest run, whole."""
    for row in newest_first(evidence.ranked):
        try:
            text = evidence.fetch(row.run_id, ENVIRONMENT).read_text(encoding="utf-8")
        except (OSError, ValueError):
            continue  # a run that ended before it left one
        head = say("As run ", Text(row.run_id[:8], (row.run_id,), code=True), " recorded it:")
        return (Paragraph(head), Code(text.rstrip("\n"), language="text", fold=True))
    return (Paragraph(say("Not recorded by the runs.")),)
