"""Secrets that cannot be printed by accident."""

import hashlib
import hmac


class Secret:
    """A secret text: prints as `***`; `reveal()` is for the one place that sends it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def fingerprint(self, key: bytes) -> str:
        """A keyed hash (HMAC-SHA256, 32 hex digits): equal for equal secrets under one key."""
        return hmac.new(key, self._text.encode(), hashlib.sha256).hexdigest()[:32]

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(
            self._text.encode(), other._text.encode()
        )

    def __hash__(self) -> int:
        return hash(("Secret", self._text))
