"""A VM's config as Proxmox answers it, read by type; numbers and strings drift, we coerce."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import quote, unquote

from state.drive import Drive, parse_drive
from state.net import IpConfig, Net, parse_ipconfig, parse_net
from state.propstring import parse, parse_boolean, render_number

Scalar = str | int | float
BUSES = ("scsi", "virtio", "sata", "ide")
_INDEXED = re.compile(r"([a-z]+)(\d+)")


def _slots(raw: Iterable[str], kinds: Sequence[str]) -> list[tuple[str, int]]:
    """Return (key, index) of the indexed keys of these kinds, by kind, then by number."""
    matches = ((key, _INDEXED.fullmatch(key)) for key in raw)
    found = [(kinds.index(m[1]), int(m[2]), key) for key, m in matches if m and m[1] in kinds]
    return [(key, index) for _, index, key in sorted(found)]


@dataclass(frozen=True)
class VMConfig:
    """One view of a VM's config; accessors fill in Proxmox's defaults and raise ValueError for
    a value that Proxmox itself could not have stored.

    Source: `GET /nodes/N/qemu/V/{config,pending}`.
    """

    raw: Mapping[str, Scalar]

    def text(self, key: str) -> str | None:
        """The value as text, None when unset; Proxmox stores an empty text as one blank."""
        value = self.raw.get(key)
        if value is None:
            return None
        if isinstance(value, str):
            return value if value.strip() else ""
        return render_number(value) if isinstance(value, float) else str(int(value))

    def integer(self, key: str, default: int) -> int:
        return int(self.number(key, default))

    def number(self, key: str, default: float) -> float:
        text = self.text(key)
        try:
            return float(text) if text else default
        except ValueError:
            raise ValueError(f"{key}: expected a number, seen {text!r}") from None

    def boolean(self, key: str, default: bool) -> bool:
        text = self.text(key)
        return parse_boolean(text) if text else default

    @cached_property
    def drives(self) -> Mapping[str, Drive]:
        """Every drive by slot: disks, CD-ROMs, cloud-init, EFI and TPM state; not the unused."""
        slots = _slots(self.raw, (*BUSES, "efidisk", "tpmstate"))
        return {key: parse_drive(self.text(key) or "") for key, _ in slots}

    @cached_property
    def disks(self) -> Mapping[str, Drive]:
        """The drives that hold the guest's own data, by slot."""
        return {
            slot: drive
            for slot, drive in self.drives.items()
            if slot.startswith(BUSES) and not drive.cdrom and not drive.cloudinit
        }

    @cached_property
    def unused(self) -> Mapping[str, str]:
        """Detached volumes: `unused0` -> volume."""
        return {key: self.text(key) or "" for key, _ in _slots(self.raw, ("unused",))}

    @property
    def boot_order(self) -> tuple[str, ...]:
        for part in (self.text("boot") or "").split(","):
            if part.startswith("order="):
                return tuple(device for device in part[6:].split(";") if device)
        return ()

    @property
    def boot_disk(self) -> str | None:
        """The slot of the system disk: by boot order, by the older `bootdisk`, else the first."""
        named = (*self.boot_order, self.text("bootdisk") or "", *self.disks)
        return next((slot for slot in named if slot in self.disks), None)

    @cached_property
    def nics(self) -> Mapping[str, Net]:
        return {key: parse_net(self.text(key) or "") for key, _ in _slots(self.raw, ("net",))}

    @cached_property
    def ipconfigs(self) -> Mapping[int, IpConfig]:
        slots = _slots(self.raw, ("ipconfig",))
        return {index: parse_ipconfig(self.text(key) or "") for key, index in slots}

    @property
    def memory(self) -> int:
        """MiB; 512 when unset."""
        return int(parse(self.text("memory") or "", "current").get("current", "512"))

    @property
    def balloon(self) -> int | None:
        """MiB; 0 is no balloon device, None one whose least is the whole memory."""
        return self.integer("balloon", 0) if self.text("balloon") else None

    @property
    def cpu_type(self) -> str:
        return parse(self.text("cpu") or "", "cputype").get("cputype", "kvm64")

    @property
    def tags(self) -> tuple[str, ...]:
        return tuple(tag for tag in re.split(r"[;, ]+", self.text("tags") or "") if tag)

    @property
    def description(self) -> str:
        return (self.text("description") or "").strip()

    @property
    def agent(self) -> bool:
        fields = parse(self.text("agent") or "", "enabled")
        return parse_boolean(fields.get("enabled", "0"))

    @property
    def startup(self) -> tuple[int | None, int | None, int | None]:
        """Order, up delay and down delay (seconds)."""
        fields = parse(self.text("startup") or "", "order")
        order, up, down = (
            int(fields[name]) if name in fields else None for name in ("order", "up", "down")
        )
        return order, up, down

    @property
    def ssh_keys(self) -> tuple[str, ...]:
        """The keys in clear, one text each; the config holds them percent-encoded."""
        lines = unquote(self.text("sshkeys") or "").splitlines()
        return tuple(line.strip() for line in lines if line.strip())

    @property
    def uuid(self) -> str | None:
        """The SMBIOS uuid in lower case: with the vmid the machine's identity."""
        uuid = parse(self.text("smbios1") or "").get("uuid")
        return uuid and uuid.lower()

    @property
    def name(self) -> str | None:
        return self.text("name") or None

    @property
    def lock(self) -> str | None:
        return self.text("lock") or None

    @property
    def template(self) -> bool:
        return self.boolean("template", False)


def encode_ssh_keys(keys: Iterable[str]) -> str:
    """Return the keys as the `sshkeys` parameter wants them: joined by newlines, percent-encoded.

    The form layer encodes the whole once more; Proxmox decodes both.
    """
    return quote("\n".join(keys), safe="")


def split_pending(
    rows: Iterable[Mapping[str, object]],
) -> tuple[dict[str, Scalar], dict[str, Scalar], frozenset[str], str]:
    """Return (wanted, live, pending keys, digest) of `GET …/pending`'s rows.

    Wanted has pending values laid over the live ones and pending deletes taken out.
    """
    wanted: dict[str, Scalar] = {}
    live: dict[str, Scalar] = {}
    waiting: set[str] = set()
    digest = ""
    for row in rows:
        key, value, pending = str(row["key"]), row.get("value"), row.get("pending")
        if key == "digest":
            digest = str(value)
            continue
        if isinstance(value, Scalar):
            live[key] = wanted[key] = value
        if row.get("delete"):
            wanted.pop(key, None)
            waiting.add(key)
        elif isinstance(pending, Scalar):
            wanted[key] = pending
            waiting.add(key)
    return wanted, live, frozenset(waiting), digest
