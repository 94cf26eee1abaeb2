"""The results of sweeps in a few small files that a repository can hold, and run folders made of them again.

| file | holds |
| --- | --- |
| `results.csv` | `run_id` and the columns of a run's scores.csv: every score of every run, and its logged losses |
| `runs.jsonl` | a line a run: its experiment, its status (`to_files.KEPT`), a digest of all that is here of it |
| `environments.json` | by digest, what the runs were made with; most of a sweep have one and the same |
| `images.npz` | what every image adds to a run's scores at its end (`images.read_runs`) |
| `domains/` | the files that describe domains of one's own |

Runs are in the order of their ids, and packing again gives the same bytes. No file names a host, a process or a place,
but for what a domain's file says of its own. A ledger stays what reports read: `unpack` makes run folders, without
weights and pictures.
"""

from __future__ import annotations

from rein.packing.to_files import pack
from rein.packing.to_runs import unpack

__all__ = ["pack", "unpack"]
