"""The keys of a VM's config: types, ranges, formats, and how the file stores their values.

Plain declarations of PVE 8.4's parameters (qemu-server PVE/QemuServer.pm, pve-schema.json without
what came with 9.x). `OPTIONS` is used by create and by config updates alike.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from reconciler.sim.errors import failed
from reconciler.sim.parameters import drives, values
from reconciler.sim.parameters.cpu import CPU, SEV
from reconciler.sim.parameters.formats import (
    config_id,
    dns_name,
    ipv4,
    ipv6,
    storage_id,
    url_encoded,
    volume_id,
)
from reconciler.sim.parameters.machines import MACHINE, VGA
from reconciler.sim.parameters.machines import QEMU as QEMU
from reconciler.sim.parameters.net import MAX_NETS, NET
from reconciler.sim.parameters.schema import (
    Boolean,
    Field,
    Integer,
    Number,
    Properties,
    Text,
)
from reconciler.sim.parameters.values import words
from reconciler.sim.vm.machine import Value

LOCKS = words("backup clone create migrate rollback snapshot snapshot-delete suspending suspended")
OSTYPES = words("other wxp w2k w2k3 w2k8 wvista win7 win8 win10 win11 l24 l26 solaris")
KEYBOARDS = words(
    "de de-ch da en-gb en-us es fi fr fr-be fr-ca fr-ch hu is it ja lt mk nl no pl pt "
    "pt-br sv sl tr"
)
SCSI_CONTROLLERS = words("lsi lsi53c810 virtio-scsi-pci virtio-scsi-single megasas pvscsi")
UUID = r"[a-fA-F0-9]{8}(?:-[a-fA-F0-9]{4}){3}-[a-fA-F0-9]{12}"
BASE64 = r"[A-Za-z0-9+/]+={0,2}"
RANGES = r"\d+(?:-\d+)?(?:;\d+(?:-\d+)?)*"
QUOTED = re.compile(r'\A"(.*)"\Z')
USB_HOST = r"(?:(?:0x)?[0-9A-Fa-f]{4}:(?:0x)?[0-9A-Fa-f]{4}|\d+-\d+(?:\.\d+)*|[Ss][Pp][Ii][Cc][Ee])"
PCI_ID = r"(?:[0-9a-f]{4}:)?[0-9a-f]{2}:[0-9a-f]{2}(?:\.[0-9a-f])?(?:;\S+)?"


def _flag() -> Boolean:
    return Boolean(optional=True)


class Signed(int):
    """A whole number given with a plus: a call takes it, the config file does not."""

    def __str__(self) -> str:
        return f"+{int(self)}"


class Count(Integer):
    """A whole number of a config."""

    __slots__ = ()

    def convert(self, value: Value) -> Value:
        return Signed(value) if str(value).startswith("+") else int(value)


def _count(minimum: int | None = None, maximum: int | None = None) -> Integer:
    return Count(optional=True, minimum=minimum, maximum=maximum)


def _one_of(*words: str) -> Text:
    return Text(optional=True, enum=tuple(words))


def _parts(**parts: Field) -> Properties:
    return Properties(
        optional=True, parts={key.replace("_", "-"): one for key, one in parts.items()}
    )


AGENT = Properties(
    optional=True,
    parts={
        "enabled": Boolean(default_key=True),
        "fstrim_cloned_disks": _flag(),
        "freeze-fs-on-backup": _flag(),
        "type": _one_of("virtio", "isa"),
    },
)
BOOT = _parts(
    legacy=Text(optional=True, default_key=True, pattern="[acdn]{1,4}"),
    order=Text(optional=True, list_of=values.boot_device),
)
IPCONFIG = _parts(
    ip=Text(optional=True, format=values.ipv4_config),
    gw=Text(optional=True, format=ipv4, requires="ip"),
    ip6=Text(optional=True, format=values.ipv6_config),
    gw6=Text(optional=True, format=ipv6, requires="ip6"),
)
MEMORY = _parts(current=Integer(default_key=True, minimum=16))
SMBIOS = Properties(
    optional=True,
    max_length=512,
    parts={
        "uuid": Text(optional=True, pattern=UUID),
        **{
            key: Text(optional=True, pattern=BASE64)
            for key in ("version", "serial", "manufacturer", "product", "sku", "family")
        },
        "base64": _flag(),
    },
)
SNIPPETS = _parts(
    **{key: Text(optional=True, format=volume_id) for key in ("meta", "network", "user", "vendor")}
)

CPU_KEYS: dict[str, Field] = {
    "cores": _count(1),
    "cpu": CPU,
    "cpulimit": Number(optional=True, minimum=0, maximum=128),
    "cpuunits": _count(1, 262144),
    "numa": _flag(),
    "smp": _count(1),
    "sockets": _count(1),
    "vcpus": _count(1),
    **{
        f"numa{index}": _parts(
            cpus=Text(pattern=RANGES),
            hostnodes=Text(optional=True, pattern=RANGES),
            memory=Number(optional=True),
            policy=_one_of("preferred", "bind", "interleave"),
        )
        for index in range(8)
    },
}
MEMORY_KEYS: dict[str, Field] = {
    "memory": MEMORY,
    "balloon": _count(0),
    "shares": _count(0, 50000),
}
HARDWARE_KEYS: dict[str, Field] = {
    "acpi": _flag(),
    "hotplug": Text(optional=True, format=values.hotplug_features),
    "kvm": _flag(),
    "machine": MACHINE,
    "rng0": _parts(
        source=Text(default_key=True, enum=("/dev/urandom", "/dev/random", "/dev/hwrng")),
        max_bytes=_count(),
        period=_count(),
    ),
    "scsihw": _one_of(*SCSI_CONTROLLERS),
    "smbios1": SMBIOS,
    "tablet": _flag(),
    "vga": VGA,
    "watchdog": _parts(
        model=Text(optional=True, default_key=True, enum=("i6300esb", "ib700")),
        action=_one_of("reset", "shutdown", "poweroff", "pause", "debug", "none"),
    ),
    "audio0": _parts(
        device=Text(enum=("ich9-intel-hda", "intel-hda", "AC97")),
        driver=_one_of("spice", "none"),
    ),
}
GENERAL_KEYS: dict[str, Field] = {
    "agent": AGENT,
    "autostart": _flag(),
    "bios": _one_of("seabios", "ovmf"),
    "description": Text(optional=True, max_length=8192),
    "keyboard": _one_of(*KEYBOARDS),
    "localtime": _flag(),
    "migrate_downtime": Number(optional=True, minimum=0),
    "migrate_speed": _count(0),
    "name": Text(optional=True, format=dns_name),
    "onboot": _flag(),
    "ostype": _one_of(*OSTYPES),
    "protection": _flag(),
    "reboot": _flag(),
    "startdate": Text(
        optional=True, pattern=r"(?:now|\d{4}-\d{1,2}-\d{1,2}(?:T\d{1,2}:\d{1,2}:\d{1,2})?)"
    ),
    "startup": Text(optional=True, format=values.startup_order),
    "tdf": _flag(),
    "template": _flag(),
}
POWER_KEYS: dict[str, Field] = {"freeze": _flag()}
DISK_KEYS: dict[str, Field] = {
    "boot": BOOT,
    "bootdisk": Text(
        optional=True, format=values.boot_disk, pattern=r"(?:ide|sata|scsi|virtio)\d+"
    ),
    "vmstatestorage": Text(optional=True, format=storage_id),
}
CLOUDINIT_KEYS: dict[str, Field] = {
    "cicustom": SNIPPETS,
    "cipassword": Text(optional=True),
    "citype": _one_of("configdrive2", "nocloud", "opennebula"),
    "ciupgrade": _flag(),
    "ciuser": Text(optional=True),
    "nameserver": Text(optional=True, list_of=values.address),
    "searchdomain": Text(optional=True),
    "sshkeys": Text(optional=True, format=url_encoded),
}
IPCONFIG_KEYS: dict[str, Field] = {f"ipconfig{index}": IPCONFIG for index in range(MAX_NETS)}
NET_KEYS: dict[str, Field] = {f"net{index}": NET for index in range(MAX_NETS)}
DRIVE_KEYS: dict[str, Field] = {
    key: drives.FIELDS[key.rstrip("0123456789")] for key in drives.DRIVES
}
UNUSED_KEYS: dict[str, Field] = {key: drives.FIELDS["unused"] for key in drives.UNUSED}
OWN_CHECK_KEYS: dict[str, Field] = {
    "tags": Text(optional=True, list_of=values.tag),
    "rng0": Properties(
        optional=True,
        parts={
            "source": Text(default_key=True, enum=("/dev/urandom", "/dev/random", "/dev/hwrng")),
            "max_bytes": _count(),
            "period": _count(),
        },
    ),
    **{f"serial{i}": Text(optional=True, pattern=r"(?:/dev/.+|socket)") for i in range(4)},
    **{
        f"usb{index}": _parts(
            host=Text(optional=True, default_key=True, pattern=USB_HOST),
            mapping=Text(optional=True, format=config_id),
            usb3=_flag(),
        )
        for index in range(14)
    },
    **{
        f"hostpci{index}": Properties(
            optional=True,
            parts={
                "host": Text(optional=True, default_key=True, pattern=PCI_ID),
                "mapping": Text(optional=True, format=config_id),
                "rombar": _flag(),
                "romfile": Text(optional=True, pattern=r"[^,;]+"),
                "pcie": _flag(),
                "x-vga": _flag(),
                "legacy-igd": _flag(),
                "mdev": Text(optional=True),
                **{
                    key: Text(optional=True, pattern=r"0x[0-9a-fA-F]{4}")
                    for key in ("vendor-id", "device-id", "sub-vendor-id", "sub-device-id")
                },
            },
        )
        for index in range(16)
    },
    **{
        f"virtiofs{index}": Properties(
            optional=True,
            parts={
                "dirid": Text(default_key=True, format=config_id),
                "cache": _one_of("auto", "always", "metadata", "never"),
                "direct-io": _flag(),
                "expose-acl": _flag(),
                "expose-xattr": _flag(),
            },
        )
        for index in range(10)
    },
}
ROOT_KEYS: dict[str, Field] = {
    "affinity": Text(optional=True, format=values.cpu_set),
    "amd-sev": SEV,
    "arch": _one_of("x86_64", "aarch64"),
    "args": Text(optional=True),
    "hookscript": Text(optional=True, format=volume_id),
    "hugepages": _one_of("any", "2", "1024"),
    "ivshmem": _parts(size=Integer(minimum=1), name=Text(optional=True, pattern=r"[a-zA-Z0-9\-]+")),
    "keephugepages": _flag(),
    "lock": _one_of(*LOCKS),
    **{
        f"parallel{index}": Text(optional=True, pattern=r"/dev/parport\d+|/dev/usb/lp\d+")
        for index in range(3)
    },
    "spice_enhancements": _parts(
        foldersharing=_flag(), videostreaming=_one_of("off", "all", "filter")
    ),
    "vmgenid": Text(optional=True, pattern=rf"(?:{UUID}|[01])"),
}

OPTIONS: dict[str, Field] = {
    **CPU_KEYS,
    **MEMORY_KEYS,
    **HARDWARE_KEYS,
    **GENERAL_KEYS,
    **POWER_KEYS,
    **DISK_KEYS,
    **CLOUDINIT_KEYS,
    **IPCONFIG_KEYS,
    **NET_KEYS,
    **DRIVE_KEYS,
    **OWN_CHECK_KEYS,
    **ROOT_KEYS,
}
"""What create and update take (`cdrom`, an alias of ide2, is added by the calls)."""

CDROM: dict[str, Field] = {"cdrom": drives.FIELDS["ide"]}
EXISTING = (
    frozenset(OPTIONS)
    | frozenset(UNUSED_KEYS)
    | {
        "cdrom",
        "meta",
        "parent",
        "snaptime",
        "vmstate",
        "runningmachine",
        "runningcpu",
    }
)
"""Every key that a config may hold, so that `delete` and `revert` may name it."""


def stored(key: str, value: object) -> Value:
    """A checked value as the config file gives it back: numbers typed, "" as one blank.

    A description is kept in comment lines, so it loses final white space, and "" and "0" are no
    description. Raises 500 for what the file cannot hold (qemu-server PVE/QemuServer.pm,
    check_type, parse_vm_config).
    """
    text, form = str(value), OPTIONS.get(key)
    if key == "description":
        text = text.rstrip()
        return "" if text == "0" else text
    if "\n" in text or "\r" in text:
        raise failed(f"unable to parse value of '{key}' - property contains a line feed\n")
    if isinstance(form, (Integer, Number)):
        pattern = r"\d+" if isinstance(form, Integer) else r"\d+(?:\.\d+)?"
        if not re.fullmatch(pattern, text):
            wrong = f"type check ('{form.kind}') failed - got '{text}'"
            raise failed(f"unable to parse value of '{key}' - {wrong}\n")
    if isinstance(form, (Integer, Boolean)):
        return int(text)
    if isinstance(form, Text) and form.format is None and form.list_of is None:
        # the quotes go once when the file is written and once when it is read
        text = QUOTED.sub(r"\1", QUOTED.sub(r"\1", text))
    return text.strip() or " "


def clamp_cpu_units(number: int) -> int:
    """cgroup v1's least share is 2; the recorded host uses that hierarchy."""
    return max(2, min(262144, number))


def memory_of(text: object) -> int:
    """MiB of a `memory` value such as `2048` or `current=2048`; Proxmox's default is 512."""
    return int(str(text).rpartition("=")[2]) if text not in (None, "", " ") else 512


def privileges_for(key: str) -> tuple[str, ...] | None:
    """Privileges on /vms/V of which one is needed to set a key; None = root@pam only,
    () = checked elsewhere because it depends on the value."""
    for keys, needed in PRIVILEGES:
        if key in keys:
            return needed
    return None


PRIVILEGES: tuple[tuple[Mapping[str, Field], tuple[str, ...]], ...] = (
    (DRIVE_KEYS | UNUSED_KEYS | CDROM | OWN_CHECK_KEYS, ()),
    (CPU_KEYS, ("VM.Config.CPU",)),
    (MEMORY_KEYS, ("VM.Config.Memory",)),
    (HARDWARE_KEYS, ("VM.Config.HWType",)),
    (GENERAL_KEYS, ("VM.Config.Options",)),
    (POWER_KEYS, ("VM.PowerMgmt",)),
    (DISK_KEYS, ("VM.Config.Disk",)),
    (NET_KEYS, ("VM.Config.Network",)),
    (CLOUDINIT_KEYS | IPCONFIG_KEYS, ("VM.Config.Cloudinit", "VM.Config.Network")),
)
