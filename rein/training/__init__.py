"""Training one run: `train` and what it is made of."""

from rein.training.one_run import train

__all__ = ["train"]
