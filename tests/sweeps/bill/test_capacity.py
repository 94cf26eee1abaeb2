"""How long runs take side by side: by hand, and never sooner than nodes and the longest run allow."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rein.config import Resources
from rein.sweeps.bill.capacity import wall_seconds
from rein.sweeps.resources import Node

ONE = Resources(cpu=1)


def test_the_longest_come_first() -> None:
    assert wall_seconds({ONE: [1, 1, 2]}, [Node(2, 0)], None) == 2
    assert wall_seconds({ONE: [1, 1, 2]}, [Node(2, 0)], 1) == 4
    assert wall_seconds({Resources(cpu=1, gpu=0.5): [3.0] * 4}, [Node(8, 1)], None) == 6


def test_workers_are_placed_together_or_not_at_all() -> None:
    two = Resources(cpu=1, gpu=1, workers=2)
    assert wall_seconds({two: [5.0, 5.0]}, [Node(4, 1), Node(4, 1)], None) == 10
    assert wall_seconds({two: [5.0]}, [Node(4, 1)], None) == 0, "what fits nowhere is left out"


@given(st.lists(st.floats(0.1, 50), min_size=1, max_size=30), st.integers(1, 5))
def test_it_is_between_the_bounds_of_a_list_schedule(seconds: list[float], cpus: int) -> None:
    wall = wall_seconds({ONE: seconds}, [Node(cpus, 0)], None)
    least = max(max(seconds), sum(seconds) / cpus)
    assert least - 1e-6 <= wall <= sum(seconds) / cpus + max(seconds) + 1e-6
