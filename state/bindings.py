"""Which machine a key is bound to, which vmids were forgotten, and which names were rolled."""

from collections.abc import Callable, Sequence
from datetime import datetime

from sqlalchemy import Column, Connection, delete, exists, insert, select, update

from desired.source import RolledName
from state import tables
from state.applied import AppliedSpec
from state.database import Database, StoreError, row_of, upsert
from state.kept import KeptBackups, insert_kept
from state.leases import insert_lease, release_of
from state.memory import BACK, Binding, Intent, Lease, Phase
from state.outbox import Event, insert_event
from state.quarantine import Rest
from state.usage import move_usage

# Rows that follow a machine when its key changes (leases do by their foreign key), and those of
# them that a key has but one of. What was forgotten bears the old key in its marker: it stays.
FOLLOWING = (
    tables.effects,
    tables.notices,
    tables.outbox,
    tables.quarantine,
    tables.reservations,
)
FOLLOWING_ALONE = (
    tables.tasks,
    tables.intents,
    tables.fingerprints,
    tables.secrets,
    tables.conditions,
    tables.applied,
    tables.placements,
    tables.rollout_members,
    tables.verbs,
    tables.vm_runs,
)
# Rows that mean nothing without the machine. The journal, effects and events outlive it.
FORGOTTEN_TOO = (
    tables.tasks,
    tables.intents,
    tables.holds,
    tables.fingerprints,
    tables.secrets,
    tables.conditions,
    tables.applied,
    tables.placements,
)


class Bindings:
    """Bindings by key. UNIQUE: the key, and (cluster, vmid)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def bind(
        self,
        binding: Binding,
        leases: Sequence[Lease] = (),
        applied: AppliedSpec | None = None,
        event: Event | None = None,
    ) -> None:
        """Binds a new key, with its first leases; Taken when any of it is somebody's already.

        A machine that is there already comes with the spec that it is as, and with an event.
        """
        table = tables.forgotten
        with self._database.writing(f"bind {binding.key} to {_machine(binding)}") as link:
            link.execute(insert(tables.bindings), row_of(binding, tables.bindings))
            link.execute(
                delete(table).where(
                    table.c.cluster == binding.cluster, table.c.vmid == binding.vmid
                )
            )
            for lease in leases:
                insert_lease(link, lease)
            if applied:
                upsert(link, tables.applied, [row_of(applied, tables.applied)])
            if event:
                insert_event(link, event)

    def change(self, binding: Binding, event: Event | None = None) -> None:
        """Replaces what is bound to the key; an event is written with it or not at all.

        Taken when another key has (cluster, vmid); StoreError when the key is not bound.
        """
        with self._database.writing(f"change {binding.key} ({_machine(binding)})") as link:
            changed = link.execute(
                update(tables.bindings).where(tables.bindings.c.key == binding.key),
                row_of(binding, tables.bindings),
            )
            if not changed.rowcount:
                raise StoreError(f"{binding.key}: not bound, so it cannot be changed")
            if event:
                insert_event(link, event)

    def of(self, key: str) -> Binding | None:
        with self._database.reading(f"read {key}") as link:
            return binding_of(link, key)

    def all(self) -> dict[str, Binding]:
        statement = select(tables.bindings).order_by(*tables.bindings.primary_key)
        with self._database.reading("read bindings") as link:
            return {row.key: Binding(*row) for row in link.execute(statement)}

    def deploying(self, cluster: str) -> list[Binding]:
        """The bindings of a cluster whose machines are not ready yet, by vmid."""
        columns = tables.bindings.c
        statement = select(tables.bindings).where(
            columns.cluster == cluster, columns.phase == Phase.DEPLOY
        )
        with self._database.reading("read what is deployed") as link:
            return [Binding(*row) for row in link.execute(statement.order_by(columns.vmid))]

    def in_phase(self, phase: Phase) -> list[Binding]:
        """The bindings of all clusters in a phase, by key."""
        statement = select(tables.bindings).where(tables.bindings.c.phase == phase)
        with self._database.reading(f"read what is in phase {phase}") as link:
            return [
                Binding(*row) for row in link.execute(statement.order_by(tables.bindings.c.key))
            ]

    def names(self) -> dict[str, RolledName]:
        """The Proxmox names in use, by key, each with the template text that it came from."""
        columns = tables.bindings.c
        with self._database.reading("read names") as link:
            named = select(columns.key, columns.name_template, columns.name)
            rows = link.execute(named.order_by(columns.key))
            return {key: RolledName(template, name) for key, template, name in rows}

    def vmids(self, cluster: str) -> set[int]:
        """The vmids bound in a cluster."""
        columns = tables.bindings.c
        with self._database.reading("read vmids") as link:
            return set(link.scalars(select(columns.vmid).where(columns.cluster == cluster)))

    def rename_key(self, old: str, new: str) -> bool:
        """Gives everything of `old` to `new` (`was:`); False when `old` is not bound (any more).

        Taken when `new` is bound. What was kept of `new` while it was no machine gives way; only
        a hold put on it stays.
        """
        with self._database.writing(f"rename {old} to {new}") as link:
            columns = tables.bindings.c
            moved = link.execute(update(tables.bindings).where(columns.key == old).values(key=new))
            if not moved.rowcount:
                return False
            for table in FOLLOWING:
                _move(link, table.c.key, old, new)
            for table in FOLLOWING_ALONE:
                link.execute(delete(table).where(table.c.key == new))
                _move(link, table.c.key, old, new)
            attempts = tables.attempts
            link.execute(delete(attempts).where(attempts.c.subject == new))
            _move(link, attempts.c.subject, old, new)
            _move_hold(link, old, new)
            move_usage(link, old, new)
        return True

    def withdraw(self, key: str) -> None:
        """Unbinds a key that never had a machine, with its addresses, and remembers nothing."""
        with self._database.writing(f"withdraw {key}") as link:
            binding = binding_of(link, key)
            if binding is not None:
                link.execute(delete(tables.leases).where(tables.leases.c.key == key))
                _drop_rows(link, binding, again=True)

    def end(
        self,
        key: str,
        event: Event,
        rest_of: Callable[[Lease], Rest | None],
        tombstone: Intent | None = None,
        kept: KeptBackups | None = None,
        *,
        again: bool = False,
    ) -> bool:
        """Unbinds a key whose machine is surely gone: addresses, vmid and record, in one.

        `rest_of` says how each address is to rest. The event is written with it or not at all, and
        so is what stands for the backups that are kept; a tombstone keeps the key from being made
        again. `again` says that another machine follows: where its retained disks wait is not
        forgotten. False when it is not bound (any more).
        """
        with self._database.writing(f"end {key}") as link:
            binding = binding_of(link, key)
            if binding is None:
                return False
            release_of(link, key, rest_of)
            _drop_rows(link, binding, again=again)
            if kept is not None:
                insert_kept(link, kept)
            insert_event(link, event)
            if tombstone is not None:
                upsert(link, tables.intents, [row_of(tombstone, tables.intents)])
        return True

    def forget(self, key: str, at: datetime) -> None:
        """Unbinds a key and remembers its vmid as forgotten, so that its marker alarms nobody.

        StoreError while the key holds addresses: they are released first, when the VM is gone.
        """
        with self._database.writing(f"forget {key}") as link:
            binding = binding_of(link, key)
            if binding is None:
                return
            held = link.scalars(
                select(tables.leases.c.address).where(tables.leases.c.key == key)
            ).all()
            if held:
                raise StoreError(
                    f"{key}: still holds {', '.join(sorted(held))}; release that first"
                )
            gone = {"cluster": binding.cluster, "vmid": binding.vmid, "key": key, "at": at}
            upsert(link, tables.forgotten, [gone])
            _drop_rows(link, binding)

    def forgotten(self) -> set[str]:
        """The keys that machines bore which the store was told to forget."""
        with self._database.reading("read forgotten") as link:
            return set(link.scalars(select(tables.forgotten.c.key)))

    def forgotten_vmids(self, cluster: str) -> set[int]:
        """The vmids of a cluster that the store was told to forget."""
        columns = tables.forgotten.c
        with self._database.reading("read forgotten") as link:
            return set(link.scalars(select(columns.vmid).where(columns.cluster == cluster)))


def binding_of(link: Connection, key: str) -> Binding | None:
    """The binding of a key, read in a transaction of the caller's."""
    statement = select(tables.bindings).where(tables.bindings.c.key == key)
    row = link.execute(statement).first()
    return Binding(*row) if row else None


def _machine(binding: Binding) -> str:
    return f"{binding.cluster}/{binding.vmid}"


def _move(link: Connection, column: Column[str], old: str, new: str) -> None:
    statement = update(column.table).where(column == old)
    link.execute(statement.values({column.name: new}))


def _move_hold(link: Connection, old: str, new: str) -> None:
    table = tables.holds
    other = table.alias()
    theirs = exists().where(other.c.key == new)
    link.execute(delete(table).where(table.c.key == old, theirs))
    _move(link, table.c.key, old, new)


def _drop_rows(link: Connection, binding: Binding, *, again: bool = False) -> None:
    for table in FORGOTTEN_TOO:
        rows = delete(table).where(table.c.key == binding.key)
        if again and table is tables.intents:
            rows = rows.where(~table.c.kind.startswith(BACK, autoescape=True))
        link.execute(rows)
    link.execute(delete(tables.attempts).where(tables.attempts.c.subject == binding.key))
    cached = tables.cache.c
    link.execute(
        delete(tables.cache).where(cached.cluster == binding.cluster, cached.vmid == binding.vmid)
    )
    link.execute(delete(tables.bindings).where(tables.bindings.c.key == binding.key))
