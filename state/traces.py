"""What others did to our VMs, as the cluster's log told it: who changed what, and when."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, insert, select

from state import tables
from state.database import Database

KEPT = timedelta(days=30)


@dataclass(frozen=True, slots=True, order=True)
class Trace:
    """A line of `/cluster/log` that names a VM."""

    at: datetime
    vmid: int
    user: str
    text: str


class Traces:
    """Lines by cluster and VM, kept for 30 days."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, cluster: str, traces: Iterable[Trace]) -> None:
        """Writes lines down; old ones go."""
        rows = [{"cluster": cluster, **asdict(one)} for one in traces]
        if not rows:
            return
        oldest = max(row["at"] for row in rows) - KEPT
        columns = tables.traces.c
        with self._database.writing("write traces") as link:
            link.execute(insert(tables.traces), rows)
            link.execute(delete(tables.traces).where(columns.at < oldest))

    def of(self, cluster: str, vmid: int) -> tuple[Trace, ...]:
        """What was done to a VM, the oldest first."""
        columns = tables.traces.c
        wanted = (columns.at, columns.vmid, columns.user, columns.text)
        statement = select(*wanted).where(columns.cluster == cluster, columns.vmid == vmid)
        with self._database.reading("read traces") as link:
            return tuple(Trace(*row) for row in link.execute(statement.order_by(columns.id)))
