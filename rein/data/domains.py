"""The domains by name: what `rein list domains` prints and a config's `sources` and `targets` name."""

from __future__ import annotations

from collections.abc import Mapping

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


def _corrupted(corruption: str, severity: int) -> Domain:
    return Domain(
        f"cityscapes-c-{corruption}-{severity}",
        CITYSCAPES_FOLDERS,
        {"val": fine("val", 500)},
        note=f"Cityscapes val with {corruption.replace('-', ' ')} of severity {severity} of 5, made when it is read",
        corruption=(corruption, severity),
    )


DOMAINS: dict[str, Domain] = {
    domain.name: domain
    for domain in (
        *STREET_SCENES,
        *(_corrupted(corruption, severity) for corruption in CORRUPTIONS for severity in SEVERITIES),
        _toy("game", "train", "val", note="toy source: clean, saturated, one town"),
        _toy("day", "val", note="toy target: other textures and layout"),
        _toy("night", "val", note="toy target: dusk and night"),
        _toy("fog", "val", note="toy target: fog"),
        _toy("rain", "val", note="toy target: rain"),
    )
}

#: The domains as they are before files of one's own are read.
SHIPPED: Mapping[str, Domain] = dict(DOMAINS)

#: Name of a family -> its members; a family can be named wherever targets are.
FAMILIES: dict[str, tuple[str, ...]] = {
    "cityscapes-c": tuple(f"cityscapes-c-{name}-{severity}" for name in CORRUPTIONS for severity in SEVERITIES),
    **{
        f"cityscapes-c-{name}": tuple(f"cityscapes-c-{name}-{severity}" for severity in SEVERITIES)
        for name in CORRUPTIONS
    },
}
