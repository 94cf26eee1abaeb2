"""The loader's bench at its real size, printed and never asserted: `pytest tests/benchmarks -m benchmark -s`."""

import pytest
from tabulate import tabulate

from rein.bench.loader import Case, measure


@pytest.mark.benchmark
@pytest.mark.parametrize("workers", [0, 1, 2])
def test_ratios(workers: int) -> None:
    for rows in measure(Case(workers=workers, cache=512)).values():
        print("\n" + tabulate(rows, headers="keys", tablefmt="plain"))
