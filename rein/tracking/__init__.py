"""MLflow as a view of the ledger: one writer, the driver, that copies what is new; all that knows MLflow is in here.

Workers never speak to the tracker, so nothing of a run depends on it: a server that is away costs nothing, and what
it missed is filled in by the next `sync`. What was copied so far stands in the run's `mlflow.json`, and so does the
store that it was copied to: a store that was lost and made anew is another one, and is filled from the beginning.
"""

from rein.tracking.store import EXPERIMENT, Store, default_uri, prepare
from rein.tracking.sweep_run import find_sweep
from rein.tracking.tracker import Tracker

__all__ = ["EXPERIMENT", "Store", "Tracker", "default_uri", "find_sweep", "prepare"]
