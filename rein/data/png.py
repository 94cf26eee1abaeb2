"""PNG by a decoder that is faster than Pillow's, exact at 16 bits, and stops at the last row asked for."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

import numpy as np

SIGNATURE = b"\x89PNG\r\n\x1a\n"
#: Colour types (PNG specification, 11.2.2).
GREY, RGB, PALETTE, RGBA = 0, 2, 3, 6
#: The decoder's names of them; a palette's indices are read as if they were grey.
_MODES = {GREY: "mono", RGB: "rgb", PALETTE: "mono", RGBA: "rgba"}
_IHDR = struct.Struct(">IIBBBBB")


@dataclass(frozen=True)
class Header:
    """What a PNG file says of itself: sizes in pixels, bits a channel, colour type."""

    width: int
    height: int
    depth: int
    colour: int
    interlaced: bool

    @property
    def decodable(self) -> bool:
        """Whether `decode` reads it: 8 or 16 bits, rows in order, and not grey with alpha."""
        return self.depth in (8, 16) and self.colour in _MODES and not self.interlaced


def header(data: bytes) -> Header | None:
    """The header of a PNG file; None where the bytes are of no PNG."""
    if len(data) < 33 or not data.startswith(SIGNATURE + b"\0\0\0\rIHDR"):
        return None
    width, height, depth, colour, _, _, interlace = _IHDR.unpack_from(data, 16)
    return Header(width, height, depth, colour, bool(interlace))


def decode(data: bytes, form: Header, rows: int | None = None) -> np.ndarray:
    """Stored values (rows, W, channels), uint8 or uint16, of the whole image or of its first rows.

    Palettes give indices. Raises ValueError where the file ends early or a chunk's checksum is wrong, also below the
    last row asked for: those rows are neither inflated nor filtered, but their bytes are summed.
    """
    import kornia_rs  # 10 MB of code that a process without PNG files does without

    rows = form.height if rows is None else min(rows, form.height)
    decoded = kornia_rs.io.decode_image_png_u8 if form.depth == 8 else kornia_rs.io.decode_image_png_u16
    try:
        return np.asarray(decoded(_bare(data, form, rows), (rows, form.width), _MODES[form.colour]))
    except Exception as error:  # the decoder has no error class of its own
        raise ValueError(str(error).removeprefix("Failed to decode the png image. ")) from None


def _bare(data: bytes, form: Header, rows: int) -> bytes:
    """The file with a header that ends it after `rows`, and without what says how its pixels are shown."""
    colour = GREY if form.colour == PALETTE else form.colour
    head = b"IHDR" + _IHDR.pack(form.width, rows, form.depth, colour, 0, 0, 0)
    check = struct.pack(">I", zlib.crc32(head))
    return b"".join((SIGNATURE, b"\0\0\0\r", head, check, memoryview(data)[_first_pixels(data) :]))


def _first_pixels(data: bytes) -> int:
    """Where the first chunk of pixels begins."""
    place = 33
    while place + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        if kind == b"IDAT":
            return place
        place += length + 12
    raise ValueError("no pixels in the file")
