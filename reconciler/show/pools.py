"""Pools, addresses and what is wrong with them, as text and JSON."""

from collections.abc import Sequence

from reconciler.pools.check import Checked
from reconciler.pools.usage import Holding, PoolUse
from reconciler.show.text import Paint, count_of, json_when, show_when, table
from state.api import Json

BAR = 20
"""How many characters a bar is wide."""
MANY = 10**9
"""Numbers beyond this are shown as a power of two."""
NEARLY, FULL = 0.8, 0.95
"""From these shares on a bar is coloured."""
HEAD = ("POOL", "WHERE", "RANGE", "USED", "LEASED", "RESTING", "RESERVED", "FREE", "GAPS")
HELD = ("ADDRESS", "STATE", "VM", "UNTIL", "WHY")


def bar(use: PoolUse) -> str:
    """`[#####...............]  25%`: full only when nothing is free."""
    filled = BAR if not use.free else min(BAR - 1, round(use.share * BAR))
    if use.share > 0:
        filled = max(filled, 1)
    return f"[{'#' * filled}{'.' * (BAR - filled)}] {use.share:4.0%}"


def render_pools(uses: Sequence[PoolUse], paint: Paint) -> str:
    """One line a pool, and a word of those that are nearly used up."""
    if not uses:
        return "no pools: write them in pools/*.yaml"
    lines = [table(HEAD, [_row(one) for one in uses], paint)]
    for one in uses:
        if one.share >= NEARLY:
            told = f"{one.name}: {number(one.free)} of {number(one.total)} addresses free"
            lines.append(paint.bad(told) if one.share >= FULL else paint.warn(told))
    return "\n".join(lines)


def _row(one: PoolUse) -> tuple[str, ...]:
    counts = (one.leased, one.resting, one.reserved, one.free)
    return (one.name, _where(one), _range(one), bar(one), *map(number, counts), _gaps(one))


def _where(one: PoolUse) -> str:
    pool = one.pool
    vlan = f".{pool.vlan}" if pool.vlan else ""
    return f"{pool.cluster or 'any'}/{pool.bridge or 'any'}{vlan}"


def _range(one: PoolUse) -> str:
    return f"{one.pool.first} - {one.pool.last}"


def _gaps(one: PoolUse) -> str:
    return f"{one.gaps}, largest {number(one.largest)}" if one.gaps else "-"


def number(count: int) -> str:
    """Return a count; of so many that nobody reads the digits, the power of two below it."""
    return str(count) if count < MANY else f"2^{count.bit_length() - 1}"


def render_pool(one: PoolUse, held: Sequence[Holding], paint: Paint) -> str:
    """One pool with every address that is kept of it, and its reverse zone (DNS-12)."""
    pool = one.pool
    lines = [
        paint.bold(f"{one.name}  {pool.network}  {_where(one)}"),
        f"  range      {_range(one)}",
        f"  used       {bar(one)}  {_counts(one)}",
        f"  gaps       {_gaps(one)}",
        f"  gateway    {pool.gateway or '-'}",
        f"  dns        {', '.join(map(str, pool.dns)) or '-'}",
        f"  rDNS zone  {one.zone}",
    ]
    if one.outside:
        lines.append(f"  {count_of(one.outside, 'lease')} outside the range: kept (ip show POOL)")
    if held:
        lines.append(table(HELD, [_held(each) for each in held], paint))
    return "\n".join(lines)


def _counts(one: PoolUse) -> str:
    parts = {"leased": one.leased, "resting": one.resting, "reserved": one.reserved}
    told = ", ".join(f"{count} {word}" for word, count in parts.items())
    return f"{told}, {number(one.free)} of {number(one.total)} free"


def _held(one: Holding) -> tuple[str, ...]:
    whose = f"{one.key}/{one.nic}" if one.nic else (one.key or "-")
    until = show_when(one.until) if one.until else ("by hand" if one.state == "resting" else "-")
    return one.address, one.state, whose, until, one.why or "-"


def render_address(one: Holding, paint: Paint) -> str:
    """What one address is, in one line."""
    return table(HELD, [_held(one)], paint)


def render_checked(found: Checked, paint: Paint) -> str:
    """One line a problem, then a count."""
    lines = [paint.bad(f"{one.kind:<10}  {one.about}: {one.text}") for one in found.problems]
    lines += [paint.bad(f"! {problem}") for problem in found.unknown]
    wrong = count_of(len(found.problems), "problem")
    lines.append(paint.bold(f"Addresses: {wrong}, {count_of(found.vms, 'VM')} looked at."))
    return "\n".join(lines)


def pool_json(one: PoolUse) -> dict[str, Json]:
    """`{pool, cluster, bridge, vlan, network, first, last, gateway, dns, total, …, rdns_zone}`."""
    pool = one.pool
    return {
        "pool": one.name,
        "cluster": pool.cluster,
        "bridge": pool.bridge,
        "vlan": pool.vlan,
        "network": str(pool.network),
        "first": str(pool.first),
        "last": str(pool.last),
        "gateway": str(pool.gateway) if pool.gateway else None,
        "dns": [str(server) for server in pool.dns],
        "total": one.total,
        "leased": one.leased,
        "resting": one.resting,
        "reserved": one.reserved,
        "free": one.free,
        "outside": one.outside,
        "gaps": one.gaps,
        "largest_gap": one.largest,
        "rdns_zone": one.zone,
    }


def holding_json(one: Holding) -> dict[str, Json]:
    """`{address, state, pool, vm, nic, until, why}`."""
    return {
        "address": one.address,
        "state": one.state,
        "pool": one.pool or None,
        "vm": one.key,
        "nic": one.nic or None,
        "until": json_when(one.until) if one.until else None,
        "why": one.why or None,
    }


def checked_json(found: Checked) -> dict[str, Json]:
    """`{problems: [{kind, about, text}], vms, unknown}`."""
    problems: list[Json] = [
        {"kind": one.kind, "about": one.about, "text": one.text} for one in found.problems
    ]
    return {"problems": problems, "vms": found.vms, "unknown": list(found.unknown)}
