"""One training crop, from the files of one sample."""

from __future__ import annotations

from torch import Generator, Tensor

from rein.config import Data
from rein.data.domain import Sample
from rein.data.reading import read_image
from rein.data.transforms import cut, draw_window, match_label
from rein.data.unknown import Unknown
from rein.data.whole import check_pair, whole_image, whole_label, whole_size


def read_crop(sample: Sample, data: Data, generator: Generator) -> tuple[Tensor, Tensor, Unknown]:
    """uint8 image (3, C, C), int64 train ids (C, C), and the unknown ids of the label file.

    The place is chosen on the label, and of the image only the rows down to the crop's last one are decoded.
    """
    label, unknown = whole_label(sample, data)
    size = whole_size(sample)
    check_pair(size, tuple(label.shape), sample)
    label = match_label(label, size)
    window = draw_window(label, data, generator)
    as_stored = not (sample.halve or sample.corruption)
    image = read_image(sample.image, window.needed_rows(size[0])) if as_stored else whole_image(sample)
    return *cut(image, label, window, data, generator), unknown
