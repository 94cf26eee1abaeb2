"""The fault campaign: sweeps on a Ray cluster of three raylets, disturbed at random moments, that must end as ever.

    python -m tests.faults --seed 0 --faults 51        every kind three times and more; twenty minutes of two idle cores
    python -m tests.faults --seed 0 --faults 51 --sweep 7      the seventh sweep of that campaign alone
    python -m tests.faults --kind "disk full" --faults 2       one kind

From the repository's root. Each sweep has six runs (seven where one is to diverge), and four to six faults. A fault
comes at a seeded point of the work: the first process that gets there waits in a trap until the fault was done to it
(inside/observer.py, which Python loads into the campaign's processes alone). A driver that ended is started again by
the same command. Then these must be as in a sweep that nothing befell: every table byte for byte, every record and
weight bit for bit, MLflow's view point for point; each run worked on by one process at a time, and no step of it done
again but what followed its last checkpoint; no process and no temporary file left. All faults of a sweep count as
survived only if all of that is so. Exit status 1 unless all survive.

Not compared: times and peak memory; of a run that was short of memory, and went on with half of the micro-batch, more
than that its losses are equal but for rounding; at which step a diverging run is stopped, which is the next record or
checkpoint. The head's raylet is never killed: with it goes Ray's own memory of the cluster.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from pathlib import Path

from tests.faults.campaign import Campaign
from tests.faults.plan import KINDS, draw
from tests.faults.sweep import STEPS


def main() -> int:
    """Run a campaign and print its table."""
    parser = argparse.ArgumentParser("python -m tests.faults", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--faults", type=int, default=51)
    parser.add_argument("--sweep", type=int, action="append", help="only this sweep of the campaign (may be repeated)")
    parser.add_argument("--kind", action="append", choices=list(KINDS), help="only faults of this kind")
    parser.add_argument("--keep", action="store_true", help="keep the folder even where all survived")
    chosen = parser.parse_args()
    sweeps = draw(chosen.seed, chosen.faults, STEPS, chosen.kind or tuple(KINDS))
    if chosen.sweep:
        sweeps = [plan for plan in sweeps if plan.number in chosen.sweep]
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job's children would be deaf to it
    folder = Path(tempfile.mkdtemp(prefix="rf-"))  # short: Ray's sockets lie below it
    again = f"python -m tests.faults --seed {chosen.seed} --faults {chosen.faults}"
    again += "".join(f" --kind {kind!r}" for kind in chosen.kind or ())
    campaign = Campaign(folder, again)
    try:
        survived = campaign.run(sweeps)
    except KeyboardInterrupt:  # what was tried so far is worth its table
        survived = False
    print(campaign.table(), flush=True)
    if survived and not chosen.keep:
        campaign.remove()
    else:
        print(f"everything is kept in {folder}")
    return 0 if survived else 1


if __name__ == "__main__":
    sys.exit(main())
