"""A wrong choice on the command line is one line that names the option, the choices, and the nearest of them."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from rein.cli import app
from rein.config import ConfigError


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["sweep", "demo", "--executor", "lokal"], "--executor: 'lokal' is none of ray, local (did you mean `local`?)"),
        (["bench", "model", "trai"], "work: 'trai' is none of infer, train (did you mean `train`?)"),
        (["export", "x", "--format", "zzz", "--out", "f"], "--format: 'zzz' is none of openmmlab, merged, torch, onnx"),
    ],
)
def test_a_wrong_choice_is_said_with_the_nearest_one(words: list[str], said: str) -> None:
    error = CliRunner().invoke(app, words).exception
    assert isinstance(error, ConfigError) and str(error) == said


def test_other_wrong_words_are_left_to_typer() -> None:
    result = CliRunner().invoke(app, ["sweep", "demo", "--jobs", "0"])
    assert result.exit_code == 2 and "--jobs" in result.output and "Traceback" not in result.output
