"""The firewall file of the cluster or of one VM: what it holds, in the form it is read back in.

Writing such a file and reading it again changes things (names in lower case, entries of a set
sorted, comments cut at the first line, fields that a rule's type has no use for dropped); `settle`
does the same, so that what is stored is always what a reader sees.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from reconciler.sim.firewall import addresses

Rule = dict[str, str | int]
Row = dict[str, object]

_ON_EVERY_TYPE = ("type", "action", "enable", "comment")
_ON_TRAFFIC = ("macro", "source", "dest", "proto", "dport", "sport", "log", "icmp-type")


@dataclass(slots=True)
class Entry:
    """One address, network or alias of an IP set."""

    cidr: str
    nomatch: bool = False
    comment: str = ""

    def row(self) -> Row:
        """As the API shows it; what is off or empty is left out."""
        row: Row = {"cidr": self.cidr}
        if self.nomatch:
            row["nomatch"] = 1
        if self.comment:
            row["comment"] = self.comment
        return row


@dataclass(slots=True)
class IpSet:
    """A named set of addresses."""

    entries: list[Entry] = field(default_factory=list)
    comment: str = ""


@dataclass(slots=True)
class Alias:
    """A name for one address or network; keeps the case it was given in."""

    name: str
    cidr: str
    ip_version: int = 4
    comment: str = ""

    def row(self) -> Row:
        """As the API shows it."""
        row: Row = {"name": self.name, "cidr": self.cidr, "ipversion": self.ip_version}
        if self.comment:
            row["comment"] = self.comment
        return row


@dataclass(slots=True)
class Group:
    """A security group: rules that VMs include by its name (cluster file only)."""

    rules: list[Rule] = field(default_factory=list)
    comment: str = ""


@dataclass(slots=True)
class FirewallFile:
    """All sections of one file; sets, groups and aliases by their lower-case name."""

    options: dict[str, str | int] = field(default_factory=dict)
    rules: list[Rule] = field(default_factory=list)
    aliases: dict[str, Alias] = field(default_factory=dict)
    ipsets: dict[str, IpSet] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        """Whether nothing is left that a file would be kept for."""
        return not (self.options or self.rules or self.aliases or self.ipsets or self.groups)

    def settle(self) -> None:
        """Bring everything into the form that the next reader sees."""
        self.rules = [_settled_rule(rule, iface=True) for rule in self.rules]
        self.aliases = {
            alias.name.lower(): _settled_alias(alias) for alias in self.aliases.values()
        }
        self.ipsets = {
            name.lower(): _settled_set(self.ipsets[name]) for name in sorted(self.ipsets)
        }
        self.groups = {
            name.lower(): _settled_group(self.groups[name]) for name in sorted(self.groups)
        }


def first_line(comment: str) -> str:
    """A comment as a file can hold it."""
    return comment.partition("\n")[0].strip()


def _settled_rule(rule: Rule, *, iface: bool) -> Rule:
    keys: tuple[str, ...] = _ON_EVERY_TYPE
    if iface:
        keys += ("iface",)
    if rule["type"] != "group":
        keys += _ON_TRAFFIC
    kept: Rule = {key: rule[key] for key in keys if rule.get(key) not in (None, "")}
    kept["enable"] = 1 if rule.get("enable", 1) else 0
    comment = first_line(str(rule.get("comment", "")))
    if comment:
        kept["comment"] = comment
    else:
        kept.pop("comment", None)
    return kept


def _settled_alias(alias: Alias) -> Alias:
    cidr, version = addresses.stored_address(alias.cidr)
    return Alias(alias.name, cidr, version, first_line(alias.comment))


def _settled_set(ipset: IpSet) -> IpSet:
    by_cidr: dict[str, Entry] = {}
    for entry in ipset.entries:
        by_cidr.setdefault(entry.cidr, entry)
    entries = [
        Entry(cidr, by_cidr[cidr].nomatch, first_line(by_cidr[cidr].comment))
        for cidr in sorted(by_cidr)
    ]
    return IpSet(entries, first_line(ipset.comment))


def _settled_group(group: Group) -> Group:
    rules = [_settled_rule(rule, iface=False) for rule in group.rules]
    return Group(rules, first_line(group.comment))


def digest(rows: Iterable[Mapping[str, object]]) -> str:
    """The digest of a list: SHA-1 over its scalar fields; positions and `errors` do not count."""
    sha = hashlib.sha1(usedforsecurity=False)
    for row in rows:
        for key in sorted(row):
            if not isinstance(row[key], dict):
                sha.update(f"{key}:{row[key]}\n".encode())
    return sha.hexdigest()


def with_digest(rows: list[Row]) -> list[Row]:
    """The rows, each with the digest of the whole list."""
    whole = digest(rows)
    return [{**row, "digest": whole} for row in rows]
