"""What was done, on what, with which numbers: the report's first three chapters, from the runs' own params and tags."""

import json
from collections.abc import Mapping, Sequence

from iqa.report.document import Cell, Number, Paragraph, Section, Table, Text, say
from iqa.report.evidence import Evidence, Row

STAGES = {"pretrain": "Quality-aware self-supervised pretraining", "finetune": "Supervised fine-tuning"}
SCHEDULE = "Schedule (one cosine over all steps), last rate over first"
METHOD = {  # lines of the original experiment's description → fields of the resolved config
    "pretrain": {
        "Data set": ("data.name",),
        "Model": ("model.encoder", "model.weights"),
        "Loss": ("loss.type",),
        "Images a batch (each is seen 2 × levels times)": ("optim.batch_size",),
        "Learning rate at the first step": ("optim.lr",),
        "Optimizer AdamW, weight decay": ("optim.weight_decay",),
        SCHEDULE: ("optim.floor",),
        "Degradations": ("degrade.families",),
        "Levels": ("degrade.levels",),
        "Epochs": ("optim.epochs",),
    },
    "finetune": {
        "Data set": ("data.name",),
        "Model": ("model.encoder", "model.weights"),
        "Multi-scale": ("model.multi_scale",),
        "Attention": ("model.attention",),
        "Dropout": ("model.dropout",),
        "Drop path": ("model.drop_path",),
        "Crops a batch": ("optim.batch_size",),
        "Learning rate of the head at the first step": ("optim.head_lr",),
        "Learning rate of the encoder over the head's": ("optim.encoder_lr_ratio",),
        "Optimizer AdamW, weight decay": ("optim.weight_decay",),
        SCHEDULE: ("optim.floor",),
        "Epochs": ("optim.epochs",),
        "Early stopping: patience": ("optim.patience",),
    },
}
LOSS = Paragraph(  # of fine-tuning, which has no field for it
    say(Text("Loss: ", strong=True), "L1, the mean absolute error between predicted and given scores"), "item"
)
NAMED = {"model.encoder": "encoder"}  # field that may be empty → the tag that says what it came to
MOST = 10  # different values in a line
MACHINE = "machine."  # prefix of the tags in which a run says what it ran on
SEEN = "encoder/state.json"  # of a pretraining: what its encoder has seen
ENVIRONMENT = "provenance/environment.txt"  # of a run: interpreter, platform, every package
PACKAGES = ("torch", "torchvision", "timm", "open_clip_torch", "numpy", "scipy", "pillow", "piq", "mlflow")


def overview(evidence: Evidence) -> Section:
    """Name, preset, data, arms and seeds as the experiment declares them."""
    experiment = evidence.experiment
    contrasts = "; ".join(
        f"{one['name']}: {evidence.title(one['treatment'])} against {evidence.title(one['baseline'])}"
        for one in experiment.get("contrasts", ())
    )
    lines = {
        "Goal": "does quality-aware pretraining of the encoder help a no-reference image quality model?",
        "Experiment": f"{experiment['name']}, preset {experiment.get('preset', 'demo')}",
        "Data": evidence.own + _parts(evidence.experiment.get("images", {})),
        "Cross-data targets": ", ".join(evidence.targets) or "none",
        "Arms": "; ".join(evidence.title(arm) for arm in evidence.arms),
        "Seeds": ", ".join(str(seed) for seed in evidence.seeds),
        "Contrasts": contrasts or "none declared",
        "Runs": _period(evidence.ranked),
        "Status": _status(evidence),
    }
    items = tuple(Paragraph((Text(f"{name}: ", strong=True), Text(text)), "item") for name, text in lines.items())
    return Section("Experiment overview", items)


def methodology(evidence: Evidence) -> Section:
    """The two stages, from the resolved configs of the runs."""
    parts = []
    for number, (stage, title) in enumerate(STAGES.items(), start=1):
        arms = evidence.pretrained if stage == "pretrain" else evidence.arms
        if arms:
            blocks = tuple(_line(evidence, stage, arms, name, keys) for name, keys in METHOD[stage].items())
            more = trained_on(evidence) if stage == "pretrain" else (LOSS,)
            parts.append(Section(f"Stage {number}: {title.lower()}", (*blocks, *more)))
    how = Paragraph(
        say(
            "Epochs are selected on the validation part; the test part is read once, with the selected epoch, and "
            "for display curves that nothing reads. Scores lie in [0, 1], higher is better."
        )
    )
    return Section("Methodology", (how,), tuple(parts))


def trained_on(evidence: Evidence) -> tuple[Paragraph, ...]:
    """How many different pictures each arm's first pretraining saw, by what its encoder carries with it."""
    counts: dict[int, list[str]] = {}
    for arm in evidence.pretrained:
        for row in evidence.runs("pretrain", arm)[:1]:
            try:
                seen = json.loads(evidence.fetch(row.run_id, SEEN).read_bytes())["origin"]["seen"]
            except (OSError, ValueError, KeyError, TypeError):
                continue  # an encoder from before they were told
            counts.setdefault(len(seen), []).append(row.run_id)
    what = "different training images of the first seed's pretraining"
    shown = [Number((float(count),), "{0:,.0f}", tuple(runs), what) for count, runs in counts.items()]
    parts = [part for number in shown for part in (Text("; "), number)][1:]
    return (Paragraph((Text("Training images: ", strong=True), *parts), "item"),) if parts else ()


def setup(evidence: Evidence) -> Section:
    """Hardware, software and hyperparameters."""
    return Section(
        "Experimental setup",
        (),
        (
            Section("Hardware", hardware(evidence)),
            Section("Software", software(evidence)),
            Section("Hyperparameters", tuple(hyperparameters(evidence, stage) for stage in _used(evidence))),
        ),
    )


def hyperparameters(evidence: Evidence, stage: str) -> Table:
    """Every field of a stage's resolved config, an arm a column."""
    arms = evidence.pretrained if stage == "pretrain" else evidence.arms
    rows = [row for arm in arms for row in evidence.runs(stage, arm)]
    keys = sorted({key for row in rows for key in row.params if key != "seed"})
    lines = tuple(
        ((Text(key, code=True),), *(field_value(evidence, stage, arm, (key,)) for arm in arms)) for key in keys
    )
    if not lines:
        lines = ((say("all"), *(tuple(evidence.missing(stage, arm)[:1]) for arm in arms)),)
    return Table(
        f"hyperparameters-{stage}",
        say(f"{STAGES[stage]}: the resolved configuration of the arms' runs, the same for all seeds unless shown."),
        ("Field", *(evidence.title(arm) for arm in arms)),
        lines,
        fold=True,
    )


def _used(evidence: Evidence) -> list[str]:
    return [stage for stage in STAGES if stage != "pretrain" or evidence.pretrained]


def _line(evidence: Evidence, stage: str, arms: Sequence[str], name: str, keys: tuple[str, ...]) -> Paragraph:
    """One line of the method: a single value where the arms agree, else one for each arm."""
    values = {arm: field_value(evidence, stage, arm, keys) for arm in arms}
    words = {_words(cell) for cell in values.values()}
    head = Text(f"{name}: ", strong=True)
    if len(words) == 1:
        runs = tuple(run for cell in values.values() for atom in cell if isinstance(atom, Text) for run in atom.runs)
        first = next(iter(values.values()))
        merged = (Text(words.pop(), runs),) if runs else first
        return Paragraph((head, *merged), "item")
    parts: list = []
    for arm, cell in values.items():
        parts += [Text(("; " if parts else "") + f"{evidence.title(arm)}: "), *cell]
    return Paragraph((head, *parts), "item")


def field_value(evidence: Evidence, stage: str, arm: str, keys: Sequence[str]) -> Cell:
    """A field's value in an arm's runs; all of them where the seeds differ, the command where there is no run."""
    rows = evidence.runs(stage, arm)
    if not rows:
        return tuple(evidence.missing(stage, arm)[:1])
    texts = list(dict.fromkeys(_said(row, keys) for row in rows))
    if len(texts) > MOST:
        texts = [texts[0], f"… {len(texts) - 2} more …", texts[-1]]
    return (Text(" / ".join(texts), tuple(row.run_id for row in rows)),)


def _said(row: Row, keys: Sequence[str]) -> str:
    """The fields' values in one run, the empty ones left out."""
    values = [str(row.params[key] or row.tags.get(NAMED.get(key, ""), "")) for key in keys if key in row.params]
    if not values:
        return "not recorded"
    return " ".join(filter(None, (_readable(value) for value in values))) or "(empty)"


def _readable(value: str) -> str:
    """A param as people write it; an empty one says nothing, a run's id is shortened."""
    text = value.replace(",", ", ")
    if text.startswith("runs:/"):
        run, _, path = text.removeprefix("runs:/").partition("/")
        return f"runs:/{run[:8]}…/{path}"
    return text


def _words(cell: Cell) -> str:
    return "".join(atom.text if isinstance(atom, Text) else repr(atom) for atom in cell)


def hardware(evidence: Evidence) -> tuple[Paragraph, ...]:
    """The machines, as the runs' tags name them."""
    said = [
        (key.removeprefix(MACHINE).replace("_", " "), str(value), row.run_id)
        for row in evidence.ranked
        for key, value in sorted(row.tags.items())
        if key.startswith(MACHINE)
    ]
    return _lines(said)


def software(evidence: Evidence) -> tuple[Paragraph, ...]:
    """Interpreter, platform and the packages that compute, from the environment that each run left."""
    said = []
    for row in evidence.ranked:
        try:
            text = evidence.fetch(row.run_id, ENVIRONMENT).read_text(encoding="utf-8")
        except (OSError, ValueError):
            continue  # a run that ended before it left one
        heads = [line.removeprefix("# ") for line in text.splitlines() if line.startswith("# ")]
        said += [("Interpreter and platform", ", ".join(heads), row.run_id)]
        packages = dict(line.split("==", 1) for line in text.splitlines() if "==" in line)
        said += [(name, packages[name], row.run_id) for name in PACKAGES if name in packages]
    return _lines(said)


def _lines(said: Sequence[tuple[str, str, str]]) -> tuple[Paragraph, ...]:
    """(what, value, run) → a line for each thing, every value that occurred with the runs that say so."""
    found: dict[str, dict[str, list[str]]] = {}
    for what, value, run in said:
        found.setdefault(what, {}).setdefault(value, []).append(run)
    lines = []
    for what, values in found.items():
        parts = [part for value, runs in values.items() for part in (Text("; "), Text(value, tuple(runs)))]
        lines.append(Paragraph((Text(f"{what}: ", strong=True), *parts[1:]), "item"))
    return tuple(lines) or (Paragraph(say("Not recorded by the runs.")),)


def _parts(images: Mapping[str, int]) -> str:
    """How many images the data set's protocol puts into which part, as the experiment was told."""
    told = ", ".join(f"{count:,} {part}" for part, count in images.items())
    return f"; images: {told}" if told else ""


def _status(evidence: Evidence) -> str:
    """Whether every cell of the matrix has its run."""
    stages = {"pretrain": evidence.pretrained, "finetune": evidence.arms}
    stages |= {"evaluate": evidence.arms} if evidence.targets else {}
    cells = len(evidence.seeds) * sum(len(arms) * len(evidence.folds_of(stage)) for stage, arms in stages.items())
    lacking = sum(len(evidence.missing(stage, arm)) for stage, arms in stages.items() for arm in arms)
    verb = "lacks" if lacking == 1 else "lack"
    return f"{lacking} of {cells} cells {verb} a finished run" if lacking else f"complete, {cells} cells"


def _period(rows: Sequence[Row]) -> str:
    """When the runs started, first and last, in UTC: the runs' own clock, never now."""
    from datetime import UTC, datetime

    starts = sorted(row.start for row in rows if row.start)
    days = [datetime.fromtimestamp(start / 1000, UTC).strftime("%Y-%m-%d") for start in starts]
    if not days:
        return "none yet"
    return days[0] if days[0] == days[-1] else f"{days[0]} to {days[-1]}"
