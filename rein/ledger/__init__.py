"""The ledger: one directory a run, on disk, the truth of what was run and what came out."""

from rein.ledger.lease import BusyError, Holder, LostError
from rein.ledger.run import (
    FINAL,
    PATIENCE,
    GoneError,
    Request,
    Run,
    State,
    Stopped,
    find,
    runs,
    write_atomic,
)

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
