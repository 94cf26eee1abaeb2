"""The overhead of a sweep beside a bare loop: `pytest tests/benchmarks/test_sweep_overhead.py -m benchmark -s`."""

import pytest
from tabulate import tabulate

from rein.bench.overhead import Case, measure


@pytest.mark.benchmark
def test_a_sweep_beside_a_bare_loop() -> None:
    rows = measure(Case(repeats=1))
    print("\n" + tabulate(rows, headers="keys", tablefmt="plain"))
    ray = next(row for row in rows if row["side"] == "rein sweep")
    assert ray["fixed s over bare"] <= 15 and ray["s a run over bare"] <= 1.5
