"""How often something failed in a row, and when it may be tried again."""

from datetime import datetime

from sqlalchemy import delete, select

from state import tables
from state.database import Database, upsert
from state.memory import Attempt

LONGEST_ERROR = 2000


class Attempts:
    """Attempts by (subject, handler); a subject is a VM's key or another object's name."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def fail(
        self, subject: str, handler: str, error: str, at: datetime, not_before: datetime
    ) -> Attempt:
        """Counts one more failure and answers the count."""
        columns = tables.attempts.c
        row = {
            "subject": subject,
            "handler": handler,
            "count": 1,
            "error": error[:LONGEST_ERROR],
            "at": at,
            "not_before": not_before,
        }
        with self._database.writing(f"count a failure of {subject}/{handler}") as link:
            upsert(link, tables.attempts, [row], counted=("count",))
            statement = select(tables.attempts).where(
                columns.subject == subject, columns.handler == handler
            )
            return Attempt(*link.execute(statement).one())

    def clear(self, subject: str, handler: str) -> None:
        """It went well."""
        columns = tables.attempts.c
        with self._database.writing(f"clear failures of {subject}/{handler}") as link:
            link.execute(
                delete(tables.attempts).where(
                    columns.subject == subject, columns.handler == handler
                )
            )

    def clear_all(self, subject: str) -> None:
        """A person asks to try everything again at once, or the subject is gone."""
        with self._database.writing(f"clear failures of {subject}") as link:
            link.execute(delete(tables.attempts).where(tables.attempts.c.subject == subject))

    def all(self) -> tuple[Attempt, ...]:
        """Whatever failed and is tried again."""
        statement = select(tables.attempts).order_by(*tables.attempts.primary_key)
        with self._database.reading("read failures") as link:
            return tuple(Attempt(*row) for row in link.execute(statement))

    def of(self, subject: str) -> dict[str, Attempt]:
        """A subject's attempts by handler."""
        statement = (
            select(tables.attempts)
            .order_by(*tables.attempts.primary_key)
            .where(tables.attempts.c.subject == subject)
        )
        with self._database.reading(f"read failures of {subject}") as link:
            return {row.handler: Attempt(*row) for row in link.execute(statement)}
