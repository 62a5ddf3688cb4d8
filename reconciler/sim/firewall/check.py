"""Whether a rule may stand: what Proxmox checks when one is written and each time one is read.

Writing refuses at the first fault; reading collects the faults into the rule's `errors`.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NoReturn

from reconciler.sim.errors import bad_parameters, failed
from reconciler.sim.firewall import addresses, macros, names
from reconciler.sim.firewall.file import FirewallFile, Rule
from reconciler.sim.parameters.schema import FormatError

Level = Literal["cluster", "group", "vm"]

_TYPES: Mapping[Level, tuple[str, ...]] = {
    "cluster": ("in", "out", "forward", "group"),
    "group": ("in", "out", "forward"),
    "vm": ("in", "out", "group"),
}
_IFACE = re.compile(r"[a-z][a-z0-9_]{1,20}([:.]\d+)?", re.IGNORECASE)


@dataclass(slots=True)
class RuleCheck:
    """One look at one rule: the names it may refer to, and the faults found so far."""

    rule: Rule
    level: Level
    cluster: FirewallFile
    own: FirewallFile | None
    strict: bool
    errors: dict[str, str] = field(default_factory=dict)
    ip_version: int | None = None

    def text(self, key: str) -> str:
        """The rule's field as text; an absent one is empty."""
        return str(self.rule.get(key, ""))

    def fault(self, key: str, text: str) -> None:
        """Refuse the write, or note the first fault of `key`."""
        if self.strict:
            _refuse(key, text)
        self.errors.setdefault(key, text)

    def attempt(self, key: str, check: Callable[[str], object]) -> None:
        """Run one check on the field `key`, when the rule has it."""
        try:
            check(self.text(key))
        except FormatError as error:
            self.fault(key, str(error))

    def settle_version(self, version: int | None) -> None:
        """All that names a family in one rule must name the same."""
        if version is None:
            return
        if self.ip_version not in (None, version):
            raise FormatError("detected mixed ipv4/ipv6 addresses in rule")
        self.ip_version = version

    def kind(self) -> None:
        """Type and action."""
        type_, action = self.text("type"), self.text("action")
        if type_ not in _TYPES[self.level]:
            if type_ == "group":
                self.fault("type", "security groups not allowed")
            else:
                self.fault("type", f"invalid rule type '{type_}' for rule_env '{self.level}'")
        if type_ == "group":
            if not re.fullmatch(addresses.NAME, action):
                self.fault("action", "invalid characters in security group name")
        elif action not in ("ACCEPT", "DROP", "REJECT"):
            self.fault("action", f"unknown action '{action}'")

    def interface(self) -> None:
        """The NIC that a rule is bound to."""
        iface = self.text("iface")
        if not iface:
            return
        if self.level == "group":
            self.fault("type", "parameter -i not allowed for this rule type")
        if not _IFACE.fullmatch(iface):
            self.fault("iface", f"invalid network interface name '{iface}'")
        if self.level == "vm" and not re.fullmatch(r"net\d+", iface):
            self.fault("iface", "value does not match the regex pattern 'net\\d+'")

    def protocol(self) -> None:
        """Macro and protocol."""
        if macro := self.text("macro"):
            name = macros.preferred_name(macro)
            if name is None:
                self.fault("macro", f"unknown macro '{macro}'")
            else:
                self.rule["macro"] = name
        if proto := self.text("proto"):
            self.attempt("proto", addresses.check_protocol)
            if proto == "icmp":
                self.settle_version(4)
            elif proto in ("icmpv6", "ipv6-icmp"):
                self.settle_version(6)

    def ports(self, key: Literal["dport", "sport"]) -> None:
        """Ports, which need a protocol that has them."""
        if not self.text(key):
            return
        destination = key == "dport"
        self.attempt(key, lambda text: addresses.check_ports(text, destination=destination))
        proto = self.text("proto")
        if not proto:
            self.fault("proto", f"missing property - '{key}' requires this property")
        special = destination and proto in ("icmp", "icmpv6")
        if proto not in names.WITH_PORTS and not special:
            self.fault(key, f"protocol '{proto}' does not support ports")

    def icmp_type(self) -> None:
        """The ICMP type, which goes with an ICMP protocol and without ports."""
        given = self.text("icmp-type")
        if not given:
            return
        proto = self.text("proto")
        if proto not in ("icmp", "icmpv6", "ipv6-icmp"):
            self.fault("proto", "missing property - 'icmp-type' requires this property")
        if self.text("dport"):
            self.fault("icmp-type", "'icmp-type' cannot be specified together with 'dport'")
        known = names.ICMP_TYPES if proto == "icmp" else names.ICMPV6_TYPES
        if given not in known:
            self.fault("icmp-type", f"invalid icmp-type '{given}' for proto '{proto}'")

    def address(self, key: Literal["source", "dest"]) -> None:
        """Source or destination, and that the set or alias it names is there."""
        value = self.text(key)
        if not value:
            return
        self.attempt(key, lambda text: self.settle_version(addresses.check_addresses(text)))
        if value.startswith("+"):
            match = addresses.IPSET.fullmatch(value)
            if match is None:
                self.fault(key, f"invalid ipset name '{value}'")
            elif not any(match["name"] in file.ipsets for file in self.scope(match["scope"])):
                self.fault(key, f"no such ipset '{match['name']}'")
        elif match := addresses.ALIAS.fullmatch(value):
            name = match["name"].lower()
            found = [
                file.aliases[name] for file in self.scope(match["scope"]) if name in file.aliases
            ]
            if not found:
                self.fault(key, f"no such alias '{value}'")
            else:
                self.settle_version(found[0].ip_version)

    def scope(self, prefix: str | None) -> list[FirewallFile]:
        """The files in which a name is looked up, the nearest first."""
        near = [self.own] if self.own is not None else []
        if prefix == "guest/":
            return near
        return [self.cluster] if prefix == "dc/" else [*near, self.cluster]

    def macro_fields(self) -> None:
        """What the macro opens must not be said otherwise."""
        macro = self.text("macro")
        if not macro or self.errors:
            return
        given = {key: str(value) for key, value in self.rule.items()}
        if found := macros.contradiction(macro, given, self.ip_version):
            self.fault(*found)

    def run(self) -> None:
        """Every check, in Proxmox's order."""
        self.kind()
        self.interface()
        self.protocol()
        self.ports("dport")
        self.icmp_type()
        self.ports("sport")
        self.address("source")
        self.address("dest")
        self.macro_fields()


def _refuse(key: str, text: str) -> NoReturn:
    raise bad_parameters({key: text})


def verify(rule: Rule, level: Level, cluster: FirewallFile, own: FirewallFile | None) -> None:
    """Refuse a rule that may not be written; spells its macro the preferred way.

    Raises Refusal: 400 with the one parameter at fault, 500 for IPv4 and IPv6 mixed.
    """
    check = RuleCheck(rule, level, cluster, own, strict=True)
    try:
        check.run()
    except FormatError as error:
        raise failed(str(error)) from error


def seen(rule: Rule, level: Level, cluster: FirewallFile, own: FirewallFile | None) -> RuleCheck:
    """A stored rule as it is read now: its IP version and what has become wrong with it."""
    check = RuleCheck(dict(rule), level, cluster, own, strict=False)
    try:
        check.run()
    except FormatError as error:
        check.fault("source", str(error))
    return check
