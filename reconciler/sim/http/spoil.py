"""Bodies that no client should fall for."""

from __future__ import annotations

import zlib
from functools import lru_cache

MIB = 1024**2
PAGE = b"<html><head><title>502 Bad Gateway</title></head><body>nothing here</body></html>"
"""What a proxy in between answers instead of the node, with status 200."""


@lru_cache(maxsize=2)
def bomb(size: int) -> bytes:
    """A small gzip body that unpacks to a JSON text of about `size` bytes."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    chunk = b"0" * MIB
    parts = [packer.compress(b'{"data":"')]
    parts += [packer.compress(chunk[: min(MIB, size - at)]) for at in range(0, size, MIB)]
    return b"".join([*parts, packer.compress(b'"}'), packer.flush()])
