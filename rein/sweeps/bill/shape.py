"""What of an experiment makes its cost: runs of one shape take the same time and memory, whatever their numbers are.

A shape is an experiment itself, with everything that costs nothing at its default: the seed, the learning rate, the
weights' values. The network's shape leaves out besides what is read and scored: a step of it has as many FLOPs.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from functools import lru_cache
from operator import attrgetter
from typing import Any

from rein.config import Backbone, Data, Evaluation, Experiment, Head, Mask2Former, Optim, Tuning, flatten

#: Keys of the data that decide which images are seen, not how long it takes to make a batch of them.
FREE_DATA = ("weights", "fraction", "holdout", "unknown_ids", "on_error", "max_class_share", "flip")
#: Weights of the head's losses.
FREE_HEAD = ("class_weight", "mask_weight", "dice_weight", "no_object_weight")
#: Numbers that an update is multiplied with.
FREE_TUNING = ("alpha", "scale")

_DEFAULT = Experiment()
_groups = attrgetter(*(field.name for field in fields(Experiment) if is_dataclass(getattr(_DEFAULT, field.name))))


def shape(experiment: Experiment) -> Experiment:
    """The shape of a run: runs of one shape differ in nothing that a step, a score or a start takes."""
    return Experiment(
        backbone=_backbone(experiment.backbone),
        tuning=_tuning(experiment.tuning),
        head=_head(experiment.head),
        data=_data(experiment.data),
        optim=Optim(precision=experiment.optim.precision),
        evaluation=_evaluation(experiment.evaluation),
    )


class Shapes:
    """The shapes of many runs: equal ones are one object, and runs that share their groups of keys are not looked at
    twice."""

    def __init__(self) -> None:
        self._by_groups: dict[tuple[Any, ...], Experiment] = {}
        self._equal: dict[Experiment, Experiment] = {}
        self._kept: list[Experiment] = []  # so that no other group gets the identity of one that is gone

    def __call__(self, experiment: Experiment) -> Experiment:
        groups = tuple(map(id, _groups(experiment)))
        if groups not in self._by_groups:
            found = shape(experiment)
            self._by_groups[groups] = self._equal.setdefault(found, found)
            self._kept.append(experiment)
        return self._by_groups[groups]


def network(experiment: Experiment) -> Experiment:
    """The shape of its network and batch alone: what parameters, FLOPs and memory of a step are counted for."""
    data = experiment.data
    adversarial = data.augmentation if data.augmentation == "advstyle" else "none"
    return replace(
        shape(experiment),
        data=Data(crop_size=data.crop_size, batch_size=data.batch_size, classes=data.classes, augmentation=adversarial),
        optim=_DEFAULT.optim,
        evaluation=_DEFAULT.evaluation,
    )


def held(experiment: Experiment) -> Experiment:
    """The shape of what it holds in memory at once: its network and batch in their precision, and a score's windows."""
    of = shape(experiment)
    windows = replace(of.evaluation, images=_DEFAULT.evaluation.images)
    return replace(network(experiment), optim=of.optim, evaluation=windows)


def differences(one: Experiment, other: Experiment) -> list[str]:
    """The dotted keys in which two shapes differ; where the methods differ, that alone for the whole group."""
    left, right = flatten(one), flatten(other)
    keys = [key for key in left | right if left.get(key) != right.get(key)]
    methods = {key.partition(".")[0] for key in keys if key.endswith(".method")}
    return [key for key in keys if key.endswith(".method") or key.partition(".")[0] not in methods]


@lru_cache(maxsize=4096)
def _backbone(backbone: Backbone) -> Backbone:
    return replace(backbone, weights=_DEFAULT.backbone.weights, resize=_DEFAULT.backbone.resize)


@lru_cache(maxsize=4096)
def _tuning(tuning: Tuning) -> Tuning:
    return _plain(tuning, FREE_TUNING)


@lru_cache(maxsize=4096)
def _head(head: Head) -> Head:
    return _plain(head, FREE_HEAD) if isinstance(head, Mask2Former) else head


@lru_cache(maxsize=4096)
def _data(data: Data) -> Data:
    return _plain(data, FREE_DATA)


@lru_cache(maxsize=4096)
def _evaluation(evaluation: Evaluation) -> Evaluation:
    return replace(evaluation, every=None)


def _plain(group: Any, names: tuple[str, ...]) -> Any:
    """A group of keys with these at their defaults."""
    return replace(group, **{field.name: field.default for field in fields(group) if field.name in names})
