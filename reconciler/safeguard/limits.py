"""Where a snapshot cannot be taken, and what one does not cover. Pure."""

import re
from collections.abc import Iterable

from desired.spec import VMSpec
from handlers.effects import wanted
from state.change import Change
from state.observed import SeenVM

_TIED = re.compile(r"hostpci\d+|virtiofs\d+")
_BESIDE = ("firewall", "pool", "ha")
"""Whose values stand outside of the VM's config."""

_GROWN = re.compile(r"(system|(scsi|virtio|sata|ide)\d+)(\.size)?")


def forbids(spec: VMSpec, seen: SeenVM) -> str:
    """Why no snapshot of this VM can bring it back, as far as its config and spec tell; or ''."""
    tied = sorted(key for key in wanted(seen).raw if _TIED.fullmatch(key))
    if tied:
        return f"{', '.join(tied)}: what a device of the host holds is in no snapshot"
    if spec.quota and spec.quota.snapshots == 0:
        return "its quota of snapshots is 0"
    return ""


def beyond(changes: Iterable[Change]) -> str:
    """The fields that stay as the change made them when its snapshot is rolled back to."""
    fields = [
        one.handler if one.handler in _BESIDE else one.field
        for one in changes
        if one.handler in _BESIDE or (one.handler == "disks" and _GROWN.fullmatch(one.field))
    ]
    return ", ".join(dict.fromkeys(fields))
