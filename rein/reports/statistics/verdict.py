"""What may be said about an inverted U, in a sentence that can come out negative."""

from __future__ import annotations

from dataclasses import dataclass

from rein.reports.statistics.inverted_u import MIN_POINTS, InvertedU
from rein.reports.statistics.limits import MIN_SEEDS
from rein.reports.statistics.parameters import count
from rein.reports.statistics.power import DROP
from rein.reports.statistics.two_lines import LINE_ALPHA

#: What the test takes to claim an inverted U, and what it leaves open where it does not.
CLAIM = (
    f"A claim asks for a significant rise and a significant fall (each p < {LINE_ALPHA:g}); their lack does not show "
    f"that there is none."
)


@dataclass(frozen=True)
class Verdict:
    """A sentence that claims something, or says that nothing is claimed, and the numbers behind it."""

    claim: str
    evidence: str


def verdict(found: InvertedU, of: str, unit: str = "points") -> Verdict:
    """What may be said about a rise and fall of `of` (`average target mIoU`)."""
    if found.below is None or found.above is None or found.break_at is None:
        return Verdict(
            f"There is too little data to test whether {of} rises and falls with the trainable parameters.",
            f"Finished runs lie at {found.points} parameter counts (at least {MIN_POINTS} are needed), and the one "
            f"with the fewest has {found.seeds} (at least {MIN_SEEDS} are needed).",
        )
    below, above = (
        f"{line.slope:+.2f} {unit} per tenfold parameters {side} it (p {probability(line.p)})".replace("-", "−")
        for line, side in ((found.below, "below"), (found.above, "above"))
    )
    evidence = (
        f"Two-lines test on {found.runs} runs at {found.points} parameter counts, {found.seeds} or more at each: "
        f"break at {count(10**found.break_at)}, slope {below} and {above}."
    )
    if not found.claimed:
        falls = found.falls
        return Verdict(
            f"With more trainable parameters {of} falls in the end; there is no evidence that it rises before."
            if falls
            else f"There is no evidence of a decline in {of} after a rise with the trainable parameters.",
            f"{evidence} {CLAIM} {_power(found, unit)}",
        )
    return Verdict(
        f"With more trainable parameters {of} rises and then falls.",
        f"{evidence} {_place(found)} {_power(found, unit)}",
    )


def probability(p: float) -> str:
    """`= 0.013`, `< 0.001`."""
    return "< 0.001" if p < 0.001 else f"= {p:.3f}" if p < 0.1 else f"= {p:.2f}"


def chance(power: float) -> str:
    """`76 %`, `over 99 %`, `under 1 %`."""
    percent = 100 * power
    return "over 99 %" if percent > 99 else "under 1 %" if percent < 1 else f"{percent:.0f} %"


def _place(found: InvertedU) -> str:
    if found.peak is None:
        return "The data do not fix where the peak lies: how a quadratic curves is not clear from them."
    at, low, high = (place_of(found, place) for place in (found.peak.vertex, found.peak.low, found.peak.high))
    return (
        f"The vertex of a quadratic in log10(parameters) lies at {at} (95 % interval after Fieller: {low} to {high}; "
        f"how well a quadratic fits at all is not in it)."
    )


def place_of(found: InvertedU, place: float) -> str:
    """A place on the axis in words; an interval may reach far beyond what was run, where a number means nothing."""
    if place < found.smallest:
        return "below the smallest count"
    return "above the largest count" if place > found.largest else count(10**place)


def _power(found: InvertedU, unit: str) -> str:
    """How likely the test at hand is to see a fall that is there."""
    seeds = f"{found.seeds} seeds" + (" or more" if found.runs > found.points * found.seeds else "")
    return (
        f"With {found.points} points, {seeds} and this spread (sd {found.spread:.2f} {unit} between the "
        f"seeds of a point) a fall of {DROP:g} {unit} from a peak at the middle count would be claimed in "
        f"{chance(found.power)} of sweeps."
    )
