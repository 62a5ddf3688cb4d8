"""A VM's firewall as a spec would say it: options, policies and its rules."""

from collections.abc import Mapping

from handlers.firewall import DEFAULTS, NAMES
from handlers.rules import own_id
from reconciler.express.words import Tree
from state.observed import SeenFirewall

BOOLEANS = frozenset({"enable", "dhcp", "ndp", "radv", "macfilter", "ipfilter"})
PARTS = ("macro", "proto", "source", "dest", "sport", "dport", "iface", "log")


def firewall(seen: SeenFirewall | None) -> Tree:
    """With every rule, in its order; nothing where the firewall was not read."""
    if seen is None:
        return {}
    found: Tree = {}
    for word, option in NAMES.items():
        text = seen.options.get(option, DEFAULTS.get(option))
        if text is not None:
            found[word] = text != "0" if word in BOOLEANS else text
    rules = sorted(seen.rules, key=lambda rule: rule.pos)
    found["rules"] = [rule(one.fields) for one in rules]
    found["anti_spoofing"] = any(name.startswith("ipfilter-net") for name in seen.ipsets)
    return {"firewall": found}


def rule(fields: Mapping[str, str]) -> Tree:
    """One rule; our id does not belong to its comment."""
    kind = fields.get("type", "in")
    found: Tree = {kind: fields.get("action", "")}
    found |= {name: fields[name] for name in PARTS if fields.get(name)}
    if fields.get("icmp-type"):
        found["icmp_type"] = fields["icmp-type"]
    text = fields.get("comment", "")
    if own_id(fields):
        text = text.partition(" ")[2]
    if text.strip():
        found["comment"] = text.strip()
    if fields.get("enable", "0") == "0":
        found["enable"] = False
    return found
