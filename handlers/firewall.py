"""The VM's firewall: options, our own rules, and the sets against spoofing."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from desired.firewall import Firewall as FirewallSpec
from desired.spec import VMSpec
from handlers.antispoof import ineffective, set_changes
from handlers.handler import Context, Subject, vm_path
from handlers.rules import (
    OPTIONAL,
    Edit,
    Fields,
    Move,
    Post,
    Step,
    mark,
    plan_rules,
    shown,
    wanted_rules,
)
from state.api import Json
from state.change import Call, Change, Method, Note, Outcome, Param, Value
from state.observed import SeenFirewall, SeenVM

DEFAULTS: Mapping[str, str] = {
    "enable": "0",
    "ndp": "1",
    "radv": "0",
    "macfilter": "1",
    "ipfilter": "0",
    "policy_out": "ACCEPT",
    "log_level_in": "nolog",
    "log_level_out": "nolog",
}
"""What an unset option means. Left out are `dhcp`, which Proxmox's schema has off and its code on,
and `policy_in`, so that a DROP that the spec names still stands when the spec names it no more."""
NAMES: Mapping[str, str] = {
    **{name: name for name in ("enable", "dhcp", "ndp", "radv", "macfilter", "ipfilter")},
    **{"policy_in": "policy_in", "policy_out": "policy_out"},
    **{"log_in": "log_level_in", "log_out": "log_level_out"},
}
"""The spec's word -> Proxmox's option (FW-01)."""
_RULE = re.compile(r"(.*/firewall/rules)/\d+")


class Firewall:
    """Sets options, policies and our block of rules, and keeps each nic to its own addresses.

        firewall:
          policy_in: DROP
          anti_spoofing: true             # a set ipfilter-netN per nic: its leases (FW-02)
          rules:
            - {in: ACCEPT, proto: tcp, dport: 22, comment: ssh}
            - {group: web}

    Owns no config key: its own API, each call at once, compiled by Proxmox within ~10 s. Rules of
    others stay below ours in their order; ours are known by the id in the comment. It needs the
    firewall on for the cluster, the VM and the NIC: else `AntiSpoofEffective=False` (C10).

    Where nobody set `policy_in`, turning the firewall on sets ACCEPT (FW-01): unset it is DROP.

    Risk: `policy_in: DROP` without a rule shuts everybody out, so rules go before options.
    """

    name = "firewall"
    subject = Subject.VM
    after = ("exists",)
    blocking = True
    keys: tuple[str, ...] = ()

    def diff(self, spec: VMSpec, seen: SeenVM) -> Iterable[Change | Note]:
        there = seen.firewall
        if spec.firewall is None:
            return
        if there is None:
            reason = "the VM's firewall is not read yet"
            yield Note(seen.key, self.name, "enable", reason, blocking=True)
            return
        if spec.firewall.rules is not None:
            rows = [rule.fields for rule in sorted(there.rules, key=lambda rule: rule.pos)]
            for step in plan_rules(wanted_rules(spec.firewall.rules), rows):
                yield self._rule_change(step, seen)
        for name, old, new, calls in set_changes(spec, seen, spec.firewall, there):
            yield Change(seen.key, self.name, name, old, new, calls)
        yield from self._options(spec.firewall, there, seen)
        if reasons := "; ".join(ineffective(spec, seen, spec.firewall, there)):
            yield Note(seen.key, self.name, "anti_spoofing", reasons, "AntiSpoofEffective=False")

    def apply(self, changes: Sequence[Change], ctx: Context) -> Outcome:
        """Send the calls in order; each PUT or DELETE of a rule finds its rule anew by its mark.

        Positions and digest shift with every write, so the list is read before each and its
        digest sent along; a rule that is no longer there is left to the next look.
        """
        sent: list[Call] = []
        for change in changes:
            for call in change.calls:
                found = _RULE.fullmatch(call.path)
                if found:
                    located = _located(call, found[1], change.field.removeprefix("rules."), ctx)
                else:
                    located = None if call in sent and call.method is Method.PUT else call
                if located is not None:
                    ctx.api.send(located)
                    sent.append(located)
        return Outcome()

    def _options(
        self, firewall: FirewallSpec, there: SeenFirewall, seen: SeenVM
    ) -> Iterator[Change]:
        """Yield one change per option; all carry the same call, which is sent once."""
        found: list[tuple[str, Value, Value]] = []
        params: dict[str, Param] = {}
        opening = firewall.enable and there.options.get("enable", "0") == "0"
        for word, option in NAMES.items():
            value: bool | str | None = getattr(firewall, word)
            if option == "policy_in" and opening and option not in there.options:
                value = value or "ACCEPT"
            text = str(int(value)) if isinstance(value, bool) else value
            there_now = there.options.get(option, DEFAULTS.get(option))
            if text is None or text == there_now:
                continue
            params[option] = text
            old: Value = there_now != "0" if isinstance(value, bool) and there_now else there_now
            found.append((word, old, value))
        call = Call(Method.PUT, f"{vm_path(seen)}/firewall/options", params)
        for word, was, becomes in found:
            yield Change(seen.key, self.name, word, was, becomes, (call,))

    def _rule_change(self, step: Step, seen: SeenVM) -> Change:
        """The positions in the calls are those that hold if nobody else writes."""
        base = f"{vm_path(seen)}/firewall/rules"
        field = f"rules.{mark(step.fields)}"
        text: str = shown(step.fields)
        if isinstance(step, Post):
            call = Call(Method.POST, base, dict(step.fields))
            return Change(seen.key, self.name, field, None, text, (call,))
        path = f"{base}/{step.position}"
        if isinstance(step, Move):
            call = Call(Method.PUT, path, {"moveto": step.target})
            new = f"{text} before rule {step.target}"
            return Change(seen.key, self.name, field, text, new, (call,))
        if isinstance(step, Edit):
            call = Call(Method.PUT, path, _edited(step))
            return Change(seen.key, self.name, field, text, shown(step.new), (call,))
        call = Call(Method.DELETE, path)
        return Change(seen.key, self.name, field, text, None, (call,))


def _edited(step: Edit) -> dict[str, Param]:
    """All fields of the new rule, and the names of those that the old one has too many."""
    params: dict[str, Param] = dict(step.new)
    if surplus := sorted(OPTIONAL & step.fields.keys() - step.new.keys()):
        params["delete"] = ",".join(surplus)
    return params


def _located(call: Call, base: str, wanted: str, ctx: Context) -> Call | None:
    """Return the call for where the rule stands now, with the list's digest; None if it is gone.

    A move is given up when the rule stands elsewhere than planned: its target is no longer known.
    """
    rows = ctx.api.get(base)
    for row in rows if isinstance(rows, list) else []:
        if isinstance(row, dict) and mark(_texts(row)) == wanted:
            path = f"{base}/{row['pos']}"
            params: dict[str, Param] = {**call.params, "digest": str(row.get("digest", ""))}
            moved = "moveto" in params and path != call.path
            return None if moved else replace(call, path=path, params=params)
    return None


def _texts(row: Mapping[str, Json]) -> Fields:
    return {name: str(value) for name, value in row.items()}
