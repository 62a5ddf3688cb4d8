"""What waits for a stop and start of a running VM, and whether its policy permits that now."""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b

from desired.spec import VMSpec
from desired.windows import allows, next_opening, open_window
from state.change import Effect, Note
from state.observed import SeenVM

RESTART, RESTARTED = "restart", "restarted"
"""Intents: a person asked for a restart; what the last restart was for, while some of it waits."""

NOW = "now"
"""The detail of a `restart` that goes before a deny window."""

EFFECT = Effect.STOP_START.value
DAY = "%a %Y-%m-%d %H:%M UTC"


def pending_marks(seen: SeenVM) -> frozenset[str]:
    """A short name of each value that waits: its key and what it is to be."""
    if seen.config is None:
        return frozenset()
    wanted = seen.config.wanted
    return frozenset(_mark(key, wanted.text(key)) for key in seen.config.pending)


def _mark(key: str, value: str | None) -> str:
    text = key if value is None else f"{key}={value}"
    return blake2b(text.encode(), digest_size=4).hexdigest()


@dataclass(frozen=True, slots=True)
class Permission:
    """Whether a restart may be made now; if not, `until` says in words what it waits for."""

    granted: bool
    until: str = ""
    condition: str = ""


def permission(spec: VMSpec, seen: SeenVM) -> Permission:
    """What the restart policy says of the values that wait (C-24, CP-15)."""
    done = seen.memory.intents.get(RESTARTED)
    if done and pending_marks(seen) <= set(done.detail.split(",")):
        return Permission(False, "it was restarted for them, and they still wait", "RestartInVain")
    if RESTART in seen.memory.intents or spec.restart == "allow":
        return Permission(True)
    if spec.restart == "never":
        return Permission(False)
    if not allows(spec.windows, EFFECT):
        return Permission(False, "it has no window to be restarted in", "NoWindow")
    if open_window(spec.windows, EFFECT, seen.at):
        return Permission(True)
    coming = next_opening(spec.windows, EFFECT, seen.at)
    when = coming.opened_at.strftime(DAY).lower() if coming else "none comes"
    return Permission(False, f"waits for a window ({when.replace('utc', 'UTC')})")


def waits(seen: SeenVM, granted: Permission) -> Iterator[Note]:
    """Name the values that wait, and why the VM is not restarted for them now."""
    if not (seen.config and seen.config.pending):
        return
    keys = ", ".join(sorted(seen.config.pending))
    reason = "; ".join(filter(None, (f"waits for a stop and start: {keys}", granted.until)))
    yield Note(seen.key, "power", "restart", reason, "RestartRequired")
    if granted.condition:
        yield Note(seen.key, "power", "restart", granted.until, granted.condition)
