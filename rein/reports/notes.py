"""What a report must say of its runs: files left out or not read in full, batches that went through in parts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rein.data.unknown import NAMED
from rein.reports.study import Study


def files_note(study: Study) -> str:
    """The sentences that stand with every number of the finished runs; empty where all files and batches were whole."""
    return " ".join(filter(None, (_skipped(study), _unlike(study), _unknown(study), _in_parts(study))))


def files_mark(study: Study) -> str:
    """The same in a few words, for the state of things at a report's top."""
    parts = [f"files were skipped in {_concerned(study, 'skipped_files')}"] if _by_place(study, "skipped_files") else []
    if unlike := unlike_domains(study):
        parts.append(f"runs were scored on different images of {', '.join(unlike)}")
    return "; ".join(parts)


def unlike_domains(study: Study) -> list[str]:
    """The domains of which finished runs were scored on different sets of images."""
    digests: dict[str, set[str]] = {}
    for status in _statuses(study):
        for domain, scored in status.get("scored", {}).items():
            digests.setdefault(domain, set()).add(scored["digest"])
    return [domain for domain, found in digests.items() if len(found) > 1]


def _skipped(study: Study) -> str:
    places = _by_place(study, "skipped_files")
    if not places:
        return ""
    counts = "; ".join(_count(place, concerned) for place, concerned in places.items())
    effects = ["training took the next images instead"] if "train" in places else []
    effects += ["scores are over what was left"] if places.keys() - {"train"} else []
    return f"In {_concerned(study, 'skipped_files')} files were skipped ({counts}): {', '.join(effects)}."


def _count(place: str, statuses: Iterable[dict[str, Any]]) -> str:
    """`toy-day: 2 of 24 images`, `training: 1–3 images`."""
    found = [(status["skipped_files"][place], status.get("scored", {}).get(place)) for status in statuses]
    text = _range(number for number, _ in found)
    totals = [number + scored["images"] for number, scored in found if scored]
    text += f" of {_range(totals)}" if totals else ""
    return f"{'training' if place == 'train' else place}: {_plural(text, 'image')}"


def _unlike(study: Study) -> str:
    names = ", ".join(unlike_domains(study))
    return (
        f"Not all runs were scored on the same images of {names}: their numbers there do not compare." if names else ""
    )


def _unknown(study: Study) -> str:
    parts = []
    for place, concerned in _by_place(study, "unknown_ids").items():
        found = [status["unknown_ids"][place] for status in concerned]
        pixels, files = (_range(one[key] for one in found) for key in ("pixels", "files"))
        parts.append(
            f"{'training' if place == 'train' else place}: {_ids(found)}; {pixels} pixels of {_plural(files, 'file')}"
        )
    if not parts:
        return ""
    runs = _concerned(study, "unknown_ids")
    return f"In {runs} label ids of no known meaning were read as void ({'; '.join(parts)})."


def _in_parts(study: Study) -> str:
    sizes = [status["micro_batch"] for status in _statuses(study) if status.get("micro_batch")]
    if not sizes:
        return ""
    return (
        f"In {_concerned(study, 'micro_batch')} the batches of training went through the network in parts of "
        f"{_plural(_range(sizes), 'image')}, as memory allowed: the numbers are a whole batch's but for rounding."
    )


def _ids(found: Iterable[dict[str, Any]]) -> str:
    """`40, 99`, the commonest of each run, and how many more there are."""
    found = [*found]
    ids = list(dict.fromkeys(id for one in found for id in one["ids"]))
    more = max(len(ids), *(one["values"] for one in found)) - NAMED
    return ", ".join(ids[:NAMED]) + (f" and at least {more:,} more" if more > 0 else "")


def _by_place(study: Study, key: str) -> dict[str, list[dict[str, Any]]]:
    """Of every place that a count of the status names, training or a domain, the runs that have it."""
    places: dict[str, list[dict[str, Any]]] = {}
    for status in _statuses(study):
        for place in status.get(key, {}):
            places.setdefault(place, []).append(status)
    return places


def _concerned(study: Study, key: str) -> str:
    """`3 of 12 runs`: those that a count of the status is of."""
    statuses = _statuses(study)
    return _of(sum(bool(status.get(key)) for status in statuses), statuses)


def _statuses(study: Study) -> list[dict[str, Any]]:
    return [study.statuses[run_id] for run_id in study.done["run_id"]]


def _of(number: int, statuses: list[dict[str, Any]]) -> str:
    return f"{number} of {len(statuses)} runs"


def _plural(number: str, one: str) -> str:
    return f"{number} {one}{'' if number == '1' else 's'}"


def _range(numbers: Iterable[int]) -> str:
    found = [*numbers]
    low, high = min(found), max(found)
    return f"{low:,}" if low == high else f"{low:,}–{high:,}"
