"""A month's statement that cannot be changed unnoticed: its bytes, signed with Ed25519 (RFC 8032).

The signing key is derived from the store's key, so it needs no keeping of its own; whoever has the
public key can check a statement without the store.
"""

import base64
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass

from state.api import Json
from state.vault import Vault

FORM = "reconcile-usage-1"


class NotSigned(Exception):
    """Not a signed statement, or one that was changed, or signed by another key."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A statement whose signature holds, and the public key that it holds under."""

    statement: Mapping[str, Json]
    public_key: str


def sign(statement: Mapping[str, Json], vault: Vault) -> str:
    """Return a signed document: the statement as text, the public key and the signature."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.from_private_bytes(_seed(vault))
    text = json.dumps(statement, sort_keys=True, ensure_ascii=False)
    signed = {
        "form": FORM,
        "statement": text,
        "public_key": base64.b64encode(key.public_key().public_bytes_raw()).decode(),
        "signature": base64.b64encode(key.sign(text.encode())).decode(),
    }
    return json.dumps(signed, indent=2, ensure_ascii=False)


def check(document: str, public_key: str | None = None) -> Checked:
    """Return what was signed; `public_key` says by whom it must be. Raises NotSigned."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        found = json.loads(document)
        if found["form"] != FORM:
            raise NotSigned(f"expected the form {FORM}, seen {found['form']}")
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(found["public_key"]))
        key.verify(base64.b64decode(found["signature"]), found["statement"].encode())
        statement = json.loads(found["statement"])
    except InvalidSignature:
        raise NotSigned("the signature does not hold: the statement was changed") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise NotSigned("expected what reconcile usage --sign wrote, seen something else") from None
    if public_key is not None and found["public_key"] != public_key:
        raise NotSigned(f"signed by {found['public_key']}, expected {public_key}")
    return Checked(statement, found["public_key"])


def public_key_of(vault: Vault) -> str:
    """The public key, as those who check a statement need it."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.from_private_bytes(_seed(vault))
    return base64.b64encode(key.public_key().public_bytes_raw()).decode()


def _seed(vault: Vault) -> bytes:
    return hmac.digest(vault.key, FORM.encode(), "sha256")
