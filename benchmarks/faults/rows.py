"""The protocol: every row with all its trials, and how many of them the sample draws."""

from collections.abc import Callable

from benchmarks.faults import damage, disks, hostile, kills, mismatch, races, stops
from benchmarks.faults.home import Home
from benchmarks.faults.row import Row, trials

SAMPLE = {"instants-pretrain": 6, "instants-finetune": 6, "instants-main": 1, "random": 4, "five": 1}
AMID = ("flip 0 tensors.safetensors", "cut 0 state.json", "missing manifest.json")
STAGES = ("pretrain", "finetune")


def every(home: Home, seed: int) -> list[Row]:
    """All rows in the order of the table."""
    return [row for part in PARTS for row in part(home, seed)]


def sampled(rows: list[Row], seed: int) -> list[Row]:
    """What takes minutes: some trials of each row."""
    return [row.sampled(SAMPLE.get(row.key, 2), seed) for row in rows]


def killed(home: Home, seed: int) -> list[Row]:
    """SIGKILL."""
    expected = "equal to the undisturbed run"
    rows = []
    for stage in (*STAGES, "main"):
        given = {f"{stage} at {instant}": (stage, instant) for instant in kills.instants(home, stage)}
        fault = f"SIGKILL at every named instant of `{stage}`"
        rows.append(Row(f"instants-{stage}", fault, expected, trials(kills.at_instant, home, **given)))
    once = {f"kill {n} in {stage}": (stage, seed) for n in range(36) for stage in STAGES}
    five = {f"five kills {n} in {stage}": (stage, seed, 5) for n in range(10) for stage in STAGES}
    more = f"{expected}, no process left 5 s later, at most one checkpoint interval done twice a kill"
    rows.append(Row("random", "SIGKILL at a random instant", more, trials(kills.at_random, home, **once)))
    rows.append(Row("five", "five SIGKILLs in one run", more, trials(kills.at_random, home, **five)))
    return rows


def stopped(home: Home, seed: int) -> list[Row]:
    """SIGTERM."""
    once = {f"{stage} {n}": (stage, seed, 1) for n in range(4) for stage in STAGES}
    twice = {f"{stage} {n} twice": (stage, seed, 2) for n in range(3) for stage in STAGES}
    around = {f"mlflow run {stage} {times} times": (stage, seed, times) for stage in STAGES for times in (1, 2)}
    more = {f"mlflow run {stage} again": (stage, seed, 1) for stage in STAGES}
    tried = trials(stops.command, home, **once, **twice) | trials(stops.project, home, **around, **more)
    expected = "checkpoint, exit code 143, run KILLED, nothing left within 10 s; the same command: equal"
    return [Row("stop", "SIGTERM, once and twice, also to the `mlflow run` around it", expected, tried)]


def full(home: Home, seed: int) -> list[Row]:
    """No room on the disk."""
    shares = {f"{stage} {5 + 20 * n} %": (stage, 0.05 + 0.2 * n) for n in range(5) for stage in STAGES}
    expected = "the last checkpoint loads, no temporary file, one line with path and free bytes; with room again: equal"
    limit = Row(
        "full",
        "disk full amid a checkpoint (a limit on a file's size)",
        expected,
        trials(disks.limited, home, **shares),
    )
    small = trials(disks.small, home, **{stage: (stage,) for stage in STAGES})
    other = trials(disks.read_only, home, **{f"{stage} read-only": (stage,) for stage in STAGES})
    return [
        limit,
        Row("tmpfs", "disk full (a small tmpfs)", expected, small),
        Row("read-only", "read-only folder", "one sentence, exit code 2", other),
    ]


def raced(home: Home, seed: int) -> list[Row]:
    """Two on one folder."""
    given = {f"race {n} {stage}": (stage,) for n in range(10) for stage in STAGES}
    expected = "one works, the other refuses within 2 s and names it"
    return [Row("race", "two commands on one run folder at once", expected, trials(races.race, home, **given))]


def damaged(home: Home, seed: int) -> list[Row]:
    """Checkpoints and weights that are not what they should be."""
    given = {f"damage {case}": (case, seed) for case in damage.cases()}
    expected = "detected, the one before is used, and that is said"
    amid = {f"{case} amid {stage}": (stage, case, seed) for case in AMID for stage in STAGES}
    rows = [
        Row(
            "damage", "checkpoint cut, one bit flipped, empty, missing", expected, trials(damage.damaged, home, **given)
        )
    ]
    rows += [Row("damage-run", "the same amid a run", f"{expected}; equal", trials(damage.amid_run, home, **amid))]
    kinds = {kind: (kind,) for kind in hostile.FILES}
    rows += [
        Row("hostile", "hostile files as weights", "refused, nothing of them ran", trials(hostile.given, home, **kinds))
    ]
    other = trials(mismatch.encoder, home, **{change: (change,) for change in mismatch.CHANGES})
    other |= trials(mismatch.another_config, home, **{"another config": ()})
    said = "one error that lists what differs, nothing loaded in part"
    return [
        *rows,
        Row("mismatch", "another architecture, missing, extra, misshapen tensors, another config", said, other),
    ]


PARTS: tuple[Callable[[Home, int], list[Row]], ...] = (killed, stopped, full, raced, damaged)
