"""A key whose machine is gone and is made anew under the same vmid, with the same addresses."""

from dataclasses import replace
from datetime import datetime

from sqlalchemy import Delete, Table, delete, or_, update

from state import tables
from state.bindings import binding_of
from state.database import Database, row_of, upsert
from state.memory import BACK, Phase
from state.outbox import Event, insert_event
from state.verbs import DO, Wish

PASSWORD = "password"
# Rows that tell of the machine that is gone, and of no other.
OLD = (tables.tasks, tables.fingerprints, tables.conditions, tables.applied, tables.placements)


class Renewals:
    """Reinstalls (DEP-28): key, vmid, addresses and MACs outlive the machine."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, wish: Wish, event: Event, at: datetime) -> None:
        """Lets the key be deployed once more, in one transaction with its event and the wish.

        What is remembered of the old machine goes, and so does its password; leases stay, and so
        do other open verbs and where its retained disks wait. Without a binding nothing is done.
        """
        with self._database.writing(f"make {wish.key} anew") as link:
            binding = binding_of(link, wish.key)
            if binding is None:
                return
            fresh = replace(
                binding, uuid=None, phase=Phase.DEPLOY, created_at=at, ready_at=None, node=None
            )
            columns = tables.bindings.c
            link.execute(
                update(tables.bindings).where(columns.key == wish.key),
                row_of(fresh, tables.bindings),
            )
            for table in OLD:
                link.execute(_of(table, wish.key))
            link.execute(delete(tables.attempts).where(tables.attempts.c.subject == wish.key))
            secrets, intents = tables.secrets.c, tables.intents.c
            mine = (secrets.key == wish.key, secrets.use == PASSWORD)
            link.execute(delete(tables.secrets).where(*mine))
            stays = [intents.kind.startswith(one, autoescape=True) for one in (DO, BACK)]
            begun = (intents.key == wish.key, ~or_(*stays))
            link.execute(delete(tables.intents).where(*begun))
            upsert(link, tables.intents, [row_of(wish.intent(), tables.intents)])
            insert_event(link, event)

    def clear_history(self, key: str) -> None:
        """Drops what runs did to a key, with the steps: its story begins anew (DEP-09)."""
        with self._database.writing(f"clear the history of {key}") as link:
            link.execute(_of(tables.vm_runs, key))


def _of(table: Table, key: str) -> Delete:
    return delete(table).where(table.c.key == key)
