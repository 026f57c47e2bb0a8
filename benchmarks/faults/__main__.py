"""Inject faults into real processes, compare what is left with an undisturbed run, count.

    python -m benchmarks.faults                       # the whole protocol; writes docs/faults.md
    python -m benchmarks.faults --sample              # some trials of each row
    python -m benchmarks.faults --rows random,five    # these rows

Exit code 1 if a trial lost something, and, but for the sample, if one could not be tried on this machine. Killed and
given again with the same seed and code, it goes on.
"""

import argparse
import time

from benchmarks.faults import document, oracle, rows, running, table
from benchmarks.faults.home import Home


def main() -> int:
    """Run the protocol."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", action="store_true", help="some trials of each row")
    parser.add_argument("--seed", type=int, default=0, help="of every random instant, and of the sample's choice")
    parser.add_argument("--rows", default="", help="names of rows, separated by commas; all")
    parser.add_argument("--long", action="store_true", help="also an outage of ten minutes: row away-ten")
    parser.add_argument("--workers", type=int, default=2, help="trials at once")
    given = parser.parse_args()
    began = time.monotonic()
    home = Home(running.folder())
    kept = running.Ledger(home, given.seed)
    print(f"seed {given.seed}", flush=True)
    oracle.prepare(home)
    every = rows.every(home, given.seed) + (rows.ten_minutes(home) if given.long else [])
    wanted = [name for name in given.rows.split(",") if name]
    unknown = sorted(set(wanted) - {row.key for row in every})
    if unknown:
        parser.error(f"no row '{unknown[0]}': there are {', '.join(row.key for row in every)}")
    chosen = [row for row in every if not wanted or row.key in wanted]
    chosen = rows.sampled(chosen, given.seed) if given.sample else chosen
    of, results = sum(len(row.trials) for row in chosen), []
    for result in running.run(chosen, kept, given.workers):
        results.append(result)
        print(table.line(result, len(results), of), flush=True)
    minutes = (time.monotonic() - began) / 60
    lost, untried = table.losses(chosen, results), table.untried(chosen, results)
    print(table.table(chosen, results))
    print(f"seed {given.seed}, {minutes:.1f} min, {of} trials: {len(lost)} lost something, {len(untried)} not tried")
    if not given.sample and not wanted:
        document.write(chosen, results, given.seed)
    return int(bool(lost) or bool(untried and not given.sample))


if __name__ == "__main__":
    raise SystemExit(main())
