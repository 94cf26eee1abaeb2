"""The domains by name: what `rein list domains` prints and a config's `sources` and `targets` name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from rein.config import ConfigError, nearest
from rein.data.domain import Domain, Layout, Split
from rein.data.label_tables import TRAIN_IDS
from rein.data.street_scenes import CITYSCAPES_FOLDERS, STREET_SCENES, fine

#: Of Cityscapes-C: noise, blur, digital and weather, four each (arXiv 1908.05005 with SegFormer, arXiv 2105.15203).
CORRUPTIONS: tuple[str, ...] = (
    "gaussian-noise", "shot-noise", "impulse-noise", "speckle-noise",
    "motion-blur", "defocus-blur", "glass-blur", "gaussian-blur",
    "brightness", "contrast", "saturate", "jpeg-compression",
    "snow", "spatter", "fog", "frost",
)  # fmt: skip
SEVERITIES = range(1, 6)

#: Of the toy world's: frost is made of photographs that not every machine has, and three severities will do.
TOY_CORRUPTIONS, TOY_SEVERITIES = tuple(name for name in CORRUPTIONS if name != "frost"), (1, 3, 5)


def find(name: str) -> Domain:
    """A domain by its name. Raises ConfigError with the nearest known one."""
    if name not in DOMAINS:
        known = [*DOMAINS, *FAMILIES]
        raise ConfigError(f"unknown domain {name!r}{nearest(name, known)}; `rein list domains` prints them all")
    return DOMAINS[name]


def expand(name: str) -> tuple[str, ...]:
    """The domains that a family's name stands for (`cityscapes-c`, `cityscapes-c-fog`); any other stands for itself."""
    return FAMILIES.get(name, (name,)) if name not in DOMAINS else (name,)


def register(domain: Domain) -> None:
    """Make a domain of one's own known by its name; a shipped one of that name gives way."""
    DOMAINS[domain.name] = domain


def _toy(style: str, *splits: str, note: str) -> Domain:
    rules = {
        split: Split((Layout(f"images/{split}/*.png", ((f"labels/{split}/*.png", TRAIN_IDS),)),)) for split in splits
    }
    return Domain(f"toy-{style}", (f"toy/{style}",), rules, note=note, toy_style=style)


def _corrupted(name: str, clean: Domain, what: str, corruption: str, severity: int) -> Domain:
    note = f"{what} with {corruption.replace('-', ' ')} of severity {severity} of 5, made when it is read"
    splits = {"val": clean.splits["val"]}
    return replace(
        clean, name=f"{name}-{corruption}-{severity}", splits=splits, note=note, corruption=(corruption, severity)
    )


_CITYSCAPES = Domain("", CITYSCAPES_FOLDERS, {"val": fine("val", 500)})
_TOY_DAY = _toy("day", "train", "val", note="toy target: other textures and layout")

DOMAINS: dict[str, Domain] = {
    domain.name: domain
    for domain in (
        *STREET_SCENES,
        *(
            _corrupted("cityscapes-c", _CITYSCAPES, "Cityscapes val", corruption, severity)
            for corruption in CORRUPTIONS
            for severity in SEVERITIES
        ),
        _toy("game", "train", "val", note="toy source: clean, saturated, one town"),
        _TOY_DAY,
        _toy("night", "val", note="toy target: dusk and night"),
        _toy("fog", "val", note="toy target: fog"),
        _toy("rain", "val", note="toy target: rain"),
        _toy("snow", "val", note="toy target: snow"),
        _toy("arcade", "train", "val", note="toy source: flat, shrill colours"),
        _toy("studio", "train", "val", note="toy source: duller, a wider town"),
        *(
            _corrupted("toy-c", _TOY_DAY, "toy-day", corruption, severity)
            for corruption in TOY_CORRUPTIONS
            for severity in TOY_SEVERITIES
        ),
    )
}

#: The domains as they are before files of one's own are read.
SHIPPED: Mapping[str, Domain] = dict(DOMAINS)


def _families(name: str, corruptions: Iterable[str], severities: Iterable[int]) -> dict[str, tuple[str, ...]]:
    of_one = {f"{name}-{one}": tuple(f"{name}-{one}-{severity}" for severity in severities) for one in corruptions}
    return {name: tuple(member for members in of_one.values() for member in members), **of_one}


#: Name of a family -> its members; a family can be named wherever targets are.
FAMILIES: dict[str, tuple[str, ...]] = {
    **_families("cityscapes-c", CORRUPTIONS, SEVERITIES),
    **_families("toy-c", TOY_CORRUPTIONS, TOY_SEVERITIES),
}
