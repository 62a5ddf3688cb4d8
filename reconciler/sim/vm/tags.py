"""Tags: the form in which an update stores them, and which of them one may change.

Source: pve-guest-common PVE/GuestHelpers.pm (get_unique_tags, get_allowed_tags,
assert_tag_permissions).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

from reconciler.sim.accounts.access import Identity, allowed
from reconciler.sim.errors import forbidden
from reconciler.sim.parameters.schema import split_list
from reconciler.sim.vm.config_rights import check_vm

if TYPE_CHECKING:
    from reconciler.sim.world import World


def unique_tags(world: World, text: str) -> str:
    """Each tag once with `;` between; sorted and in lower case unless datacenter.cfg says
    otherwise (`tag-style`)."""
    style = _parts(world.options.get("tag-style"))
    sensitive = str(style.get("case-sensitive", 0)) == "1"
    tags = [one if sensitive else one.lower() for one in split_list(text)]
    if style.get("ordering") != "config":
        tags.sort()
    return ";".join(dict.fromkeys(tags))


def check_tags(world: World, identity: Identity, vmid: int, old: str, new: str) -> None:
    """Raise 403 unless the caller may add and remove every tag that differs."""
    check_vm(world, identity, vmid, ["VM.Config.Options"])
    if allowed(world, identity, "/", ["Sys.Modify"]):
        return
    before, after = Counter(split_list(old)), Counter(split_list(new))
    registered = _listed(world.options.get("registered-tags"))
    access = _parts(world.options.get("user-tag-access"))
    mode = access.get("user-allow", "free")
    known = _known_tags(world, identity, str(mode), _listed(access.get("user-allow-list")))
    for tag in sorted({*before, *after}):
        if before[tag] == after[tag]:
            continue
        if tag in registered or (tag not in known and mode != "free"):
            raise forbidden(f"/, Sys.Modify for modifying tag '{tag}'")


def _known_tags(world: World, identity: Identity, mode: str, listed: set[str]) -> set[str]:
    known = set() if mode == "none" else listed
    if mode in ("free", "existing"):
        for vmid, machine in world.vms.items():
            if allowed(world, identity, f"/vms/{vmid}", ["VM.Audit"]):
                known = known | set(split_list(machine.text("tags") or ""))
    return known


def _parts(value: object) -> Mapping[str, object]:
    """A property of datacenter.cfg, kept parsed or as `key=value,...`."""
    if isinstance(value, Mapping):
        return value
    pairs = [part.partition("=") for part in str(value or "").split(",") if "=" in part]
    return {key: text for key, _equals, text in pairs}


def _listed(value: object) -> set[str]:
    if isinstance(value, (list, tuple, set)):
        return {str(one) for one in value}
    return set(split_list(str(value or "")))
