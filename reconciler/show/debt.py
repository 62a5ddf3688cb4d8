"""The reboot debt as text, JSON and markdown."""

from reconciler.debt import Debt, Debts
from reconciler.show.text import Paint, count_of, json_when, show_duration, show_when, table
from state.api import Json

HEAD = ("VM", "WAITS", "SINCE", "POLICY", "NEXT", "EXPECTED", "GROUP")


def render_debts(found: Debts, paint: Paint) -> str:
    """One line a VM, then what hinders them, then a count with all the time it takes."""
    lines = [table(HEAD, [_row(found, one) for one in found.vms], paint)] if found.vms else []
    lines += [paint.warn(f"= {one.key}: {one.hindered}") for one in found.vms if one.hindered]
    lines += [paint.bad(f"? {key}: {why}") for key, why in sorted(found.unknown.items())]
    lines += [paint.bad(f"! {problem}") for problem in found.problems]
    if found.stopped:
        one = found.stopped
        text = f"! no VM is restarted since {one.key} did not come back: {one.why}"
        lines.append(paint.bad(f"{text}; look at it, then reconcile debt --resume"))
    of = f"{len(found.vms)} of {count_of(found.looked, 'VM')}"
    waits = "waits" if len(found.vms) == 1 else "wait"
    lines.append(paint.bold(f"Debt: {of} {waits} for a restart.{_whole(found)}"))
    return "\n".join(lines)


def _whole(found: Debts) -> str:
    known = [one.seconds for one in found.vms if one.seconds is not None]
    return f" One after the other: about {show_duration(sum(known))}." if known else ""


def _row(found: Debts, one: Debt) -> tuple[str, ...]:
    return (
        one.key,
        ", ".join(one.keys),
        show_when(one.since) if one.since else "not yet told",
        one.policy,
        _next(found, one),
        expectation(one),
        one.group or "-",
    )


def _next(found: Debts, one: Debt) -> str:
    """When it is restarted by itself."""
    if one.asked or one.policy == "allow":
        return "the next run"
    if one.policy == "never":
        return "never by itself"
    if one.window is None:
        return "no window comes"
    now = one.window.opened_at <= found.at
    when = f"now, until {show_when(one.window.until)}" if now else show_when(one.window.opened_at)
    return f"{when} ({one.window.name})"


def expectation(one: Debt) -> str:
    """How long it is off, and by whose restarts that is known."""
    if one.seconds is None:
        return "unknown"
    return f"{show_duration(one.seconds)}{'' if one.own else ' (as others)'}"


def render_markdown(found: Debts) -> str:
    """A table for a ticket or a calendar entry."""
    lines = [f"| {' | '.join(word.lower() for word in HEAD)} |", "|" + " --- |" * len(HEAD)]
    lines += [f"| {' | '.join(map(_cell, _row(found, one)))} |" for one in found.vms]
    return "\n".join(lines if found.vms else ["No VM waits for a restart."])


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")


def debts_json(found: Debts) -> dict[str, Json]:
    """`{at, vms: [{vm, keys, since, policy, window, asked, seconds, own, group}], unknown}`."""
    stopped: dict[str, Json] | None = None
    if found.stopped:
        one = found.stopped
        stopped = {"vm": one.key, "at": json_when(one.at), "why": one.why}
    unknown: dict[str, Json] = dict(sorted(found.unknown.items()))
    return {
        "at": json_when(found.at),
        "vms": [_vm_json(one) for one in found.vms],
        "unknown": unknown,
        "problems": list(found.problems),
        "stopped": stopped,
    }


def _vm_json(one: Debt) -> Json:
    window: dict[str, Json] | None = None
    if one.window:
        opened, until = json_when(one.window.opened_at), json_when(one.window.until)
        window = {"name": one.window.name, "opens": opened, "until": until}
    return {
        "vm": one.key,
        "keys": list(one.keys),
        "since": json_when(one.since) if one.since else None,
        "policy": one.policy,
        "window": window,
        "asked": one.asked,
        "seconds": one.seconds,
        "own": one.own,
        "group": one.group or None,
        "hindered": one.hindered or None,
    }
