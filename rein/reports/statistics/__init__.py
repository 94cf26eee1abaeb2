"""What may be said of measured scores: means over seeds, comparisons, ranks, the inverted U. On plain arrays."""

from rein.reports.statistics.comparison import Comparison, corrected
from rein.reports.statistics.difference import Difference
from rein.reports.statistics.holm import holm
from rein.reports.statistics.inverted_u import MIN_POINTS, InvertedU, inverted_u
from rein.reports.statistics.limits import ALPHA, MIN_SEEDS
from rein.reports.statistics.over_images import MIN_IMAGES, draws_for, over_images
from rein.reports.statistics.over_seeds import over_seeds
from rein.reports.statistics.parameters import count, log_parameters
from rein.reports.statistics.peak import Peak, peak
from rein.reports.statistics.power import DROP, power
from rein.reports.statistics.ranks import Ranking, critical_difference, over_shared_seeds, ranking
from rein.reports.statistics.summary import summarise
from rein.reports.statistics.two_lines import LINE_ALPHA, two_lines
from rein.reports.statistics.verdict import CLAIM, Verdict, chance, place_of, probability, verdict

__all__ = [
    "ALPHA", "CLAIM", "DROP", "LINE_ALPHA", "MIN_IMAGES", "MIN_POINTS", "MIN_SEEDS", "Comparison", "Difference",
    "InvertedU", "Peak", "Ranking", "Verdict", "chance", "corrected", "count", "critical_difference", "draws_for",
    "holm", "inverted_u", "log_parameters", "over_images", "over_seeds", "over_shared_seeds", "peak", "place_of",
    "power", "probability", "ranking", "summarise", "two_lines", "verdict",
]  # fmt: skip
