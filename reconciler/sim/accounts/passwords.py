"""The hash that a config update stores for `cipassword`: crypt(3)'s SHA-256 method.

Sources: pve-common PVE/Tools.pm (encrypt_pw); the method is U. Drepper's "Unix crypt using
SHA-256 and SHA-512".
"""

from __future__ import annotations

import hashlib
import random
import string

SALT_LETTERS = "./" + string.digits + string.ascii_uppercase + string.ascii_lowercase
ROUNDS = 5000
ORDER = (
    *((0, 10, 20), (21, 1, 11), (12, 22, 2), (3, 13, 23), (24, 4, 14)),
    *((15, 25, 5), (6, 16, 26), (27, 7, 17), (18, 28, 8), (9, 19, 29)),
)
"""Which bytes of the digest make up each group of four letters; bytes 31 and 30 come last."""


def hashed(plain: str, rng: random.Random) -> str:
    """`$5$SALT$HASH` with a new salt of 8 letters; a guest can log in with it."""
    return crypt_sha256(plain, "".join(rng.choice(SALT_LETTERS) for _ in range(8)))


def crypt_sha256(plain: str, salt: str) -> str:
    """The crypt hash of a password under a given salt."""
    key, grain = plain.encode(), salt.encode()
    inner = hashlib.sha256(key + grain + key).digest()
    parts = [key, grain, _stretched(inner, len(key))]
    bits = len(key)
    while bits:
        parts.append(inner if bits & 1 else key)
        bits >>= 1
    digest = hashlib.sha256(b"".join(parts)).digest()
    keys = _stretched(hashlib.sha256(key * len(key)).digest(), len(key))
    salts = _stretched(hashlib.sha256(grain * (16 + digest[0])).digest(), len(grain))
    for turn in range(ROUNDS):
        odd = turn & 1
        middle = (salts if turn % 3 else b"") + (keys if turn % 7 else b"")
        whole = keys + middle + digest if odd else digest + middle + keys
        digest = hashlib.sha256(whole).digest()
    return f"$5${salt}${_letters(digest)}"


def _stretched(block: bytes, size: int) -> bytes:
    return (block * (size // len(block) + 1))[:size]


def _letters(digest: bytes) -> str:
    groups = [(digest[a] << 16 | digest[b] << 8 | digest[c], 4) for a, b, c in ORDER]
    groups.append((digest[31] << 8 | digest[30], 3))
    return "".join(
        SALT_LETTERS[(number >> 6 * place) & 63] for number, size in groups for place in range(size)
    )
