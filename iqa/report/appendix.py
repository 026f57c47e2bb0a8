"""The appendix: the original experiment's commands in ours, deviations from it, full configurations, environment."""

import json

from iqa.report.document import Block, Code, Paragraph, Section, Table, Text, say
from iqa.report.evidence import Evidence
from iqa.report.setup import ENVIRONMENT

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
    parts = (
        Section("The original experiment's commands and flags, and ours", (_commands(),)),
        Section("Deviations from the original experiment", tuple(Paragraph(say(text), "item") for text in DEVIATIONS)),
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
    for row in reversed(evidence.ranked):
        try:
            text = evidence.fetch(row.run_id, ENVIRONMENT).read_text(encoding="utf-8")
        except (OSError, ValueError):
            continue  # a run that ended before it left one
        head = say("As run ", Text(row.run_id[:8], (row.run_id,), code=True), " recorded it:")
        return (Paragraph(head), Code(text.rstrip("\n"), language="text", fold=True))
    return (Paragraph(say("Not recorded by the runs.")),)
