"""Public SSH keys, judged as `ssh-keygen -l` does: Proxmox runs it on every line.

Source: pve-common PVE/Tools.pm (validate_ssh_public_keys).
"""

from __future__ import annotations

import base64
import binascii
import re
from urllib.parse import unquote

from reconciler.sim.errors import failed

KEY = re.compile(
    r"(?:^|\s)((?:sk-)?(?:ssh|ecdsa)-[\w@.-]+)\s+([A-Za-z0-9+/]+={0,3})(?:\s|\Z)", re.ASCII
)
LEAST_RSA_BITS = 1024
FIELDS = {
    "ssh-ed25519": 2,
    "ssh-rsa": 3,
    "ssh-dss": 5,
    "ecdsa-sha2-nistp256": 3,
    "ecdsa-sha2-nistp384": 3,
    "ecdsa-sha2-nistp521": 3,
    "sk-ssh-ed25519@openssh.com": 3,
    "sk-ecdsa-sha2-nistp256@openssh.com": 4,
}
"""Kind of key -> how many length-prefixed parts its blob has, the name included."""


def check_ssh_keys(encoded: str) -> None:
    """Raise 500 unless each line of the percent-encoded text is a public key or blank."""
    for line in unquote(encoded).split("\n"):
        if line.strip() and not is_public_key(line):
            raise failed("SSH public key validation error\n")


def is_public_key(line: str) -> bool:
    """Whether a line holds a whole public key: its blob names the same kind and nothing is cut."""
    found = KEY.search(line)
    parts = blob_parts(found[2]) if found is not None else None
    if found is None or parts is None or line.lstrip().startswith("#"):
        return False
    kind = found[1]
    if FIELDS.get(kind) != len(parts) or parts[0] != kind.encode():
        return False
    if kind == "ssh-rsa":
        return int.from_bytes(parts[2], "big").bit_length() >= LEAST_RSA_BITS
    return kind != "ssh-ed25519" or len(parts[1]) == 32


def blob_parts(encoded: str) -> list[bytes] | None:
    """The length-prefixed parts of a key's blob; None when it is cut or no base64."""
    try:
        rest = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        return None
    parts = []
    while rest:
        size = int.from_bytes(rest[:4], "big")
        if len(rest) < 4 + size:
            return None
        parts.append(rest[4 : 4 + size])
        rest = rest[4 + size :]
    return parts
