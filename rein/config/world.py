"""A world is a place to ask a sweep's question in: other domains, backbones and sizes in place of its own."""

from __future__ import annotations

from dataclasses import dataclass, field

from rein.config.search import Axis
from rein.config.strict import STRICT
from rein.config.sweep import Resources


@dataclass(frozen=True, kw_only=True)
class World:
    """What stands for what; a sweep's points and axes stay as they are."""

    __pydantic_config__ = STRICT
    #: The experiment that gives sizes, budget and recipe.
    experiment: str
    #: Domain of the sweep -> domain of this world.
    domains: dict[str, str]
    #: Backbone of the sweep -> backbone of this world.
    backbones: dict[str, str]
    #: Axes in place of those of the same key that a sweep has: fewer seeds, say.
    vary: dict[str, Axis] = field(default_factory=dict)
    #: What one run may use.
    resources: Resources = field(default_factory=Resources)
    #: Opens every report: what numbers of this world say and what they do not.
    text: str = ""
    #: Stands in the caption of every table and figure, which may be read without the report.
    caption: str = "Measured in another world, whose domains and backbones stand for those of the sweep."
