"""Images' counts of many runs come back from their one file."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from rein.image_counts import ImageCounts
from rein.packing.images import pack_runs, read_runs

#: Few numbers, so that several runs are scored on the same images.
Images = (
    st.tuples(st.integers(1, 5), st.just(3), st.integers(1, 6))
    .flatmap(lambda shape: npst.arrays(np.int64, shape, elements=st.sampled_from([0, 0, 0, 1, 5, 2**31 - 1])))
    .map(lambda counts: ImageCounts(tuple(f"{i:03}" for i in range(len(counts))), counts))
)

Runs = st.dictionaries(
    st.text("0123456789abcdef", min_size=1, max_size=4),
    st.dictionaries(st.sampled_from(["toy-day", "a.b", "c"]), Images),
    max_size=4,
)


@given(Runs)
def test_what_is_packed_of_many_runs_is_read_again(runs: dict[str, dict[str, ImageCounts]]) -> None:
    found = read_runs(BytesIO(pack_runs(runs)))
    assert found.keys() == {id for id, domains in runs.items() if domains}
    for id, domains in found.items():
        assert domains.keys() == runs[id].keys()
        for name, images in domains.items():
            assert images.names == runs[id][name].names and images.counts.dtype == np.int64
            np.testing.assert_array_equal(images.counts, runs[id][name].counts)
