"""What stands in a cluster under a template's name: its copies and images, and who uses them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from desired.source import Fleet
from desired.spec import VMSpec
from reconciler.pve.files import stored
from reconciler.pve.form import quote_segment
from state.api import Api, ApiError, Json
from state.conf import VMConfig
from state.view import Row, rows


@dataclass(frozen=True, slots=True)
class Copy:
    """One copy of a template: a VM with a `config`, or an image.

    `nodes` are those that a VM made from it can land on at once; `size` is the system disk's in
    bytes, `links` whether a linked clone can be made; both None when nobody says. `missing` says
    why it could not be looked at; then nothing else is known.
    """

    source: int | str
    nodes: tuple[str, ...] = ()
    node: str = ""
    template: bool = False
    config: VMConfig | None = None
    snapshots: tuple[str, ...] = ()
    size: int | None = None
    links: bool | None = None
    missing: str = ""


@dataclass(frozen=True, slots=True)
class Template:
    """A template's alias in one cluster: its copies, and the specs that VMs are made from it by.

    `storages` names the nodes on which each storage of the cluster takes disks, or one that
    `storage_map` names instead.
    """

    alias: str
    cluster: str
    copies: tuple[Copy, ...]
    users: tuple[VMSpec, ...] = ()
    storages: Mapping[str, frozenset[str]] = field(default_factory=dict)


def read_templates(
    api: Api, fleet: Fleet, cluster: str, aliases: Sequence[str] = ()
) -> list[Template]:
    """Return the templates of a cluster, by alias; those named, or all that it has copies of.

    Makes three reads for a copy, of an image two at most. Raises ApiError when the cluster itself
    cannot be read; what is wrong with one copy stands in that copy.
    """
    seen = rows(api.get("/cluster/resources"))
    reader, storages = _Reader(api, seen), _storages(seen, fleet.placement.storage_map)
    known = sorted({*fleet.templates, *fleet.images})
    wanted = [alias for alias in known if not aliases or alias in aliases]
    return [
        Template(alias, cluster, copies, tuple(_users(fleet, cluster, alias)), storages)
        for alias in wanted
        if (copies := tuple(reader.copies(fleet, cluster, alias)))
    ]


def _users(fleet: Fleet, cluster: str, alias: str) -> Iterator[VMSpec]:
    for _, spec in sorted(fleet.vms.items()):
        if (spec.cluster, spec.template, spec.state) == (cluster, alias, "present"):
            yield spec


def _storages(
    rows: Sequence[Row], instead: Mapping[str, tuple[str, ...]]
) -> dict[str, frozenset[str]]:
    """The nodes on which each storage, or one `instead` of it, is there and holds disk images."""
    found: dict[str, frozenset[str]] = {}
    for row in rows:
        if row.get("type") == "storage":
            takes = "images" in str(row.get("content", "")).split(",")
            there = takes and row.get("status", "available") == "available"
            name = str(row["storage"])
            found[name] = found.get(name, frozenset()) | ({str(row["node"])} if there else set())
    for name, others in instead.items():
        known = (found.get(one, frozenset()) for one in others)
        found[name] = found.get(name, frozenset()).union(*known)
    return found


@dataclass(frozen=True, slots=True)
class _Reader:
    api: Api
    rows: Sequence[Row]

    def copies(self, fleet: Fleet, cluster: str, alias: str) -> Iterator[Copy]:
        vmids = fleet.templates.get(alias, {}).get(cluster, ())
        for vmid in vmids:
            try:
                yield self._vm(vmid)
            except (ApiError, ValueError) as error:
                yield Copy(vmid, missing=f"cannot be read: {error}")
        for volume in fleet.images.get(alias, {}).get(cluster, ()):
            try:
                yield self._image(volume)
            except ApiError as error:
                yield Copy(volume, missing=f"cannot be read: {error}")

    def _vm(self, vmid: int) -> Copy:
        row = next((one for one in self.rows if one.get("id") == f"qemu/{vmid}"), None)
        if row is None:
            return Copy(vmid, missing="is not there, or the token lacks VM.Audit on it")
        node = str(row["node"])
        path = f"/nodes/{quote_segment(node)}/qemu/{vmid}"
        answer = self.api.get(f"{path}/config")
        raw = answer if isinstance(answer, dict) else {}
        config = VMConfig({k: v for k, v in raw.items() if isinstance(v, str | int | float)})
        taken = self.api.get(f"{path}/snapshot")
        able = self.api.get(f"{path}/feature", {"feature": "clone"})
        links = isinstance(able, dict) and str(able.get("hasFeature") or "0") != "0"
        boot = config.disks.get(config.boot_disk or "")
        return Copy(
            source=vmid,
            nodes=self._reach(config, node),
            node=node,
            template=config.template,
            config=config,
            snapshots=tuple(_snapshots(taken)),
            size=boot.size if boot else None,
            links=links,
        )

    def _reach(self, config: VMConfig, node: str) -> tuple[str, ...]:
        """A clone lands on its template's node, or where every storage of it is shared."""
        nodes = {str(row["node"]) for row in self.rows if row.get("type") == "node"}
        for drive in config.drives.values():
            if drive.storage is not None:
                nodes &= self._shared(drive.storage)
        return tuple(sorted({*nodes, node}))

    def _shared(self, storage: str) -> set[str]:
        return {
            str(row["node"])
            for row in self.rows
            if row.get("storage") == storage and str(row.get("shared") or "0") != "0"
        }

    def _image(self, volume: str) -> Copy:
        storage, _, name = volume.partition(":")
        content = "import" if name.startswith("import/") else "images"
        found = stored(self.api, content, self.rows, frozenset({storage}))
        nodes = next((one.nodes for one in found if one.volume == volume), ())
        if not nodes:
            text = "is on no node that was seen, or the token lacks Datastore.Audit on its storage"
            return Copy(volume, missing=text)
        path = f"/nodes/{quote_segment(nodes[0])}/storage/{quote_segment(storage)}/content"
        answer = self.api.get(f"{path}/{quote_segment(volume)}")
        size = answer.get("size") if isinstance(answer, dict) else None
        known = int(size) if isinstance(size, int | str) else None
        return Copy(volume, nodes, nodes[0], size=known)


def _snapshots(answer: Json) -> Iterator[str]:
    for row in answer if isinstance(answer, list) else []:
        if isinstance(row, dict) and row.get("name") != "current":
            yield str(row["name"])
