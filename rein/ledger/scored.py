"""What a record of metrics.jsonl says of scores: one number a domain, and their means."""

from __future__ import annotations

import math
from collections.abc import Iterable
from statistics import fmean


def in_short(scores: Iterable[tuple[str, str, float]]) -> dict[str, float]:
    """Of (domain, role, mIoU) of one step `<domain>/miou`, and the means over targets and over sources."""
    known = [score for score in scores if not math.isnan(score[2])]  # without labelled pixels there is no score
    record = {f"{domain}/miou": miou for domain, _, miou in known}
    targets = [miou for _, role, miou in known if role == "target"]
    if targets:  # one number to sort runs by while they run; tables average by themselves
        record["targets/miou"] = fmean(targets)
    sources = [miou for _, role, miou in known if role == "source"]
    if sources:  # the only one that a search may choose by
        record["source_val"] = fmean(sources)
    return record
