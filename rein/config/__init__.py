"""What people write down: experiments, sweeps, reports, and the machine they run on. No torch here."""

from rein.config.data import Data
from rein.config.errors import ConfigError, nearest
from rein.config.experiment import SCHEMA_VERSION, Backbone, Evaluation, Experiment, Optim, run_id
from rein.config.heads import Head, Linear, Mask2Former, SemFPN
from rein.config.machine import Machine
from rein.config.mappings import flatten, to_dict
from rein.config.report import Figure, Report, Table
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

__all__ = [
    "SCHEMA_VERSION", "VPT", "AdaptFormer", "Backbone", "BitFit", "ConfigError", "Data", "Evaluation", "Experiment",
    "Figure", "Frozen", "Full", "Head", "LastBlocks", "Linear", "LoRA", "Machine", "Mask2Former", "Norm", "Optim",
    "Partial", "Rein", "Report", "Resources", "Rule", "SemFPN", "SoMA", "Sweep", "Table", "Tuning", "flatten",
    "nearest", "run_id", "to_dict",
]  # fmt: skip
