"""The verbs: what each will do, in words."""

from collections.abc import Mapping
from dataclasses import dataclass

from handlers.wishes import (
    BACKUP,
    DELETE_SNAPSHOT,
    MOVE,
    REDEPLOY,
    REINSTALL,
    RESET,
    RESTORE,
    RESUME,
    ROLLBACK,
    SNAPSHOT,
    SUSPEND,
    TERMINATE,
)


@dataclass(frozen=True, slots=True)
class Verb:
    """One verb: `does` goes on a sentence that begins with the VM.

    `bare` says that it may be asked of a key that has no machine yet.
    """

    name: str
    does: str
    bare: bool = False


_ROWS = (
    Verb(SUSPEND, "is stopped and kept off, and nothing is deleted", bare=True),
    Verb(RESUME, "comes back as it was", bare=True),
    Verb(SNAPSHOT, "gets a snapshot"),
    Verb(DELETE_SNAPSHOT, "loses a snapshot"),
    Verb(ROLLBACK, "goes back to a snapshot: what was written since is lost"),
    Verb(MOVE, "is moved"),
    Verb(BACKUP, "is backed up by the next run of backup_status"),
    Verb(
        REINSTALL,
        "is destroyed and made anew under the same vmid, with the same addresses and MACs; "
        "backups stay, snapshots do not",
    ),
    Verb(
        REDEPLOY,
        "is destroyed and made anew from nothing, with fresh addresses; backups stay",
    ),
    Verb(
        RESTORE,
        "is stopped and put back to a backup: what was written since is lost, and every snapshot",
    ),
    Verb(RESET, "has steps of its pipeline made once more"),
    Verb(TERMINATE, "is destroyed"),
)
VERBS: Mapping[str, Verb] = {one.name: one for one in _ROWS}
