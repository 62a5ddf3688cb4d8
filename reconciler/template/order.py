"""A template that is to be built: what it is made of, and what tells it from any other VM."""

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

from state.change import Call, Method, Param
from state.drive import Drive

SYSTEM = "scsi0"
EFI = {"efitype": "4m", "pre-enrolled-keys": "1"}
_LINE = re.compile(
    r"^reconcile-template: fleet=(\S+) alias=(\S+) image=(\S+) storage=(\S+) vmid=(\d+)[ \t\r]*$",
    re.M,
)
_CHECKSUM = re.compile(r"(md5|sha1|sha224|sha256|sha384|sha512):([0-9a-fA-F]+)")
_FORMATS = (".qcow2", ".raw", ".vmdk")


class BadOrder(ValueError):
    """The order cannot be carried out as it was given; the text says why."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What a VM was built as: a line in its description; in a copy's it names another vmid."""

    fleet: str
    alias: str
    image: str
    storage: str
    vmid: int

    def __str__(self) -> str:
        words = (quote(text, safe=":/") for text in (self.fleet, self.alias, self.image))
        fleet, alias, image = words
        line = f"reconcile-template: fleet={fleet} alias={alias} image={image}"
        return f"{line} storage={self.storage} vmid={self.vmid}"


def read_mark(description: str) -> Mark | None:
    """Return what a description says; None where it says nothing of the kind."""
    lines = _LINE.findall(description)
    if not lines:
        return None
    fleet, alias, image, storage, vmid = lines[-1]
    return Mark(unquote(fleet), unquote(alias), unquote(image), storage, int(vmid))


@dataclass(frozen=True, slots=True)
class Order:
    """What `template build` was asked for.

    `image` is the volume that the disk is copied from; with `url` it is fetched to there first.
    `storage` takes the disk and the cloud-init drive. `again` makes one although there is one.
    """

    fleet: str
    alias: str
    node: str
    storage: str
    image: str
    url: str = ""
    checksum: str = ""
    vmid: int | None = None
    bridge: str | None = None
    ostype: str = "l26"
    uefi: bool = False
    again: bool = False

    @property
    def name(self) -> str:
        """The VM's name: the alias, as far as Proxmox takes it for a host name."""
        return re.sub(r"[^A-Za-z0-9.-]+", "-", self.alias).strip("-.") or "template"

    @property
    def file(self) -> str:
        return self.image.rpartition("/")[2]

    def mark(self, vmid: int) -> Mark:
        return Mark(self.fleet, self.alias, self.image, self.storage, vmid)

    def download(self) -> Call:
        """`POST /nodes/N/storage/S/download-url`. Raises BadOrder for a checksum it cannot read."""
        params: dict[str, Param] = {"content": "import", "filename": self.file, "url": self.url}
        if self.checksum:
            known = _CHECKSUM.fullmatch(self.checksum)
            if known is None:
                raise BadOrder(f"expected a checksum such as sha256:HEX, seen {self.checksum}")
            params |= {"checksum-algorithm": known[1], "checksum": known[2].lower()}
        storage = self.image.partition(":")[0]
        return Call(Method.POST, f"/nodes/{self.node}/storage/{storage}/download-url", params)

    def creation(self, vmid: int) -> Call:
        """`POST /nodes/N/qemu`: the disk from the image, and what cloud images need."""
        params: dict[str, Param] = {
            "vmid": vmid,
            "name": self.name,
            "description": str(self.mark(vmid)),
            "ostype": self.ostype,
            "scsihw": "virtio-scsi-single",
            SYSTEM: Drive(f"{self.storage}:0", {"import-from": self.image}).render(),
            "boot": f"order={SYSTEM}",
            "ide2": f"{self.storage}:cloudinit",
            "agent": "1",
        }
        if self.ostype == "l26":
            params |= {"serial0": "socket", "vga": "serial0"}
        if self.bridge is not None:
            params["net0"] = f"virtio,bridge={self.bridge}"
        if self.uefi:
            params |= {"bios": "ovmf", "efidisk0": Drive(f"{self.storage}:1", EFI).render()}
        return Call(Method.POST, f"/nodes/{self.node}/qemu", params)

    def conversion(self, vmid: int) -> Call:
        return Call(Method.POST, f"/nodes/{self.node}/qemu/{vmid}/template")


def fetched_name(url: str) -> str:
    """The name that a fetched image gets: the URL's; `.img` becomes `.qcow2`, which it mostly is.

    It has only letters that Proxmox leaves as they are, for the file is looked for by its name.
    Raises BadOrder where Proxmox could not tell the image's format by the name.
    """
    name = re.sub(r"[^A-Za-z0-9._-]", "_", urlsplit(url).path.rpartition("/")[2])
    if name.endswith(".img"):
        name = name.removesuffix(".img") + ".qcow2"
    if not name.endswith(_FORMATS) or name in _FORMATS:
        raise BadOrder(f"{url} names no image: .qcow2, .raw, .vmdk or .img expected at its end")
    return name


def storage_for_images(resources: object, node: str, preferred: str) -> str | None:
    """The storage that a fetched image goes to: the preferred one, else the node's first, by name,
    that takes images to import. `resources` is the answer of `GET /cluster/resources`."""
    rows = resources if isinstance(resources, list) else []
    found = sorted(
        str(row["storage"])
        for row in rows
        if isinstance(row, dict)
        and (row.get("type"), row.get("node")) == ("storage", node)
        and "import" in str(row.get("content", "")).split(",")
    )
    return preferred if preferred in found else next(iter(found), None)
