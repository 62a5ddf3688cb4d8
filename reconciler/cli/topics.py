"""What `reconcile help` explains."""

from collections.abc import Mapping

TOPICS: Mapping[str, str] = {
    "quickstart": "from nothing to a fleet",
    "specs": "what a person writes",
    "approval": "what needs a person's yes",
    "drift": "what somebody changed in Proxmox",
    "windows": "restarts, and when they may be",
    "clusters": "where a fleet lives",
    "stores": "the database, its key, its backup",
    "service": "running every minute: systemd, timer, cron; the form of the log",
    "output": "JSON, markdown, colours, completion",
    "files": "files and environment variables",
    "conditions": "what each condition of a VM means, and what helps",
    "exit-codes": "what the exit status says",
}
"""Each topic and what it is about, in the order of the list."""
