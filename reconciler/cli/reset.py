"""The commands by which a person sets what a record says: reset and forget."""

import click

from reconciler.cli.answer import OUTPUT, answer
from reconciler.cli.settings import Settings
from reconciler.cli.verbs import YES, confirmed


@click.command(short_help="Set a VM's state; what follows it is made again.")
@click.argument("vm")
@click.option("--to", "state", required=True, metavar="STATE", help="A state: it counts as done.")
@click.option("--dry-run", is_flag=True, help="Only say what will run next.")
@YES
@OUTPUT
@click.pass_obj
def reset(settings: Settings, vm: str, state: str, dry_run: bool, yes: bool, output: str) -> None:
    """Count a state as done, forget what failed, and let the next runs make what comes after it.

    `ready` stops all else after a repair by hand; `change_package` makes every step of a change
    again; `creation` and `set_ip` destroy the machine (see redeploy, reinstall); `terminate` tries
    an end that failed once more; `remove` closes the record of a VM that is gone, by hand.

    \b
    Examples:
      reconcile reset web-1 --to ready
      reconcile reset web-1 --to set_network --dry-run
      reconcile reset old-1 --to terminate
    """
    from reconciler.cli.opening import known_key, now, person
    from reconciler.config import open_live, open_preview
    from reconciler.verbs.asking import Refused, ask
    from reconciler.verbs.reset import carry_reset, reset_to
    from state.verbs import Wish

    at = now()
    begin = open_preview if dry_run else open_live
    with begin(settings.fleet, settings.database, at) as opened:
        key = known_key(vm, opened.fleet, opened.store.memories())
        memory, spec = opened.store.memories([key])[key], opened.fleet.vms.get(key)
        try:
            found = reset_to(state, memory)
            text = f"{key} is set to {state}; what runs next: {found.next}"
            if not dry_run:
                if found.verb or state in ("terminate", "remove"):
                    click.echo(text, err=True)
                    confirmed(yes, (found.verb or state).upper())
                verb = found.verb or "reset"
                params = {} if found.verb else {"state": state}
                wish = Wish(key, verb, at.isoformat(), person(), at, params)
                if found.verb:
                    ask(opened.store, spec, memory, wish, at)
                else:
                    carry_reset(opened.store, spec, memory, found, wish, at)
        except Refused as error:
            raise click.ClickException(f"{key}: {error}") from None
    answer(output, text, vm=key, state=state, next=found.next, steps=list(found.steps))


@click.command(short_help="Give a VM's record up; the machine is not touched.")
@click.argument("vm")
@YES
@OUTPUT
@click.pass_obj
def forget(settings: Settings, vm: str, yes: bool, output: str) -> None:
    """Drop what the database knows of a VM that ended, failed to end, or that no spec wants.

    Neither Proxmox nor the spec is touched. Addresses go back only when the machine is gone; of a
    VM that is still there the record stays while it has some. What is forgotten alarms nobody:
    neither rebuild-state nor prune takes it up again. The word FORGET is asked for, but with --yes.

    \b
    Examples:
      reconcile forget old-1
      reconcile forget old-1 --yes
    """
    from reconciler.cli.opening import known_key, now
    from reconciler.config import open_live
    from reconciler.secrets import SecretError
    from reconciler.verbs.asking import Refused
    from reconciler.verbs.forget import forget as drop
    from reconciler.verbs.forget import is_there, may_forget
    from state.api import ApiError
    from state.store import StoreError

    at = now()
    with open_live(settings.fleet, settings.database, at) as opened:
        key = known_key(vm, opened.fleet, opened.store.memories())
        memory, spec = opened.store.memories([key])[key], opened.fleet.vms.get(key)
        binding = memory.binding
        try:
            may_forget(memory, wanted=spec is not None and spec.state == "present")
            there = is_there(opened.connect(binding.cluster), binding) if binding else False
        except Refused as error:
            raise click.ClickException(f"{key}: {error}") from None
        except (ApiError, SecretError):
            there = None
        if there and memory.leases:
            held = ", ".join(lease.address for lease in memory.leases)
            text = f"{key}: vm {binding.vmid if binding else ''} is still there and may use {held}"
            raise click.ClickException(f"{text}: destroy it first")
        if there is None:
            click.echo(f"{key}: the cluster does not say whether it is gone; you do", err=True)
        confirmed(yes, "FORGET")
        try:
            freed = drop(opened.store, opened.fleet, key, free=not there, at=at)
        except StoreError as error:
            raise click.ClickException(str(error)) from None
    text = f"{key} is forgotten"
    given = f"; given back: {', '.join(freed)}" if freed else ""
    wanted = spec is not None and spec.state == "present"
    anew = "; its spec still wants it: the next run makes it anew" if wanted else ""
    answer(output, text + given + anew, vm=key, addresses=list(freed), wanted=wanted)
