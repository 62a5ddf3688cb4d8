"""How changes become requests: what goes out in one look, together, and with which digest."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from handlers.handler import is_config_call, merge_config
from state.change import Call, Change, Method

_TASK_ENDINGS = ("/clone", "/resize", "/template", "/move_disk", "/migrate")


def turn(changes: Sequence[Change]) -> list[Change]:
    """Return what goes out in this look: all but the gates; when only gates are left, the first."""
    plain = [change for change in changes if not change.gate]
    return plain or list(changes[:1])


def groups(changes: Sequence[Change], *, separately: bool) -> list[list[Change]]:
    """Return what is sent together: merged config first, quick calls, then what starts tasks.

    One handler's trouble with its other calls must not hide behind another's. `separately` sends
    the config keys of one handler only: a merged write was refused without naming a key.
    """
    config = [change for change in changes if is_config(change)]
    others: dict[str, list[Change]] = {}
    for change in changes:
        if not is_config(change):
            others.setdefault(change.handler, []).append(change)
    if separately and config:
        first = config[0].handler
        return [[change for change in config if change.handler == first]]
    rest = sorted(others.values(), key=starts_task)
    return [config, *rest] if config else rest


def starts_task(group: Iterable[Change]) -> bool:
    """Whether a call of the group answers with a UPID, which ends the VM's turn."""
    calls = [call for change in group for call in change.calls]
    return any(
        call.path.endswith(_TASK_ENDINGS)
        or "/status/" in call.path
        or (call.method is Method.POST and call.path.endswith("/config"))
        for call in calls
    )


def names_of(group: Iterable[Change]) -> list[str]:
    """Return the handlers of a group, in order."""
    return list(dict.fromkeys(change.handler for change in group))


def is_config(change: Change) -> bool:
    """Whether the change is made by config keys alone, which go out as one PUT."""
    return bool(change.calls) and all(is_config_call(call) for call in change.calls)


def merged(group: Iterable[Change], digest: str) -> Call:
    """Return the one PUT of a group's config keys, with the digest seen."""
    call = merge_config(call for change in group for call in change.calls)
    assert call is not None
    return replace(call, params={**call.params, "digest": digest} if digest else call.params)


def signed_with(change: Change, digest: str) -> Change:
    """Give a POST of config keys (an allocation) the digest seen."""
    calls = tuple(
        replace(call, params={**call.params, "digest": digest})
        if digest and call.method is Method.POST and call.path.endswith("/config")
        else call
        for call in change.calls
    )
    return replace(change, calls=calls)
