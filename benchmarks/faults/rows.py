"""The protocol: every row with all its trials, and how many of them the sample draws."""

from collections.abc import Callable
from typing import Any

from benchmarks.faults import (
    beside,
    caught,
    damage,
    disks,
    hostile,
    kills,
    mismatch,
    outages,
    races,
    stops,
    troubles,
    workers,
)
from benchmarks.faults.home import Home
from benchmarks.faults.place import BESIDE, BFLOAT16, EARLY
from benchmarks.faults.row import Outcome, Row, trials

STAGES = ("pretrain", "finetune")
EACH = {stage: (stage,) for stage in STAGES}
AMID = ("flip 0 tensors.safetensors", "cut 0 state.json", "missing manifest.json")
EQUAL = "equal to the undisturbed run"
SAMPLE = {  # trials of a row; 2 of any other
    "instants-pretrain": 5,
    "instants-finetune": 5,
    "instants-main": 1,
    "five": 1,
    "typed": 1,
    "beside": 1,
    "stop-beside": 1,
    "damage": 40,
    "hostile": 6,
    "mismatch": 5,
    "away": 1,
    "away-long": 0,
    "between": 1,
    "offline": 1,
    "no-end": 1,
    "study-kills": 0,
    "study": 0,
}


def every(home: Home, seed: int) -> list[Row]:
    """All rows in the order of the table."""
    return [
        row
        for part in (killed, stopped, away, full, raced, damaged, broken, studied, noticed)
        for row in part(home, seed)
    ]


def sampled(rows: list[Row], seed: int) -> list[Row]:
    """What takes minutes: some trials of each row."""
    drawn = [row.sampled(SAMPLE.get(row.key, 2), seed) for row in rows]
    return [row for row in drawn if row.trials]


def killed(home: Home, seed: int) -> list[Row]:
    """SIGKILL."""
    rows = []
    for stage in (*STAGES, "main"):
        given = {f"{stage} at {instant}": (stage, instant) for instant in kills.instants(home, stage)}
        fault = f"SIGKILL at every named instant of `{stage}`"
        rows.append(Row(f"instants-{stage}", fault, EQUAL, trials(kills.at_instant, home, **given)))
    typed = {f"{stage} typed": (stage, "after-step:3") for stage in STAGES}
    fault = "SIGKILL of a command that was typed, not forked"
    rows.append(Row("typed", fault, EQUAL, trials(kills.unforked, home, **typed)))
    once = {f"kill {n} in {stage}": (stage, seed) for n in range(36) for stage in STAGES}
    five = {f"five kills {n} in {stage}": (stage, seed, 5) for n in range(10) for stage in STAGES}
    more = f"{EQUAL}; no process left 5 s later; at most one checkpoint interval done twice a kill"
    rows.append(Row("random", "SIGKILL at a random instant", more, trials(kills.at_random, home, **once)))
    lost = {f"{stage} and shipped.json lost": (stage,) for stage in STAGES}
    again = "SIGKILL, and the record of what was sent is lost"
    rows.append(Row("position", again, EQUAL, trials(kills.position_lost, home, **lost)))
    rows.append(Row("five", "five SIGKILLs in one run", more, trials(kills.at_random, home, **five)))
    others = {f"kill {n} in {stage}": (stage, seed) for n in range(3) for stage in (BFLOAT16, EARLY)}
    ends = {f"{EARLY} at {instant}": (EARLY, instant) for instant in ("epoch-end:2", "best-metric:1")}
    tried = trials(kills.at_random, home, **others) | trials(kills.at_instant, home, **ends)
    rows.append(Row("others", "SIGKILL in bfloat16, and of a training that stops early", more, tried))
    two = {f"two cells {n}": (seed,) for n in range(4)}
    fault = "SIGKILL of an experiment amid two cells that it has computed side by side"
    return [*rows, every_of("beside", fault, more, beside.experiment_killed, home, two)]


def stopped(home: Home, seed: int) -> list[Row]:
    """SIGTERM."""
    once = {f"{stage} {n}": (stage, seed, 1) for n in range(4) for stage in STAGES}
    twice = {f"{stage} {n} twice": (stage, seed, 2) for n in range(3) for stage in STAGES}
    around = {f"mlflow run {stage}, {times}": (stage, seed, times) for stage in STAGES for times in (1, 2)}
    more = {f"mlflow run {stage} again": (stage, seed, 1) for stage in STAGES}
    tried = trials(stops.command, home, **once, **twice) | trials(stops.project, home, **around, **more)
    expected = f"checkpoint, exit code 143, run KILLED, nothing left within 10 s; the same command: {EQUAL}"
    two = {f"two cells, {times}": (BESIDE, seed, times) for times in (1, 2)}
    fault = "SIGTERM, once and twice, to an experiment with two cells side by side"
    return [
        Row("stop", "SIGTERM, once and twice, also to the `mlflow run` around it", expected, tried),
        every_of("stop-beside", fault, expected.replace("run KILLED", "runs KILLED"), stops.command, home, two),
    ]


def away(home: Home, seed: int) -> list[Row]:
    """The tracking store."""
    short, minutes = (
        {f"{what} {n:g} s": (STAGES[at % 2], what, n) for n in seconds for at, what in enumerate(stores)}
        for seconds, stores in (((10.0,), (*outages.AWAY, outages.S3)), ((60.0, 120.0), outages.AWAY))
    )
    fault = "tracking server killed, its database stopped, its artifact store answering 503"
    expected = "exit code 0; no point lost, none doubled"
    slow = f"{expected}; at most 5% more time"
    cells = {f"after {n} cells": (n, 10.0) for n in (1, 3)}
    late = f"exit code 75, everything kept; `sync`: {EQUAL}"
    return [
        every_of("away", f"{fault}, its S3 server killed: for 10 s", expected, outages.away, home, short),
        every_of("away-long", f"{fault}: for 60 s and 2 min", slow, outages.away, home, minutes),
        every_of("between", "server killed between two cells, for 10 s", expected, outages.between, home, cells),
        every_of("no-start", "server gone at the start", "an error within 10 s", outages.at_start, home, EACH),
        every_of("offline", "no server, `offline=true`", f"exit code 0; `sync`: {EQUAL}", outages.offline, home, EACH),
        every_of("no-end", "server gone at the end", late, outages.at_end, home, EACH),
    ]


def ten_minutes(home: Home) -> list[Row]:
    """The tracking store away for longer than a command waits for one; asked for by --long."""
    given = {f"{what} 10 min": (STAGES[at % 2], what, 600.0) for at, what in enumerate(outages.AWAY)}
    fault = "tracking server killed, its database stopped, its artifact store answering 503: for 10 min"
    expected = "exit code 0; no point lost, none doubled; at most 5% more time"
    return [every_of("away-ten", fault, expected, outages.away, home, given)]


def full(home: Home, seed: int) -> list[Row]:
    """No room on the disk."""
    given = {f"{stage} {5 + 20 * n} %": (stage, 0.05 + 0.2 * n) for n in range(5) for stage in STAGES}
    fault = "disk full amid a checkpoint (a limit on a file's size)"
    expected = f"the last checkpoint loads, no temporary file, a line with path and free bytes; with room: {EQUAL}"
    return [
        every_of("full", fault, expected, disks.limited, home, given),
        every_of("tmpfs", "disk full (a small tmpfs)", expected, disks.small, home, EACH),
        every_of("read-only", "read-only folder", "one sentence, exit code 2", disks.read_only, home, EACH),
    ]


def raced(home: Home, seed: int) -> list[Row]:
    """Two on one folder."""
    given = {f"race {n} {stage}": (stage,) for n in range(10) for stage in STAGES}
    expected = f"the second refuses within 2 s and names the first; the first: {EQUAL}"
    return [every_of("race", "two commands on one run folder at once", expected, races.race, home, given)]


def damaged(home: Home, seed: int) -> list[Row]:
    """Checkpoints and weights that are not what they should be."""
    given = {f"damage {case}": (case, seed) for case in damage.cases()}
    amid = {f"{case} amid {stage}": (stage, case, seed) for case in AMID for stage in STAGES}
    best = {f"{case} of the best epoch": (case, seed) for case in AMID}
    run = trials(damage.amid_run, home, **amid) | trials(damage.best_amid_run, home, **best)
    kinds = {kind: (kind,) for kind in hostile.FILES}
    lost = trials(damage.presupposed, home, **{f"journal of {one}": (one, "journal") for one in STAGES})
    lost |= trials(damage.presupposed, home, **{"selected weights": ("finetune", "weights")})
    lines = "a line within the journal is none"
    kept = f"refused, nothing thrown away; mended, and `sync`: {EQUAL}"
    tried = trials(mismatch.encoder, home, **{change: (change,) for change in mismatch.CHANGES})
    tried |= trials(mismatch.another_config, home, **{"another config": ()})
    fault = "another architecture, missing, extra, misshapen tensors, another config"
    told = "detected, the one before is used, and that is said"
    said = "one error that lists what differs, nothing loaded in part"
    cut = "checkpoint cut, one bit flipped, empty, missing"
    return [
        every_of("damage", cut, told, damage.damaged, home, given),
        Row("damage-run", "the same amid a run", f"{told}; {EQUAL}", run),
        Row("presupposed", "the journal cut short, the selected weights damaged, before they were sent", EQUAL, lost),
        every_of("journal", lines, kept, damage.amid_journal, home, EACH),
        every_of("hostile", "hostile files as weights", "refused, nothing of them ran", hostile.given, home, kinds),
        Row("mismatch", fault, said, tried),
    ]


def studied(home: Home, seed: int) -> list[Row]:
    """Workers of studies, with toy stages: `benchmarks.study_faults`."""
    kills = trials(workers.injected, home, **{"kills": ("kills", seed)})
    rest = trials(workers.injected, home, **{fault: (fault, seed) for fault in workers.SINGLE})
    exact = "exactly as many trials as asked for, none left running, each killed one tried again once"
    fault = "a worker stopped past its time and woken; database away 60 s; two resuming one study; the last one dying"
    return [
        Row("study-kills", "four study workers on one PostgreSQL, killed", exact, kills, workers.KILLS),
        Row("study", fault, "one result counted", rest),
    ]


def broken(home: Home, seed: int) -> list[Row]:
    """Runs that cannot go on as they are."""
    told = "FAILED with the reason as a tag, exit code 2, the last finite checkpoint is kept"
    back = f"no negative duration; {EQUAL}"
    memory = trials(troubles.starved, home, **EACH) | trials(beside.cell_killed, home, **{"one of two cells": ()})
    fault = "the memory runs out amid the steps; a cell's process killed for memory"
    remedy = f"FAILED, and the reason names batch_size and what to do; no hang; the same command: {EQUAL}"
    return [
        every_of("nan", "the loss is no number any more", told, troubles.diverged, home, EACH),
        Row("memory", fault, remedy, memory),
        every_of("clock", "the clock steps back an hour amid a run", back, troubles.clock_back, home, EACH),
    ]


def noticed(home: Home, seed: int) -> list[Row]:
    """The harness itself."""
    given = {f"without {protection}": (protection,) for protection in caught.NOTICED_BY}
    fault = "a protection of the product switched off"
    return [every_of("noticed", fault, "the harness notices a loss", caught.noticed, home, given)]


def every_of(
    key: str,
    fault: str,
    expected: str,
    function: Callable[..., Outcome],
    home: Home,
    given: dict[str, tuple[Any, ...]],
) -> Row:
    """A row whose trials are all of one kind."""
    return Row(key, fault, expected, trials(function, home, **given))
