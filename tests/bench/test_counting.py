"""Kernels, waits and memory of computations whose counts are known."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from rein.bench.counting import count, peak_memory


@pytest.mark.parametrize(
    ("work", "waits"),
    [
        (lambda x: x.sum() * 2, 0),
        (lambda x: x.sum().item(), 1),
        (lambda x: bool(x.sum() > 0), 1),
        (lambda x: float(x.sum()) + int(x[0]), 2),
        (lambda x: x.cpu().numpy(), 1),
        (lambda x: x.to("cpu").tolist(), 1),
        (lambda x: x.numpy(), 1),
        (lambda x: x.tolist(), 1),
        (lambda x: x[x > 0], 1),
        (lambda x: x.nonzero(), 1),
        (lambda x: x[torch.tensor([0, 1])], 0),
        (lambda x: torch.from_numpy(x.cpu().numpy()).to(x.device), 1),
    ],
)
def test_waits(work: Callable[[Tensor], object], waits: int) -> None:
    assert count(lambda: work(torch.ones(4)))[1].total() == waits


def test_kernels_are_what_is_no_view_forward_and_backward() -> None:
    x = torch.ones(3, 4, requires_grad=True)
    kernels, _ = count(lambda: x.T[1:].exp())
    assert kernels == {"exp": 1}
    kernels, _ = count(lambda: x.exp().sum().backward())
    assert kernels["exp"] == kernels["sum"] == kernels["mul"] == 1


def test_what_lies_on_the_host_is_read_without_waiting() -> None:
    step = torch.tensor(3.0)
    kernels, waits = count(lambda: step.item(), [step])
    assert not kernels and not waits


def test_peak_memory_is_what_is_held_at_once() -> None:
    mib = 2**18  # floats

    def work() -> None:
        x = torch.ones(mib)
        del x
        x, y = torch.ones(2 * mib), torch.ones(mib)
        del x, y

    assert peak_memory(work) == pytest.approx(3 * 2**20, rel=0.01)
