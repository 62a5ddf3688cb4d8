"""Tasks that we started and have not seen the end of: a hint, the cluster decides."""

from sqlalchemy import delete, insert, select

from state import tables
from state.database import Database, row_of
from state.memory import OpenTask


class Tasks:
    """Open tasks. UNIQUE: the UPID in its cluster, and the VM (one open task each)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def open(self, task: OpenTask) -> None:
        """Remembers a task before it is followed; Taken when that VM has one open."""
        with self._database.writing(f"open task {task.upid} of {task.key}") as link:
            link.execute(insert(tables.tasks), row_of(task, tables.tasks))

    def close(self, task: OpenTask) -> None:
        """Its end was seen."""
        columns = tables.tasks.c
        mine = (columns.upid == task.upid, columns.cluster == task.cluster)
        with self._database.writing(f"close task {task.upid} of {task.key}") as link:
            link.execute(delete(tables.tasks).where(*mine))

    def all(self) -> dict[str, OpenTask]:
        """The open tasks by VM key."""
        statement = select(tables.tasks).order_by(tables.tasks.c.key)
        with self._database.reading("read tasks") as link:
            return {row.key: OpenTask(*row) for row in link.execute(statement)}
