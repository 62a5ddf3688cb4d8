"""Why a VM was put where it is: every node with what ruled it out, or what it was ranked by."""

from datetime import datetime

from reconciler.show.text import count_of, show_when
from state.api import Json
from state.placing import Choice, Verdict

GIB = 1 << 30


def place_lines(choice: Choice, at: datetime | None = None) -> tuple[str, ...]:
    """Return the choice in a line, and one line for each node."""
    when = f" on {show_when(at)}" if at else ""
    chosen = f"{choice.node}, by {choice.rule}" if choice.node else "no node fitted"
    return (f"chosen{when}: {chosen}", *(_line(one) for one in choice.verdicts))


def _line(one: Verdict) -> str:
    if one.against:
        return f"  {one.node}: not, {'; '.join(one.against)}"
    ranked = [f"{one.free / GIB:.1f} GiB of RAM would be left"]
    ranked += [f"{one.mates} of its group there"] if one.mates else []
    ranked += [f"{count_of(one.vms, 'VM')} of the fleet"] if one.vms else []
    return f"  {one.node}: {one.way}, {', '.join(ranked)}"


def place_json(choice: Choice) -> Json:
    """Return the choice as machines read it; `free` is bytes of RAM."""
    nodes: list[Json] = [
        {
            "node": one.node,
            "way": one.way or None,
            "against": list(one.against),
            "mates": one.mates,
            "vms": one.vms,
            "free": one.free,
        }
        for one in choice.verdicts
    ]
    return {"node": choice.node or None, "rule": choice.rule, "nodes": nodes}
