"""The hash that a config update stores for `cipassword`."""

from __future__ import annotations

import hashlib
import random

SALT_LETTERS = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def hashed(plain: str, rng: random.Random) -> str:
    """`$5$salt$hash`, shaped as crypt(3)'s SHA-256. Nothing in the simulated cluster logs in with
    it, so the digest is one plain SHA-256 round of salt and password, not crypt's 5000."""
    salt = "".join(rng.choice(SALT_LETTERS) for _ in range(8))
    raw = hashlib.sha256(f"{salt}{plain}".encode()).digest()
    number = int.from_bytes(raw, "big")
    letters = "".join(SALT_LETTERS[(number >> (6 * place)) & 63] for place in range(43))
    return f"$5${salt}${letters}"
