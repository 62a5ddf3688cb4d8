"""A VM of other hands as a spec's tree: what it is, without what goes without saying."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_interface

from pydantic import ValidationError

from desired.addressing import holder
from desired.owned import RESERVED, is_owned, refusal
from desired.source import Fleet
from handlers.rules import own_id
from handlers.throttles import FLAGS, LIMITS
from reconciler.adopt.tree import copied, has, leaves, silenced
from reconciler.allocation.addressing import Slot, lease_from
from reconciler.express.document import expressed
from reconciler.express.patch import Path, get, put
from reconciler.express.words import Tree
from state.conf import VMConfig
from state.memory import Lease
from state.observed import SeenVM

POLICIES = (
    *("cluster", "domain", "storage", "clone", "restart", "rollout", "quota"),
    *("anti_affinity", "vars", "extensions", "drift", "guard"),
)
"""Keys of the defaults that say nothing of the machine: an adopted VM inherits them."""

DETACHED = re.compile(r"unused\d+")
_RESERVED = re.compile("|".join(RESERVED))

PLAIN: Mapping[Path, object] = {
    ("cpu", "sockets"): 1,
    ("cpu", "limit"): 0,
    ("cpu", "units"): 100,
    ("cpu", "numa"): False,
    ("description",): "",
    ("tags",): [],
    ("agent",): False,
    ("onboot",): False,
    ("protection",): False,
    ("power",): "running",
    ("disks", "*", "cache"): "none",
    **{("disks", "*", name): int(name.endswith("_length")) for name in LIMITS},
    **{("disks", "*", name): default for name, (default, _, _) in FLAGS.items()},
    ("nics", "*", "vlan"): 0,
    ("nics", "*", "rate"): 0,
    ("nics", "*", "firewall"): False,
    ("nics", "*", "link"): "up",
    ("firewall", "dhcp"): True,
    ("firewall", "ndp"): True,
    ("firewall", "radv"): False,
    ("firewall", "macfilter"): True,
    ("firewall", "ipfilter"): False,
    ("firewall", "log_in"): "nolog",
    ("firewall", "log_out"): "nolog",
}
"""Values that need not be said, unless the defaults say otherwise."""


@dataclass(slots=True)
class Composed:
    """A VM's tree, the leases of its addresses, and what the tree does not say, with the reason."""

    tree: Tree
    leases: tuple[Lease, ...] = ()
    unsaid: list[str] = field(default_factory=list)
    refused: str = ""


def composed(seen: SeenVM, fleet: Fleet, defaults: Mapping[str, object]) -> Composed:
    """Return the VM as a spec's tree that may be laid over the fleet's defaults."""
    assert seen.config is not None and seen.row is not None
    config = seen.config.wanted
    try:
        whole = expressed(seen)
    except ValidationError as error:
        return Composed({}, refused=f"no spec says it: {error.errors()[0]['msg']}")
    made = Composed(copied(whole.document), unsaid=list(whole.left_out))
    if config.name is None:
        made.refused = "has no name in Proxmox: give it one first"
    made.tree.pop("node", None)
    _boot(made, config)
    _firewall(made, seen)
    _credentials(made, config)
    _passed_through(made, config, seen.cluster.name, fleet)
    made.leases = tuple(_leased(made.tree, seen.key, fleet))
    if any(lease.dns for lease in made.leases) and not get(made.tree, ("cloudinit", "dns")):
        put(made.tree, ("cloudinit", "dns"), [])
    if made.tree.get("balloon") == made.tree.get("memory"):
        _drop(made.tree, ("balloon",), defaults)
    if made.tree.get("name") == seen.key:
        _drop(made.tree, ("name",), defaults)
    for path, value in list(leaves(made.tree)):
        if _is_plain(path, value):
            _drop(made.tree, path, defaults)
    made.tree = alone(made.tree, defaults)
    return made


def alone(tree: Tree, defaults: Mapping[str, object]) -> Tree:
    """Return the tree with a null for what it would inherit of other machines' hardware."""
    return silenced(tree, {name: one for name, one in defaults.items() if name not in POLICIES})


def _is_plain(path: Path, value: object) -> bool:
    general = (path[0], "*", *path[2:]) if len(path) == 3 else path
    if general not in PLAIN:
        return False
    plain = PLAIN[general]
    return value == plain and isinstance(value, bool) == isinstance(plain, bool)


def _drop(tree: Tree, path: Path, defaults: Mapping[str, object]) -> None:
    """Take a value out, unless the defaults would say something in its place."""
    if not has(dict(defaults), path):
        below = get(tree, path[:-1]) if path[1:] else tree
        assert isinstance(below, dict)
        del below[path[-1]]


def _boot(made: Composed, config: VMConfig) -> None:
    there = {*config.drives, *config.nics, "system"}
    gone = [slot for slot in config.boot_order if slot not in there]
    if gone:
        made.tree.pop("boot", None)
        made.unsaid.append(f"boot: names {', '.join(gone)}, which is not there")


def _firewall(made: Composed, seen: SeenVM) -> None:
    """Its options where it is on; rules stay others', and one that is off is nobody's."""
    there = seen.firewall
    if there is None or there.options.get("enable", "0") == "0":
        made.tree.pop("firewall", None)
    else:
        section = get(made.tree, ("firewall",))
        assert isinstance(section, dict)
        section.pop("rules", None)
    if there is not None and (rules := [one for one in there.rules if not own_id(one.fields)]):
        made.unsaid.append(f"firewall.rules: {len(rules)} stay as they are, below those of a spec")


def _credentials(made: Composed, config: VMConfig) -> None:
    cloudinit = made.tree.get("cloudinit")
    if isinstance(cloudinit, dict) and cloudinit.get("user") == "random":
        del cloudinit["user"]
        made.unsaid.append("cloudinit.user: a spec takes `random` for a name to be drawn")
    if config.text("cipassword") is not None:
        made.unsaid.append("cloudinit.password: Proxmox shows none, so it is left as it is")


def _passed_through(made: Composed, config: VMConfig, cluster: str, fleet: Fleet) -> None:
    """Keys that no field of a spec owns go through `config:`, but for those that may not."""
    for key in sorted(config.raw):
        if DETACHED.fullmatch(key):
            made.unsaid.append(f"{key}: a detached volume, {config.text(key)}")
        if is_owned(key) or _RESERVED.fullmatch(key):
            continue
        why = refusal(key, fleet.clusters.get(cluster))
        if why:
            made.unsaid.append(f"{key}: {why}")
        else:
            put(made.tree, ("config", key), _scalar(config.text(key) or ""))


def _scalar(text: str) -> str | int:
    return int(text) if re.fullmatch(r"0|[1-9]\d{0,14}", text) else text


def _leased(tree: Tree, key: str, fleet: Fleet) -> Iterator[Lease]:
    """Turn static addresses that a pool could lease into leases of that pool."""
    nics = tree.get("nics")
    for slot, nic in nics.items() if isinstance(nics, dict) else ():
        for family in ("ipv4", "ipv6"):
            asked = nic.get(family)
            if not isinstance(asked, dict) or "static" not in asked:
                continue
            address = ip_interface(str(asked["static"]))
            name = holder(fleet.pools, address)
            if name is not None:
                nic[family] = {"pool": name}
                place = Slot(key, slot, family, 0)
                yield lease_from(name, fleet.pools[name], place, str(address.ip))
