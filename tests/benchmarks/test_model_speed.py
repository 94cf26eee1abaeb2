"""The bench at its real sizes, printed and never asserted: `pytest tests/benchmarks -m benchmark -s`."""

import pytest
from tabulate import tabulate

from rein.bench.model import Case, measure

SMALL, TINY = "vit_small_patch14_dinov2.lvd142m", "vit_tiny_patch16_224"


@pytest.mark.benchmark
@pytest.mark.parametrize(
    "case",
    [
        Case("infer", SMALL, 512, 1, compiled=True),
        Case("infer", TINY, 256, 1),
        Case("infer", SMALL, 1024, 1),
        Case("train", SMALL, 512, 1, compiled=True),
        Case("train", TINY, 256, 4),
        Case("train", SMALL, 1024, 1),
    ],
    ids=str,
)
def test_ratios(case: Case) -> None:
    print("\n" + tabulate(measure(case, repeats=5), headers="keys", tablefmt="plain"))
