"""Batches that a provider takes whole or not at all: the refused ones are found by halving."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from state.drivers import (
    Applied,
    BadKey,
    Conflict,
    DNSError,
    DNSRefused,
    DNSUnreachable,
    RRChange,
    RRset,
    ZoneNotFound,
)

Send = Callable[[Sequence[RRChange]], None]
PATIENCE = 3
"""Changes withheld from a key, with none taken, until it is thought to have no rights at all."""


class Withheld(BadKey):
    """The key may not write this; it may be allowed to write other names of the zone."""


class TooMuch(Exception):
    """The batch is larger than one request may be; nothing was sent."""


def apply_apart(batch: Sequence[RRChange], send: Send) -> tuple[Applied, ...]:
    """Send a batch, and in halves what is refused, so that one bad change fails alone.

    `send` applies all it is given or nothing, and raises DNSError. Removals go first: a CNAME has
    to go before an A of its name may come. Raises what every change met (a server that is down).
    """
    if not batch:
        return ()
    found: dict[int, DNSError | None] = {}
    order = sorted(range(len(batch)), key=lambda at: batch[at].new is not None)
    _halve(batch, order, send, found)
    return tuple(Applied(change, found[at]) for at, change in enumerate(batch))


def _halve(
    batch: Sequence[RRChange],
    part: Sequence[int],
    send: Send,
    found: dict[int, DNSError | None],
) -> None:
    lost = next((one for one in found.values() if isinstance(one, DNSUnreachable)), None)
    if lost is not None:
        found.update(dict.fromkeys(part, lost))
        return
    try:
        send([batch[at] for at in part])
    except TooMuch:
        _split(batch, part, send, found)
    except DNSError as error:
        if len(part) > 1 and _divisible(error, found):
            _split(batch, part, send, found)
        elif len(part) == len(batch) and not _divisible(error, found):
            raise
        else:
            found.update(dict.fromkeys(part, error))
    else:
        found.update(dict.fromkeys(part))


def _split(
    batch: Sequence[RRChange],
    part: Sequence[int],
    send: Send,
    found: dict[int, DNSError | None],
) -> None:
    middle = len(part) // 2
    if not middle:
        found[part[0]] = DNSRefused("larger than one request may be")
        return
    _halve(batch, part[:middle], send, found)
    _halve(batch, part[middle:], send, found)


def _divisible(error: DNSError, found: Mapping[int, DNSError | None]) -> bool:
    """Whether the other half of a batch may fare better than one that met this."""
    if isinstance(error, Withheld):
        withheld = sum(isinstance(one, Withheld) for one in found.values())
        return withheld < PATIENCE or None in found.values()
    return isinstance(error, Conflict | DNSRefused) and not isinstance(error, BadKey | ZoneNotFound)


def apply_checked(
    zone: str, batch: Sequence[RRChange], held: Iterable[RRset], send: Send
) -> tuple[Applied, ...]:
    """Send those changes whose rrset is still as they knew it; the others are conflicts.

    For providers without a compare-and-set of their own: between the reading of `held` and the
    sending somebody else may write.
    """
    errors = conflicts(zone, batch, held)
    fit = [change for change, error in zip(batch, errors, strict=True) if error is None]
    sent = iter(apply_apart(fit, send))
    return tuple(
        next(sent) if error is None else Applied(change, error)
        for change, error in zip(batch, errors, strict=True)
    )


def conflicts(zone: str, batch: Sequence[RRChange], held: Iterable[RRset]) -> list[DNSError | None]:
    """What stands against each change: another rrset than it knew, a CNAME, a foreign zone.

    Not every provider looks at the last two, and a name server does not load what comes of them.
    """
    now = {(one.name, one.type): one for one in held}
    errors: list[DNSError | None] = [_conflict(zone, one, now) for one in batch]
    fit = [one for one, error in zip(batch, errors, strict=True) if error is None]
    gone = {(one.rrset.name, one.rrset.type) for one in fit if one.new is None}
    clashing = shared([*(now.keys() - gone), *coming(fit)])
    for at, change in enumerate(batch):
        if errors[at] is None and change.new is not None and change.rrset.name in clashing:
            errors[at] = clash(change.rrset.name)
    return errors


def coming(batch: Iterable[RRChange]) -> list[tuple[str, str]]:
    """Name and type of what a batch creates or changes."""
    return [(one.rrset.name, one.rrset.type) for one in batch if one.new is not None]


def shared(keys: Iterable[tuple[str, str]]) -> set[str]:
    """Names with a CNAME and something else beside it."""
    found = set(keys)
    alone = {name for name, kind in found if kind == "CNAME"}
    return alone & {name for name, kind in found if kind != "CNAME"}


def _conflict(zone: str, change: RRChange, now: Mapping[tuple[str, str], RRset]) -> DNSError | None:
    about = change.rrset
    if about.name != zone and not about.name.endswith(f".{zone}"):
        return DNSRefused(f"{about.name} is no name of the zone {zone}")
    seen = now.get((about.name, about.type))
    before = change.old.values if change.old else None
    if (seen.values if seen else None) != before:
        return Conflict(f"{about.name} {about.type}: expected {_told(before)}, seen {_seen(seen)}")
    return None


def clash(name: str) -> DNSRefused:
    """The refusal of what would come to a name that a CNAME shares."""
    return DNSRefused(f"{name}: a CNAME and other records cannot share a name")


def _seen(rrset: RRset | None) -> str:
    return _told(rrset.values if rrset else None)


def _told(values: frozenset[str] | None) -> str:
    return "no such record" if values is None else " ".join(sorted(values)) or "no value in force"
