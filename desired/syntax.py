"""Syntax of host names, domains and SSH keys that Proxmox takes without looking."""

import base64
import binascii
import re

_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?")
_KEY_TYPES = (
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
)


def bad_host(name: str) -> str | None:
    """Return what keeps `name` from being a DNS name (RFC 1123), or None."""
    if len(name) > 253:
        return f"expected at most 253 characters, seen {len(name)}"
    for label in name.split("."):
        if len(label) > 63:
            return f"expected labels of at most 63 characters, seen one of {len(label)}"
        if not _LABEL.fullmatch(label):
            hint = "; DNS has no underscore: use a hyphen" if "_" in label else ""
            return f"expected a DNS name of letters, digits and hyphens, seen {name!r}{hint}"
    return None


def bad_domain(domain: str) -> str | None:
    """Return what is wrong with a domain, with or without its leading dot (C16), or None."""
    return bad_host(domain.strip("."))


def bad_key(text: str) -> str | None:
    """Return what keeps `text` from being one public SSH key line, or None; never shows it."""
    if "PRIVATE KEY" in text:
        return "expected a public key, seen a private one"
    if "\n" in text:
        return "expected one key, seen several lines; write a list"
    kind, _, rest = text.partition(" ")
    if kind not in _KEY_TYPES:
        return "expected a public key such as ssh-ed25519 AAAA..."
    try:
        blob = base64.b64decode(rest.split(" ")[0], validate=True)
    except binascii.Error:
        return "the key is cut off or is not base64"
    size = int.from_bytes(blob[:4], "big")
    if len(blob) < 36 or blob[4 : 4 + size] != kind.encode():
        return f"the key is cut off or is no {kind} key"
    return None
