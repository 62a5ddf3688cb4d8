"""What `reconcile dns` answers, as text and as JSON."""

from collections.abc import Callable, Sequence

from reconciler.dns.desk import Checked, ShownZone
from reconciler.dns.fleet import Settled
from reconciler.dns.roster import RecordLine, by_state
from reconciler.show.text import Paint, count_of, table
from state.api import Json


def render_checked(
    found: Sequence[Checked],
    unusable: Sequence[str],
    hints: Sequence[tuple[str, str, str]],
    paint: Paint,
) -> str:
    """Return a line for each zone that was asked for, or is wrong, and the pools' reverse zones."""
    lines = []
    for one in found:
        words = paint.bad(one.error) if one.error else one.answer
        mark = paint.bad("[!]") if one.error else paint.good("[+]")
        lines.append(f"{mark} {one.zone.id}  {words}")
    lines += [f"{paint.bad('[!]')} {paint.bad(one)}" for one in unusable]
    lines += [] if lines else ["no zone is defined: zones/*.yaml says which there are"]
    if hints:
        lines += ["", table(("POOL", "NETWORK", "REVERSE ZONE"), hints, paint)]
    return "\n".join(lines)


def checked_json(one: Checked) -> Json:
    """Return one zone that was asked for as JSON."""
    return {
        "zone": one.zone.id,
        "provider": one.zone.provider,
        "ok": not one.error,
        "answer": one.answer or None,
        "error": one.error or None,
    }


def hint_json(pool: str, network: str, zone: str) -> Json:
    """Return a pool's reverse zone as JSON."""
    return {"pool": pool, "network": network, "reverse_zone": zone}


def render_shown(found: Sequence[ShownZone], paint: Paint, *, each: bool) -> str:
    """Return a line for each zone, with `each` one for every record below it."""
    lines = []
    for one in found:
        states = by_state(one.lines)
        words = ", ".join(f"{number} {state}" for state, number in states.items()) or "no records"
        lines.append(f"{one.zone.id}  {words}")
        if one.error:
            lines.append(paint.warn(f"    not reached, as last read: {one.error}"))
        told = [line for line in one.lines if each or line.state not in ("ok", "kept")]
        lines += [_record_line(line, paint) for line in told]
    return "\n".join(lines) or "no zone is defined: zones/*.yaml says which there are"


def _record_line(line: RecordLine, paint: Paint) -> str:
    plain: dict[str, Callable[[str], str]] = {"ok": str, "kept": paint.dim}
    tint = plain.get(line.state, paint.warn if line.state in ("missing", "stale") else paint.bad)
    held, wanted = ", ".join(line.held) or "(none)", ", ".join(line.wanted) or "(none)"
    values = held if line.state in ("ok", "kept") else f"{held}, wanted: {wanted}"
    return tint(f"    {line.state:<8} {line.type:<5} {line.name}  {values}")


def shown_json(one: ShownZone) -> Json:
    """Return one zone with its records as JSON."""
    return {
        "zone": one.zone.id,
        "provider": one.zone.provider,
        "error": one.error or None,
        "states": dict(by_state(one.lines)),
        "records": [
            {
                "name": line.name,
                "type": line.type,
                "state": line.state,
                "wanted": list(line.wanted),
                "held": list(line.held),
                "vms": list(line.keys),
            }
            for line in one.lines
        ],
    }


def settled_line(settled: Settled) -> str:
    """Return `3 zones: forward 2 ok, 0 failed, reverse 4 ok, 0 failed`."""
    counts = settled.counts
    return (
        f"{count_of(len(settled.turns), 'zone')}: forward {counts.forward_ok} ok, "
        f"{counts.forward_err} failed, reverse {counts.rev_ok} ok, {counts.rev_err} failed"
    )


def settled_json(settled: Settled) -> dict[str, Json]:
    """Return what became of zones as JSON."""
    counts = settled.counts
    return {
        "forward_ok": counts.forward_ok,
        "forward_err": counts.forward_err,
        "rev_ok": counts.rev_ok,
        "rev_err": counts.rev_err,
        "zones": [
            {"zone": turn.id, "trouble": turn.trouble or None, "open": len(turn.open)}
            for turn in settled.turns
        ],
    }
