"""What domains.cfg says while nobody adds a realm: the two that are always there.

Source: pve-access-control PVE/Auth/Plugin.pm (parse_config).
"""

import hashlib

REALMS = {
    "pam": {"type": "pam", "comment": "Linux PAM standard authentication"},
    "pve": {"type": "pve", "comment": "Proxmox VE authentication server"},
}
DIGEST = hashlib.sha1(b"").hexdigest()
"""Of the file, which is empty."""
