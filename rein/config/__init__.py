"""What people write down: experiments, sweeps, reports, and the machine they run on. No torch here."""

from rein.config.data import Data
from rein.config.errors import ConfigError, nearest
from rein.config.experiment import SCHEMA_VERSION, Backbone, Evaluation, Experiment, Optim, run_id
from rein.config.heads import Head, Linear, Mask2Former, SemFPN
from rein.config.machine import Machine
from rein.config.mappings import flatten, to_dict
from rein.config.report import Figure, Report, Table
from rein.config.search import ASHA, PBT, HyperBand, Median, Search
from rein.config.sweep import Resources, Rule, Sweep
from rein.config.tunings import (
    VPT,
    AdaptFormer,
    BitFit,
    Frozen,
    Full,
    LastBlocks,
    LoRA,
    Norm,
    Partial,
    Rein,
    SoMA,
    Tuning,
)  # fmt: skip
from rein.config.world import World

__all__ = [
    "ASHA", "PBT", "SCHEMA_VERSION", "VPT", "AdaptFormer", "Backbone", "BitFit", "ConfigError", "Data", "Evaluation",
    "Experiment", "Figure", "Frozen", "Full", "Head", "HyperBand", "LastBlocks", "Linear", "LoRA", "Machine",
    "Mask2Former", "Median", "Norm", "Optim", "Partial", "Rein", "Report", "Resources", "Rule", "Search", "SemFPN",
    "SoMA", "Sweep", "Table", "Tuning", "World", "flatten", "nearest", "run_id", "to_dict",
]  # fmt: skip
