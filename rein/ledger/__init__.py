"""The ledger: one directory a run, on disk, the truth of what was run and what came out."""

from rein.ledger.files import write_atomic
from rein.ledger.finding import find, runs
from rein.ledger.lease import BusyError, Holder, LostError
from rein.ledger.run import PATIENCE, Run
from rein.ledger.states import FINAL, GoneError, Request, State, Stopped

__all__ = [
    "FINAL",
    "PATIENCE",
    "BusyError",
    "GoneError",
    "Holder",
    "LostError",
    "Request",
    "Run",
    "State",
    "Stopped",
    "find",
    "runs",
    "write_atomic",
]
