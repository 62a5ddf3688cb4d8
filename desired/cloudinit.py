"""The cloud-init part of a spec (CI-01, CI-02)."""

from typing import Annotated

from pydantic import Field

from desired.addresses import Address
from desired.model import Bool, Model

USER = r"^[a-z_][a-z0-9_-]{0,31}$"
VOLUME = r"^[A-Za-z][A-Za-z0-9._-]+:snippets/[A-Za-z0-9._/-]+$"
REFERENCE = r"^(env|file|exec):.+$"
PASSWORD = r"^(generate|(env|file|exec):.+)$"
SecretReference = Annotated[str, Field(pattern=REFERENCE)]
"""Where a secret stands: `env:NAME`, `file:PATH` or `exec:COMMAND`; never the secret itself."""


class CustomFiles(Model):
    """Snippets that replace what Proxmox generates (`cicustom`), each a volume id."""

    user: str | None = Field(None, pattern=VOLUME)
    network: str | None = Field(None, pattern=VOLUME)
    meta: str | None = Field(None, pattern=VOLUME)
    vendor: str | None = Field(None, pattern=VOLUME)


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
    custom: CustomFiles | None = None
