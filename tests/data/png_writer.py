"""PNG files byte by byte, of kinds that Pillow does not write: an oracle that shares no code with any reader."""

from __future__ import annotations

import itertools
import struct
import zlib

import numpy as np

SIGNATURE = b"\x89PNG\r\n\x1a\n"
COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(pixels: np.ndarray, depth: int = 0, palette: bool = False, extra: bytes = b"", pieces: int = 1) -> bytes:
    """A PNG of (H, W) or (H, W, channels); `depth` 1, 2 or 4 packs a grey image, else the dtype says 8 or 16."""
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    height, width, channels = pixels.shape
    depth = depth or 8 * pixels.dtype.itemsize
    colour = 3 if palette else COLOUR_TYPES[channels]
    lines = b"".join(b"\0" + _packed(line, depth) for line in pixels)
    stream = zlib.compress(lines)
    cuts = [len(stream) * i // pieces for i in range(pieces + 1)]
    body = b"".join(chunk(b"IDAT", stream[a:b]) for a, b in itertools.pairwise(cuts))
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return SIGNATURE + chunk(b"IHDR", head) + extra + body + chunk(b"IEND", b"")


def _packed(line: np.ndarray, depth: int) -> bytes:
    if depth >= 8:
        return line.astype(f">u{depth // 8}").tobytes()
    bits = (line.ravel()[:, None] >> np.arange(depth - 1, -1, -1)) & 1
    return np.packbits(bits.astype(np.uint8).ravel()).tobytes()
