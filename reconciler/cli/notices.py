"""`reconcile notices`: what was told to whom, how it reads, and whether a channel works."""

import click

from reconciler.cli.answer import OUTPUT, answer, document
from reconciler.cli.keys import Named, vm_keys
from reconciler.cli.settings import EXIT_FAILED, Settings

STATES = ("waiting", "claimed", "handing", "sent", "held", "failed")


@click.group()
def notices() -> None:
    """What is told to people: notices and tickets.

    \b
    Examples:
      reconcile notices list --state held
      reconcile notices preview ready web-1
      reconcile notices test mail --to me@example.net
      reconcile notices resend 17
    """


@notices.command("list")
@click.option("--state", type=click.Choice(STATES), multiple=True, help="Only those.")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True)
@OUTPUT
@click.pass_obj
def list_notices(settings: Settings, state: tuple[str, ...], limit: int, output: str) -> None:
    """List the newest notices, how far each has come, and the open tickets."""
    from reconciler.cli.opening import now
    from reconciler.config import open_preview
    from reconciler.show.notices import notice_json, render_notices, ticket_json

    with open_preview(settings.fleet, settings.database, now()) as opened:
        found = opened.store.notices.newest(limit, state)  # type: ignore[arg-type]
        tickets = opened.store.tickets.all()
    answer(
        output,
        render_notices(found, tickets),
        notices=[notice_json(one) for one in found],
        tickets=[ticket_json(one) for one in tickets],
    )


@notices.command()
@click.argument("number", metavar="ID", type=int)
@OUTPUT
@click.pass_obj
def show(settings: Settings, number: int, output: str) -> None:
    """Show one notice: to whom it went, what came of it."""
    from reconciler.cli.opening import now
    from reconciler.config import open_preview
    from reconciler.show.notices import notice_json, render_notice

    with open_preview(settings.fleet, settings.database, now()) as opened:
        found = opened.store.notices.of(number)
    if found is None:
        raise click.ClickException(f"no notice {number}; see reconcile notices list")
    answer(output, render_notice(found), notice=notice_json(found))


@notices.command()
@click.argument("event")
@click.argument("vm", type=Named(vm_keys))
@click.option("--html", is_flag=True, help="The HTML part in the place of the text.")
@OUTPUT
@click.pass_obj
def preview(settings: Settings, event: str, vm: str, html: bool, output: str) -> None:
    """Show how a notice of a VM would read now; nothing is sent, and no password shown.

    EVENT is a kind (`ready`) or an event (`vm_ready`).
    """
    from reconciler.cli.opening import known_key, now
    from reconciler.config import open_preview
    from reconciler.notices.desk import NoSuch
    from reconciler.notices.desk import preview as read
    from reconciler.notices.letter import BadLetter

    at = now()
    with open_preview(settings.fleet, settings.database, at) as opened:
        key = known_key(vm, opened.fleet, opened.store.bindings.all())
        try:
            words, to = read(opened.store, opened.fleet, event, key, at)
        except NoSuch as error:
            raise click.UsageError(str(error)) from None
        except BadLetter as error:
            raise click.ClickException(str(error)) from None
    if output == "json":
        parts = {"subject": words.subject, "text": words.text, "html": words.html, "to": to}
        click.echo(document(**parts))
    else:
        body = words.html if html else words.text
        click.echo(f"To:      {to}\nSubject: {words.subject}\n\n{body}", nl=False)


@notices.command()
@click.argument("channel")
@click.option("--to", default="", metavar="ADDRESS", help="For mail: the address.")
@OUTPUT
@click.pass_context
def test(ctx: click.Context, channel: str, to: str, output: str) -> None:
    """Send a test by a channel, now; say whether the other side took it."""
    from reconciler.cli.opening import now
    from reconciler.config import open_preview
    from reconciler.notices.desk import NoSuch, NotTaken, try_out

    settings: Settings = ctx.obj
    at = now()
    with open_preview(settings.fleet, settings.database, at) as opened:
        try:
            said = try_out(opened.fleet, channel, to, opened.resolve, at)
        except NoSuch as error:
            raise click.UsageError(str(error)) from None
        except NotTaken as error:
            answer(output, f"not taken: {error}", taken=False, error=str(error))
            ctx.exit(EXIT_FAILED)
    answer(output, f"taken{f': {said}' if said else ''}", taken=True, reference=said)


@notices.command()
@click.argument("number", metavar="ID", type=int)
@OUTPUT
@click.pass_obj
def resend(settings: Settings, number: int, output: str) -> None:
    """Send a notice again with the next run: one that is held, failed, or was sent."""
    from reconciler.cli.opening import now
    from reconciler.config import open_live
    from reconciler.notices.deliver import resend as again

    at = now()
    with open_live(settings.fleet, settings.database, at) as opened:
        found = opened.store.notices.of(number)
        if found is None:
            raise click.ClickException(f"no notice {number}; see reconcile notices list")
        if not again(opened.store, found, at):
            raise click.ClickException(f"notice {number} is {found.state}: it is under way already")
    answer(output, f"notice {number} is sent again by the next run", id=number, state="waiting")
