"""The ledger: one directory a run, on disk, the truth of what was run and what came out."""

from rein.ledger.files import write_atomic
from rein.ledger.finding import find, runs
from rein.ledger.lease import BusyError, Holder, LostError
from rein.ledger.run import PATIENCE, Run
from rein.ledger.states import FAILED, FINAL, GoneError, Request, State, Stopped
from rein.ledger.statuses import Statuses

__all__ = [
    "FAILED",
    "FINAL",
    "PATIENCE",
    "BusyError",
    "GoneError",
    "Holder",
    "LostError",
    "Request",
    "Run",
    "State",
    "Statuses",
    "Stopped",
    "find",
    "runs",
    "write_atomic",
]
