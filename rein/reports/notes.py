"""What a report must say of files that its runs left out or could not read in full."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rein.data.unknown import NAMED
from rein.reports.study import Study


def files_note(study: Study) -> str:
    """The sentences that stand with every number of the finished runs; empty where all files were read."""
    return " ".join(filter(None, (_skipped(study), _unlike(study), _unknown(study))))


def files_mark(study: Study) -> str:
    """The same in a few words, for the state of things at a report's top."""
    statuses = _statuses(study)
    skipping = sum(bool(status.get("skipped_files")) for status in statuses)
    parts = [f"files were skipped in {_of(skipping, statuses)}"] if skipping else []
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
    statuses = _statuses(study)
    concerned = [status for status in statuses if status.get("skipped_files")]
    if not concerned:
        return ""
    places = dict.fromkeys(place for status in concerned for place in status["skipped_files"])
    counts = "; ".join(
        _count(place, [status for status in concerned if place in status["skipped_files"]]) for place in places
    )
    effects = ["training took the next images instead"] if "train" in places else []
    effects += ["scores are over what was left"] if places.keys() - {"train"} else []
    return f"In {_of(len(concerned), statuses)} files were skipped ({counts}): {', '.join(effects)}."


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
    statuses = _statuses(study)
    concerned = [status for status in statuses if status.get("unknown_ids")]
    if not concerned:
        return ""
    places = dict.fromkeys(place for status in concerned for place in status["unknown_ids"])
    parts = []
    for place in places:
        found = [status["unknown_ids"][place] for status in concerned if place in status["unknown_ids"]]
        pixels, files = (_range(one[key] for one in found) for key in ("pixels", "files"))
        parts.append(
            f"{'training' if place == 'train' else place}: {_ids(found)}; {pixels} pixels of {_plural(files, 'file')}"
        )
    return f"In {_of(len(concerned), statuses)} label ids of no known meaning were read as void ({'; '.join(parts)})."


def _ids(found: Iterable[dict[str, Any]]) -> str:
    """`40, 99`, the commonest of each run, and how many more there are."""
    found = [*found]
    ids = list(dict.fromkeys(id for one in found for id in one["ids"]))
    more = max(len(ids), *(one["values"] for one in found)) - NAMED
    return ", ".join(ids[:NAMED]) + (f" and at least {more:,} more" if more > 0 else "")


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
