"""Secrets at rest: sealed with a key that lies in a 0600 file beside the database.

One key, two uses: fingerprints (HMAC, cheap to compare) and, through a key derived from it,
sealing (AES-256-GCM). Nothing here is ever written or shown in clear (C17).
"""

import hashlib
import hmac
import logging
import os
import secrets as randomness
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from sqlalchemy import select, update

from state import tables
from state.database import Database, Unreadable, upsert
from state.secret import Secret

logger = logging.getLogger(__name__)

KEY_BYTES = 32
NONCE_BYTES = 12


class Vault:
    """Fingerprints and sealed secrets by (key, use); a use is a word such as `password`."""

    def __init__(self, database: Database, key: bytes) -> None:
        self._database = database
        self.key = key

    def fingerprint(self, secret: Secret) -> str:
        return secret.fingerprint(self.key)

    def set_fingerprint(self, key: str, use: str, value: str) -> None:
        """Remembers a value for the machine `key`; committed before what it stands for is sent."""
        with self._database.writing(f"keep the fingerprint {use} of {key}") as link:
            upsert(link, tables.fingerprints, [{"key": key, "use": use, "value": value}])

    def keep(self, key: str, use: str, secret: Secret) -> None:
        """Seals a secret, in the place of an older one; it counts as not shown yet."""
        row = {"key": key, "use": use, "sealed": self._seal(use, secret), "shown_at": None}
        with self._database.writing(f"keep the secret {use} of {key}") as link:
            upsert(link, tables.secrets, [row])

    def reveal(self, key: str, use: str) -> Secret | None:
        """The secret; None when there is none; Unreadable when it was sealed by another key."""
        columns = tables.secrets.c
        statement = select(columns.sealed).where(columns.key == key, columns.use == use)
        with self._database.reading(f"read the secret {use} of {key}") as link:
            sealed = link.execute(statement).scalar()
        return None if sealed is None else self._open(f"{key}: the secret {use}", use, sealed)

    def secrets(self, keys: Iterable[str] | None = None) -> dict[str, frozenset[str]]:
        """Which uses have a sealed secret, by key; nothing is opened."""
        columns = tables.secrets.c
        wanted = None if keys is None else frozenset(keys)
        uses: dict[str, set[str]] = {}
        with self._database.reading("read which secrets there are") as link:
            for key, use in link.execute(select(columns.key, columns.use)):
                if wanted is None or key in wanted:
                    uses.setdefault(key, set()).add(use)
        return {key: frozenset(found) for key, found in uses.items()}

    def shown(self, key: str, use: str, at: datetime) -> bool:
        """Marks a secret as delivered; False when there is none or it was delivered before."""
        columns = tables.secrets.c
        with self._database.writing(f"deliver the secret {use} of {key}") as link:
            marked = link.execute(
                update(tables.secrets)
                .where(columns.key == key, columns.use == use, columns.shown_at.is_(None))
                .values(shown_at=at)
            )
        return marked.rowcount == 1

    def _seal(self, use: str, secret: Secret) -> bytes:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # slow to import

        nonce = randomness.token_bytes(NONCE_BYTES)
        return nonce + AESGCM(self._sealing_key()).encrypt(
            nonce, secret.reveal().encode(), use.encode()
        )

    def _open(self, what: str, use: str, sealed: bytes) -> Secret:
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        nonce, text = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
        try:
            opened = AESGCM(self._sealing_key()).decrypt(nonce, text, use.encode())
        except (InvalidTag, ValueError) as error:
            raise Unreadable(
                f"{what} does not open with this key; put back the key file of that time,"
                " or set a new password"
            ) from error
        return Secret(opened.decode())

    def _sealing_key(self) -> bytes:
        return hmac.new(self.key, b"seal", hashlib.sha256).digest()


def read_key(path: Path) -> bytes:
    """The key in a file; Unreadable when it is missing or is no key."""
    try:
        key = bytes.fromhex(path.read_text("ascii"))
    except FileNotFoundError as error:
        raise Unreadable(
            f"{path}: the key file of this database is missing; put it back from a backup, or"
            " move the database away and run `reconcile rebuild-state`"
        ) from error
    except ValueError as error:
        raise Unreadable(f"{path}: no key in it; put the file back from a backup") from error
    if len(key) != KEY_BYTES:
        raise Unreadable(f"{path}: a key of {KEY_BYTES} bytes expected, seen {len(key)}")
    if path.stat().st_mode & 0o077:
        logger.warning("%s can be read by others: chmod 600 %s", path, path)
    return key


def make_key(path: Path) -> bytes:
    """Makes the key file (0600) unless it is there, and answers the key in it.

    The file appears whole or not at all, also when two processes make it at once.
    """
    if not path.exists():
        draft = path.with_name(f"{path.name}.{randomness.token_hex(4)}")
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(randomness.token_hex(KEY_BYTES) + "\n")
        try:
            os.link(draft, path)
        except FileExistsError:
            logger.debug("%s was made by another process meanwhile", path)
        finally:
            draft.unlink()
    return read_key(path)


def hand_key(source: Path, target: Path) -> bool:
    """Copies a key file (0600) unless the same key lies there; tells whether it did.

    Raises Unreadable when another store's key lies there, or when there is none to copy.
    """
    key = read_key(source)
    if target.exists():
        if read_key(target) != key:
            raise Unreadable(
                f"{target}: another store's key lies there; name another file (?key=PATH)"
            )
        return False
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(key.hex() + "\n")
    return True
