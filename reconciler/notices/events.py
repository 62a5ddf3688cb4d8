"""From events to notices: which kind an event is, and who is told of it by which channels."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from desired.notices import Kind, Told
from desired.source import Fleet
from reconciler.notices.facts import recipient_of, told_of
from state.notices import Notice
from state.outbox import Event
from state.store import Store

ACCEPTED = "vm_accepted"
"""The event of a spec that is new: its VM is about to be made (DEP-25)."""

EXPIRING = "vm_expiring"
"""The event of a VM that is off and will be destroyed."""

EVENTS: Mapping[str, Kind] = {
    ACCEPTED: "welcome",
    "vm_ready": "ready",
    "password_reset": "password_reset",
    "backup_restored": "backup_restored",
    "vm_changed": "upgrade",
    EXPIRING: "expiry",
    "drift": "drift",
    "terminate_failed": "failure",
    "change_rolled_back": "failure",
    "additional_disk_shrink_rejected": "failure",
    "system_disk_shrink_rejected": "failure",
    "drain_stopped": "failure",
    "rollout_paused": "failure",
    "rollout_aborted": "failure",
    "verb_refused": "failure",
    "verb_failed": "failure",
    "backup_failed": "failure",
    "restore_failed": "failure",
    "work_failed": "failure",
}
"""The kind of each event that somebody is told of."""

STALE = timedelta(days=3)
"""An event that nobody was told of for so long is told to nobody any more."""

AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Taken:
    """How many events were taken up, and of how many nobody is told, since it is too late."""

    events: int = 0
    notices: int = 0
    stale: int = 0


def take_up(store: Store, fleet: Fleet, at: datetime) -> Taken:
    """Make notices of the events that were written since; each event is one transaction."""
    events = notices = stale = 0
    for event in store.outbox.waiting(AT_ONCE):
        late = event.at < at - STALE
        found = [] if late else notices_of(fleet, event)
        store.notices.expand(event, found, at)
        events, notices = events + 1, notices + len(found)
        stale += late and event.event in EVENTS
    return Taken(events, notices, stale)


def notices_of(fleet: Fleet, event: Event) -> list[Notice]:
    """Return a notice for each channel and recipient; none when nobody is to be told."""
    kind = EVENTS.get(event.event)
    if kind is None:
        return []
    told = told_of(fleet, event.key)
    return [
        Notice(
            0,
            event.dedupe,
            kind,
            event.event,
            event.key,
            channel,
            recipient,
            event.at,
            event.detail,
        )
        for channel in channels_of(fleet, told, kind)
        for recipient in recipients(fleet, told, kind, channel)
    ]


def channels_of(fleet: Fleet, told: Told, kind: Kind) -> tuple[str, ...]:
    """The channels of a kind: as `send` says, else the fleet's first one."""
    if kind in told.send:
        return tuple(name for name in told.send[kind] if name in fleet.notices.channels)
    return tuple(fleet.notices.channels)[:1]


def recipients(fleet: Fleet, told: Told, kind: Kind, name: str) -> tuple[str, ...]:
    """Who gets it by a channel; nobody when it is mail and there is no address."""
    channel, address = fleet.notices.channels[name], recipient_of(told, kind)
    if channel.apprise:
        return tuple(f"url {number}" for number in range(1, len(channel.apprise.urls) + 1))
    if channel.webhook:
        return (address,)
    return (address,) if address else ()
