"""The pages of a row's runs in MLflow's UI."""

from __future__ import annotations

import pandas as pd

from rein.ledger import Run
from rein.ledger.tracked import run_url


def links(runs: pd.DataFrame) -> tuple[tuple[str, str], ...]:
    """(`seed 0`, URL) of every run that MLflow has; `runs` are rows of a study's."""
    pages = ((f"seed {seed}", run_url(Run(path))) for path, seed in runs[["path", "seed"]].itertuples(index=False))
    return tuple((what, url) for what, url in pages if url is not None)
