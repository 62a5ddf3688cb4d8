"""How a VM ends: kept for a while or not, with a last backup or not, and what of its backups."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, PlainSerializer

from desired.hardware import STORAGE
from desired.model import Model
from desired.units import Duration


def _seconds(length: float) -> str:
    return f"{int(length)}s"


Length = Annotated[Duration, PlainSerializer(_seconds)]


class KeptBackups(Model):
    """Backups that outlive their VM by so long, and go then."""

    keep: Length


def _by_word(value: object) -> object:
    return value if isinstance(value, (dict, KeptBackups)) or value == "delete" else _kept(value)


def _kept(value: object) -> object:
    if value != "keep":
        raise ValueError(f"expected keep, delete or {{keep: 30d}}, seen {value!r}")
    return value


class End(Model):
    """The end of a VM: `terminate: {grace: 7d, backup: pbs, backups: {keep: 30d}}`.

    With a `grace` it is stopped and kept so long before it is destroyed; `backup` names the storage
    that takes a last backup of the stopped VM. `backups` says what becomes of all its backups once
    it is gone: `keep` leaves them, `delete` removes them, `{keep: 30d}` does so later (C-22).
    """

    grace: Length = 0.0
    backup: str | None = Field(None, pattern=STORAGE, description="storage of a last backup")
    backups: Annotated[Literal["keep", "delete"] | KeptBackups, BeforeValidator(_by_word)] = "keep"

    @property
    def kept_for(self) -> float | None:
        """Seconds for which its backups outlive the VM; None for ever."""
        if isinstance(self.backups, KeptBackups):
            return self.backups.keep
        return 0.0 if self.backups == "delete" else None
