"""What VMs that are gone have left, as text, JSON and markdown."""

from desired.units import format_size
from reconciler.show.text import Paint, count_of, json_when, table
from reconciler.zombies.zombie import UNLISTED, Zombie, Zombies
from state.api import Json

HEAD = ("CLUSTER", "VMID", "KIND", "WHAT", "NODE", "SIZE", "MADE")


def render_zombies(found: Zombies, paint: Paint) -> str:
    """One line each, then how each is removed by hand, then what could not be looked for."""
    lines = [table(HEAD, [_row(one) for one in found.found], paint)] if found.found else []
    lines += [f"- {one.how}{_aside(one)}" for one in found.found]
    lines += [paint.bad(f"! {problem}") for problem in found.problems]
    size = sum(one.size for one in found.found)
    taken = f", {round(size / (1 << 30), 1)} GiB" if size else ""
    where = f"on {count_of(len(found.clusters), 'cluster')}"
    lines.append(
        paint.bold(f"Zombies: {count_of(len(found.found), 'thing')} of guests gone{taken} {where}.")
    )
    lines.append(f"Not listed by Proxmox, look on a node: {'; '.join(UNLISTED)}.")
    return "\n".join(lines)


def _aside(one: Zombie) -> str:
    words = [f"on {one.node}"] if one.node else []
    words += [one.name.splitlines()[0]] if one.name else []
    words += [one.kept] if one.kept else []
    return f"   ({'; '.join(words)})" if words else ""


def _row(one: Zombie) -> tuple[str, ...]:
    return (
        one.cluster,
        str(one.vmid),
        one.kind,
        one.what,
        one.node or "any",
        format_size(one.size) if one.size else "-",
        f"{one.made_at:%Y-%m-%d}" if one.made_at else "-",
    )


def zombies_markdown(found: Zombies) -> str:
    """A table for a ticket."""
    if not found.found:
        return "Nothing is left of guests that are gone."
    head = (*HEAD, "REMOVE")
    lines = [f"| {' | '.join(word.lower() for word in head)} |", "|" + " --- |" * len(head)]
    for one in found.found:
        cells = (*_row(one), f"`{one.how}`{_aside(one)}")
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines)


def zombies_json(found: Zombies) -> dict[str, Json]:
    """`{at, clusters, zombies: [{cluster, vmid, kind, what, node, size, …}], problems}`."""
    return {
        "at": json_when(found.at),
        "clusters": list(found.clusters),
        "zombies": [_zombie_json(one) for one in found.found],
        "problems": list(found.problems),
        "unlisted": list(UNLISTED),
    }


def _zombie_json(one: Zombie) -> Json:
    return {
        "cluster": one.cluster,
        "vmid": one.vmid,
        "kind": one.kind,
        "what": one.what,
        "node": one.node or None,
        "size": one.size or None,
        "made_at": json_when(one.made_at) if one.made_at else None,
        "name": one.name or None,
        "kept": one.kept or None,
        "remove": one.how,
    }
