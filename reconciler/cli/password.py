"""The command that delivers a generated password once, or sets another one."""

from typing import TYPE_CHECKING

import click

from reconciler.cli.answer import OUTPUT, answer
from reconciler.cli.settings import Settings

if TYPE_CHECKING:
    from reconciler.config import Opened
    from reconciler.password import Reset


@click.command(short_help="Deliver a generated password, once, or set another.")
@click.argument("vm")
@click.option("--show-once", is_flag=True, help="Print it; it is never printed a second time.")
@click.option("--reset", is_flag=True, help="Set another one first; generated, unless it is given.")
@click.option("--user", metavar="NAME", help="Whose; without: the user that cloud-init makes.")
@click.option("--set-from", metavar="REF", help="Set this one: env:NAME, file:PATH, exec:COMMAND.")
@OUTPUT
@click.pass_obj
def password(
    settings: Settings,
    vm: str,
    show_once: bool,
    reset: bool,
    user: str | None,
    set_from: str | None,
    output: str,
) -> None:
    """Deliver the password that was generated for a VM, once; or set another one.

    It is set through the guest agent where that answers. One that the spec asks for (`password:
    generate`) is also written to cloud-init by the next run, and the guest takes it at its next
    boot; nothing is ever rebooted for it. A run may be at work meanwhile.

    \b
    Examples:
      reconcile password web-1 --show-once
      reconcile password web-1 --reset --show-once
      reconcile password web-1 --reset --user deploy --set-from file:/root/deploy.txt
    """
    from reconciler.cli.opening import known_key, now
    from reconciler.config import open_live

    if show_once and set_from:
        raise click.UsageError("--show-once shows a generated password, --set-from gives your own")
    if not (show_once or reset or set_from):
        raise click.UsageError("it can be shown only once: say --show-once when you are ready")
    with open_live(settings.fleet, settings.database, now()) as opened:
        key = known_key(vm, opened.fleet, opened.store.memories())
        done = _reset(opened, key, user, set_from) if reset or set_from else None
        use = done.use if done else f"password:{user}" if user else "password"
        shown = _shown(opened, key, use) if show_once else None
    told: dict[str, object] = {"vm": key}
    if done:
        told |= {"user": done.user, "way": done.way, "doubt": done.doubt}
        click.echo(_words(key, done), err=True)
    if shown is not None:
        told["password"] = shown
    if shown is not None or output == "json":
        answer(output, shown or "", **told)


def _reset(opened: "Opened", key: str, user: str | None, reference: str | None) -> "Reset":
    from reconciler.cli.opening import now, person
    from reconciler.password import Asked, PasswordRefused, reset_password

    secret = opened.resolve(reference) if reference else None
    asked = Asked(key, user, secret, person(), now())
    try:
        return reset_password(opened.store, opened.fleet.vms.get(key), asked, opened.connect)
    except PasswordRefused as error:
        raise click.ClickException(f"{key}: {error}") from error


def _words(key: str, done: "Reset") -> str:
    """What was done, and when the guest has it."""
    text = f"{key}: password of {done.user} set through the guest agent"
    if done.way == "cloud-init":
        text = f"{key}: password of {done.user} set for cloud-init: applies at next boot"
    elif done.way != "agent":
        text += "; the next run writes it to cloud-init too"
    return f"{text} ({done.doubt})" if done.doubt else text


def _shown(opened: "Opened", key: str, use: str) -> str:
    from reconciler.cli.opening import now

    secret = opened.store.vault.reveal(key, use)
    if secret is None:
        raise click.ClickException(
            f"no password was generated for {key}: its spec says no `password: generate`, "
            "or no run has worked on it yet"
        )
    if not opened.store.vault.shown(key, use, now()):
        raise click.ClickException(
            f"the password of {key} was shown before, and is shown only once; set another one: "
            f"reconcile password {key} --reset --show-once"
        )
    return secret.reveal()
