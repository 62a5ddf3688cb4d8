"""Firewall rules as text fields, and the fewest steps that put our block on top (design 7).

Each rule of ours bears its id in the comment, `reconcile:<hash> text`; the hash is that of the
rule itself, so a rule keeps its id wherever it stands. Rules without an id are somebody else's.
"""

import hashlib
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_network

from desired.firewall import Rule

Fields = Mapping[str, str]
_ID = re.compile(r"reconcile:([0-9a-f]{8})(?: .*)?")
_SHOWN_ONLY = frozenset({"pos", "digest", "ipversion", "errors"})
OPTIONAL = frozenset(
    {"dest", "dport", "icmp-type", "iface", "log", "macro", "proto", "source", "sport"}
)
"""What may be taken away from a rule; type and action may not, id and `enable` always stand."""


@dataclass(frozen=True, slots=True)
class Post:
    """Add a rule on top, wherever it shall stand at last."""

    fields: Fields


@dataclass(frozen=True, slots=True)
class Move:
    """Put the rule at `position` before the one that stands at `target` then."""

    fields: Fields
    position: int
    target: int


@dataclass(frozen=True, slots=True)
class Edit:
    """Turn the rule at `position` into another in its place."""

    fields: Fields
    position: int
    new: Fields


@dataclass(frozen=True, slots=True)
class Remove:
    """Delete the rule at `position`."""

    fields: Fields
    position: int


Step = Post | Move | Edit | Remove


def wanted_rules(rules: Iterable[Rule]) -> list[Fields]:
    """Return the spec's rules as Proxmox's fields, each with its id before its comment."""
    found: list[Fields] = []
    seen: Counter[str] = Counter()
    for rule in rules:
        fields = _fields(rule)
        text = (rule.comment or "").partition("\n")[0].strip()
        content = repr((sorted(fields.items()), text))
        seen[content] += 1
        identity = hashlib.sha256(f"{content}{seen[content]}".encode()).hexdigest()[:8]
        found.append({**fields, "comment": f"reconcile:{identity} {text}".strip()})
    return found


def _fields(rule: Rule) -> dict[str, str]:
    kind = "group" if rule.group else "in" if rule.in_ else "out"
    action = rule.group.lower() if rule.group else rule.in_ or rule.out or ""
    names = {"icmp-type": rule.icmp_type} | {
        name: getattr(rule, name)
        for name in ("macro", "proto", "source", "dest", "sport", "dport", "iface", "log")
    }
    named = {name: str(value) for name, value in names.items() if value is not None}
    return {"type": kind, "action": action, "enable": str(int(rule.enable)), **named}


def own_id(fields: Fields) -> str | None:
    """The id in the comment of a rule of ours; None of somebody else's."""
    match = _ID.fullmatch(fields.get("comment", ""))
    return match[1] if match else None


def mark(fields: Fields) -> str:
    """What a rule is found by when positions have shifted: our id, else a hash of its content."""
    return (
        own_id(fields) or f"foreign-{hashlib.sha256(repr(normal(fields)).encode()).hexdigest()[:8]}"
    )


def normal(fields: Fields) -> tuple[tuple[str, str], ...]:
    """Return what a rule means, however Proxmox or a person wrote it."""
    kept = {name: text.strip() for name, text in fields.items() if name not in _SHOWN_ONLY}
    kept["enable"] = str(int(kept.get("enable", "0") != "0"))
    if kept.get("log") == "nolog":
        del kept["log"]
    for name in ("source", "dest"):
        if name in kept:
            kept[name] = ",".join(map(_network, kept[name].split(",")))
    if kept.get("type") == "group":
        kept["action"] = kept["action"].lower()
    if "proto" in kept:
        kept["proto"] = kept["proto"].lower()
    return tuple(sorted((name, text) for name, text in kept.items() if text))


def _network(text: str) -> str:
    try:
        return str(ip_network(text.strip(), strict=False))
    except ValueError:
        return text.strip()


def shown(fields: Fields) -> str:
    """A rule in a few words: `in ACCEPT tcp dport 22 (off)`."""
    words = [fields.get("type", ""), fields.get("action", ""), fields.get("proto", "")]
    words += [
        f"{name} {fields[name]}"
        for name in ("macro", "source", "dest", "sport", "dport", "icmp-type", "iface")
        if name in fields
    ]
    words += [] if fields.get("enable", "0") != "0" else ["(off)"]
    return " ".join(word for word in words if word)


def plan_rules(wanted: Sequence[Fields], seen: Sequence[Fields]) -> list[Step]:
    """Return the steps from the rules seen, in order, to our block on top and the rest below.

    Adds, then moves, then edits, then removes: each step's position counts what came before.
    """
    there = _matched(wanted, seen)
    gone = [i for i, fields in enumerate(seen) if own_id(fields) and i not in there.values()]
    for j in range(len(wanted)):
        if j not in there and gone:
            there[j] = gone.pop(0)
    new = [j for j in range(len(wanted)) if j not in there]
    rows = [-1 - j for j in new] + list(range(len(seen)))
    target = [there.get(j, -1 - j) for j in range(len(wanted))]
    target += [i for i in range(len(seen)) if i not in there.values() and i not in gone]
    fields_of = {-1 - j: wanted[j] for j in new} | dict(enumerate(seen))
    steps: list[Step] = [Post(wanted[j]) for j in reversed(new)]
    steps += [Move(fields_of[row], at, to) for row, at, to in _moves(rows, target)]
    steps += [
        Edit(seen[i], rows.index(i), wanted[j])
        for j, i in sorted(there.items())
        if normal(seen[i]) != normal(wanted[j])
    ]
    doomed = sorted((rows.index(i) for i in gone), reverse=True)
    return steps + [Remove(fields_of[rows[at]], at) for at in doomed]


def _matched(wanted: Sequence[Fields], seen: Sequence[Fields]) -> dict[int, int]:
    """Return wanted index -> seen index of the rules whose id is there (of a copy the first)."""
    first: dict[str, int] = {}
    for i, fields in enumerate(seen):
        if identity := own_id(fields):
            first.setdefault(identity, i)
    pairs = ((j, first.get(own_id(fields) or "")) for j, fields in enumerate(wanted))
    return {j: i for j, i in pairs if i is not None}


def _moves(rows: list[int], target: list[int]) -> list[tuple[int, int, int]]:
    """Bring `rows` into the order of `target`, in place; return (row, from, before) of each move.

    The longest run that is in order already stays; the others are put after their predecessor.
    """
    rank = {row: place for place, row in enumerate(target)}
    still = _longest_rising([rank[row] for row in rows if row in rank])
    moves: list[tuple[int, int, int]] = []
    for place, row in enumerate(target):
        if place in still:
            continue
        at = rows.index(row)
        to = rows.index(target[place - 1]) + 1 if place else 0
        moves.append((row, at, to))
        rows.insert(to if to < at else to - 1, rows.pop(at))
    return moves


def _longest_rising(ranks: Sequence[int]) -> frozenset[int]:
    """Return the members of a longest rising subsequence."""
    ends: list[int] = []
    before: dict[int, int | None] = {}
    for rank in ranks:
        spot = bisect_left(ends, rank)
        before[rank] = ends[spot - 1] if spot else None
        ends[spot : spot + 1] = [rank]
    member, found = (ends[-1] if ends else None), set()
    while member is not None:
        found.add(member)
        member = before[member]
    return frozenset(found)
