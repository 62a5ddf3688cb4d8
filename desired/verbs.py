"""One-shot verbs of a spec: `do: {reinstall: TOKEN}` is done once for each distinct token."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from desired.hardware import STORAGE
from desired.model import Bool, Model

SNAPSHOT = r"^[A-Za-z][A-Za-z0-9_-]{1,39}$"
HOST = r"^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$"
VOLUME = r"^[A-Za-z][A-Za-z0-9._-]*:backup/\S+$"
SLOT = r"^(scsi|virtio|sata|ide|efidisk|tpmstate)\d+$"


class Asked(Model):
    """A verb with the token that asks for it: a new token asks once more."""

    token: str = Field(min_length=1, max_length=100)

    @property
    def params(self) -> dict[str, str | bool]:
        """What is asked besides, without what was not said."""
        return self.model_dump(exclude={"token"}, exclude_none=True)


class AskedSnapshot(Asked):
    """A snapshot; without a name it is called by its token. `vmstate` saves the RAM too."""

    name: str | None = Field(None, pattern=SNAPSHOT)
    description: str | None = Field(None, max_length=1000)
    vmstate: Bool | None = None


class AskedRollback(Asked):
    """Back to the snapshot `name`."""

    name: str = Field(pattern=SNAPSHOT)


class AskedRestore(Asked):
    """Back to the backup `backup`, its disks to `storage` or where they were.

    `foreign` takes one of another VM, or of another one that had its vmid.
    """

    backup: str = Field(pattern=VOLUME, max_length=500)
    storage: str | None = Field(None, pattern=STORAGE)
    foreign: Bool | None = None


class AskedBackup(Asked):
    """A backup; storage and mode are those of the VM's `backup:` unless said."""

    storage: str | None = Field(None, pattern=STORAGE)
    mode: Literal["snapshot", "suspend", "stop"] | None = None
    protect: Bool | None = None


class AskedMove(Asked):
    """To a node, or of every disk (or the one in slot `disk`) to a storage."""

    node: str | None = Field(None, pattern=HOST)
    storage: str | None = Field(None, pattern=STORAGE)
    disk: str | None = Field(None, pattern=SLOT)

    @model_validator(mode="after")
    def _one_way(self) -> "AskedMove":
        if (self.node is None) == (self.storage is None) or (self.disk and self.node):
            raise ValueError("expected either node: NODE, or storage: NAME with or without disk")
        return self


def _by_token(value: object) -> object:
    """A token alone stands for the verb; a number or a date is one too."""
    return value if value is None or isinstance(value, dict | Model) else {"token": str(value)}


Plain = Annotated[Asked | None, BeforeValidator(_by_token)]
Snapshot = Annotated[AskedSnapshot | None, BeforeValidator(_by_token)]
Backup = Annotated[AskedBackup | None, BeforeValidator(_by_token)]


class Do(Model):
    """What is to be done once: each verb with its token."""

    suspend: Plain = None
    resume: Plain = None
    reinstall: Plain = None
    redeploy: Plain = None
    snapshot: Snapshot = None
    rollback: AskedRollback | None = None
    backup: Backup = None
    restore: AskedRestore | None = None
    move: AskedMove | None = None

    def asked(self) -> tuple[tuple[str, Asked], ...]:
        """The verbs that are named, in the order in which they are taken up."""
        named = ((verb, getattr(self, verb)) for verb in type(self).model_fields)
        return tuple((verb, one) for verb, one in named if one is not None)
