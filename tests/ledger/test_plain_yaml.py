"""What the plain reader reads, a YAML library reads to the same values and types; and it reads the ledger's files."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from rein.config import Experiment
from rein.config_io import dump, shipped
from rein.ledger.plain_yaml import read

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.from_regex(r"[\w./:-]{1,9}", fullmatch=True)
    | st.from_regex(r"[\w./-]{1,3}( [\w./:#-]{1,3}){1,2}", fullmatch=True)
    | st.sampled_from(["yes", "No", "~", "1e5", "1_000", "012", "1:30", "2024-01-01", "0x1f", "=", "<<", ".inf", "a:"])
)
TREES = st.dictionaries(
    st.text(max_size=5) | st.sampled_from(["a", "lr", "on", "y", "null", "1", "<<"]),
    st.recursive(
        SCALARS | st.lists(SCALARS, max_size=4),
        lambda inner: st.dictionaries(st.sampled_from("abcdef"), inner, max_size=3) | st.lists(inner, max_size=2),
    ),
)


def same(one: Any, other: Any) -> bool:
    return repr(one) == repr(other)  # types, the sign of zero and nan count


def library(text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:
        return error


@given(TREES)
def test_of_what_is_dumped_it_reads_the_same_or_nothing(tree: dict[str, Any]) -> None:
    text = yaml.safe_dump(tree, sort_keys=False)
    values = read(text)
    assert values is None or same(values, tree)


LINES = st.lists(
    st.tuples(
        st.sampled_from(["", "  ", "    ", " "]),
        st.sampled_from(["a:", "b:", "- ", "-", "a", "on:", "é:", "- a:", "# a:", "a::", "a b:", "---", "..."]),
        st.sampled_from(["", " ", "  "]),
        SCALARS.map(str) | st.sampled_from(["[]", "{}", "[1]", "*a", "&a", "!x", "|", "'a'", "a#", "a #", "\t", "é"]),
    ).map("".join),
    max_size=6,
).map("\n".join)


@given(LINES)
@example("a:\n-\n")
@example("a:\n  b: 1\n c: 2")
@example("a:\n- 1\n  b: 2")
@example("a: 1\na: 2")
@example("a:\x85b: 1")
@example("a: b\x0bc: 1")
@example("a: b\u2028c: 1")
@example("a: traffic sign\nb: no 1 -\nc:\n- on y\n- d e-5")
def test_of_any_lines_it_reads_what_a_library_does_or_nothing(text: str) -> None:
    values = read(text)
    assert values is None or same(values or None, library(text)), text


@pytest.mark.parametrize("path", shipped(Experiment).values(), ids=lambda path: path.stem)
def test_it_reads_every_experiment_as_the_ledger_keeps_it(path: Any) -> None:
    from rein.config_io import load

    text = dump(load(Experiment, path))
    values = read(text)
    assert values is not None and same(values, yaml.safe_load(text))
