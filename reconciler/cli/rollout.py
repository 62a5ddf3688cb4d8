"""`reconcile rollout`: edits that go out in batches, looked at and steered by a person."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from reconciler.cli.answer import OUTPUT, answer, document
from reconciler.cli.settings import Settings

if TYPE_CHECKING:
    from reconciler.config import Opened
    from state.rollouts import Rollout, RolloutState


@click.group(short_help="Look at and steer edits that go out in batches.")
def rollout() -> None:
    """Look at and steer edits that go out in batches.

    An edit of more VMs than `rollout: {over: ...}` says goes to a canary first, then in batches.

    \b
    Examples:
      reconcile rollout list
      reconcile rollout show 3
      reconcile rollout pause 3 --why "the canary is slow"
      reconcile rollout resume 3
      reconcile rollout resume 3 --leave-out web-7
      reconcile rollout abort 3
    """


@rollout.command("list", short_help="The latest rollouts.")
@OUTPUT
@click.pass_obj
def list_rollouts(settings: Settings, output: str) -> None:
    """List the latest rollouts, the latest first."""
    from reconciler.cli.opening import now
    from reconciler.cli.output import paint
    from reconciler.config import open_preview
    from reconciler.show.rollout import render_list, rollout_json

    with open_preview(settings.fleet, settings.database, now()) as opened:
        found = opened.store.rollouts.recent()
        told = [rollout_json(one, _batches(opened, one)) for one in found]
    click.echo(document(rollouts=told) if output == "json" else render_list(found, paint()))


@rollout.command(short_help="One rollout, VM by VM.")
@click.argument("number", type=int, required=False, metavar="[ID]")
@OUTPUT
@click.pass_obj
def show(settings: Settings, number: int | None, output: str) -> None:
    """Show a rollout VM by VM, and the batches to come; of the latest without an ID."""
    from reconciler.cli.opening import now
    from reconciler.cli.output import paint
    from reconciler.config import open_preview
    from reconciler.show.rollout import render_one, rollout_json

    with open_preview(settings.fleet, settings.database, now()) as opened:
        found = opened.store.rollouts.recent(100)
        one = found[0] if found and number is None else _numbered(found, number)
        batches = _batches(opened, one)
    if output == "json":
        click.echo(document(**rollout_json(one, batches)))
    else:
        click.echo(render_one(one, batches, paint()))


@rollout.command(short_help="Let no further batch begin.")
@click.argument("number", type=int, required=False, metavar="[ID]")
@click.option("--why", default="", help="Told to the VMs that wait.")
@OUTPUT
@click.pass_obj
def pause(settings: Settings, number: int | None, why: str, output: str) -> None:
    """Let no further batch begin; what is at work comes to its end."""
    one = _turn(settings, number, ("active",), "paused", why or "a person paused it")
    text = f"rollout {one.id} is paused: no further batch begins"
    answer(output, text, rollout=one.id, state="paused")


@rollout.command(short_help="Let a paused or aborted rollout go on.")
@click.argument("number", type=int, required=False, metavar="[ID]")
@click.option(
    "--leave-out",
    "left_out",
    multiple=True,
    metavar="VM",
    help="Wait no longer for this VM; it gets the edit by itself.",
)
@OUTPUT
@click.pass_obj
def resume(settings: Settings, number: int | None, left_out: tuple[str, ...], output: str) -> None:
    """Let a paused or aborted rollout go on."""
    states: tuple[RolloutState, ...] = ("paused", "aborted")
    one = _turn(settings, number, states, "active", "", left_out)
    answer(output, f"rollout {one.id} goes on with the next run", rollout=one.id, state="active")


@rollout.command(short_help="Let what is not applied stay so.")
@click.argument("number", type=int, required=False, metavar="[ID]")
@OUTPUT
@click.pass_obj
def abort(settings: Settings, number: int | None, output: str) -> None:
    """End a rollout where it is: what is applied stays, the rest keeps what it had.

    VMs that have not got the edit are held at their former values, and say so, until their specs
    are edited again: put the specs back, or resume.
    """
    states: tuple[RolloutState, ...] = ("active", "paused")
    one = _turn(settings, number, states, "aborted", "a person aborted it")
    left = len(one.of("waiting"))
    text = f"rollout {one.id} is aborted: {left} VMs stay as they were until their specs change"
    answer(output, text, rollout=one.id, state="aborted", left=left)


def _turn(
    settings: Settings,
    number: int | None,
    states: "Sequence[RolloutState]",
    state: "RolloutState",
    why: str,
    left_out: tuple[str, ...] = (),
) -> "Rollout":
    """Give a rollout that is in one of `states` another state."""
    from reconciler.cli.opening import now
    from reconciler.config import open_live

    at = now()
    with open_live(settings.fleet, settings.database, at) as opened:
        one = _numbered(opened.store.rollouts.holding(), number)
        if one.state not in states:
            raise click.ClickException(f"rollout {one.id} is {one.state}")
        known = {member.key: member for member in one.of("waiting", "working")}
        for key in left_out:
            if key not in known:
                raise click.ClickException(f"rollout {one.id} does not wait for {key}")
        changed = [
            replace(known[key], state="left", batch=max(known[key].batch, 1), why="left out", at=at)
            for key in left_out
        ]
        began = [replace(one, at=at) for one in known.values() if one.key not in left_out]
        if state == "active":
            changed += [one for one in began if one.state == "working"]
        one = replace(one.with_members(changed), state=state, why=why)
        return opened.store.rollouts.save([one])[0]


def _numbered(found: "Sequence[Rollout]", number: int | None) -> "Rollout":
    """The rollout of that number; without one the only one that there is."""
    mine = [one for one in found if number in (None, one.id)]
    if len(mine) == 1:
        return mine[0]
    ids = ", ".join(str(one.id) for one in found) or "none"
    wanted = f"no rollout {number}" if number is not None else "name one by its ID"
    raise click.ClickException(f"{wanted}; there is: {ids}")


def _batches(opened: "Opened", one: "Rollout") -> list[tuple[str, ...]]:
    from reconciler.rollout.batches import grouping, preview

    if not one.holds:
        return []
    return preview(one, opened.fleet.rollout, grouping(opened.fleet))
