"""The cloud-init part of a spec (CI-01, CI-02)."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from desired.addresses import Address
from desired.model import Bool, Model

USER = r"^[A-Za-z_][A-Za-z0-9_.-]{0,31}$"
UNIX_USER = r"[a-z_][a-z0-9_-]{0,31}"
VOLUME = r"^(none|[A-Za-z][A-Za-z0-9._-]+:snippets/[A-Za-z0-9._/-]+)$"
SHA256 = r"^[0-9a-f]{64}$"
REFERENCE = r"^(env|file|exec):.+$"
PASSWORD = r"^(generate|(env|file|exec):.+)$"
SecretReference = Annotated[str, Field(pattern=REFERENCE)]
"""Where a secret stands: `env:NAME`, `file:PATH` or `exec:COMMAND`; never the secret itself."""


class Snippet(Model):
    """A snippet: `local:snippets/web.yaml`, or `{volume: …, sha256: …}`; `none` takes it out.

    With the checksum of what was put there a new content is noticed: no call of Proxmox shows it.
    """

    volume: str = Field(pattern=VOLUME)
    sha256: str | None = Field(None, pattern=SHA256)

    @model_validator(mode="before")
    @classmethod
    def _by_volume(cls, value: object) -> object:
        return {"volume": value} if isinstance(value, str) else value


class CustomFiles(Model):
    """Snippets that replace what Proxmox generates (`cicustom`)."""

    user: Snippet | None = None
    network: Snippet | None = None
    meta: Snippet | None = None
    vendor: Snippet | None = None

    @property
    def volumes(self) -> dict[str, str]:
        """The volume of each kind that is named; `none` is one that is taken out."""
        return {kind: snippet.volume for kind, snippet in self._named()}

    @property
    def checksums(self) -> str:
        """`user=SHA256 vendor=SHA256`: what is known of the contents; empty when nothing is."""
        known = ((kind, snippet.sha256) for kind, snippet in self._named())
        return " ".join(f"{kind}={sha256}" for kind, sha256 in known if sha256)

    def _named(self) -> list[tuple[str, Snippet]]:
        kinds = (("meta", self.meta), ("network", self.network), ("user", self.user))
        every = (*kinds, ("vendor", self.vendor))
        return [(kind, snippet) for kind, snippet in every if snippet is not None]


class CloudInit(Model):
    """What the guest is told: user, password, keys, name servers. The host name is the VM's name.

    `user: random` and `password: generate` are made once and kept (CI-02).
    """

    user: str | None = Field(None, pattern=USER)
    password: str | None = Field(None, pattern=PASSWORD)
    keys: tuple[str, ...] | None = None
    dns: tuple[Address, ...] | None = None
    search: str | None = None
    upgrade: Bool | None = None
    type: Literal["nocloud", "configdrive2", "opennebula"] | None = None
    custom: CustomFiles | None = None
