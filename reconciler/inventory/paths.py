"""Which paths of the API an inventory asks, as far as what was answered before names them."""

import fnmatch
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import quote

from state.api import Json

CLUSTER = (
    "/version",
    "/cluster/status",
    "/cluster/resources",
    "/cluster/options",
    "/storage",
    "/pools",
    "/cluster/ha/resources",
    "/cluster/ha/groups",
    "/cluster/ha/rules",
    "/cluster/mapping/pci",
    "/cluster/mapping/usb",
    "/cluster/mapping/dir",
    "/cluster/sdn/zones",
    "/cluster/sdn/vnets",
    "/cluster/firewall/options",
    "/cluster/firewall/rules",
    "/cluster/firewall/aliases",
    "/cluster/firewall/ipset",
    "/cluster/firewall/groups",
)
"""What is asked once."""

BY_VERSION = frozenset({"/cluster/ha/groups", "/cluster/ha/rules", "/cluster/mapping/dir"})
"""What only some versions of Proxmox know: that it is not there is no gap."""

NODE = ("status", "network", "dns")
GUEST = ("pending", "snapshot", *(f"firewall/{one}" for one in ("options", "rules", "ipset")))
GUEST_MORE = ("firewall/aliases",)

Answers = Mapping[str, Json]


def of_nodes(answers: Answers) -> list[str]:
    """Return the paths of every node that is online."""
    nodes = [
        str(row["name"])
        for row in rows(answers, "/cluster/status")
        if row.get("type") == "node" and row.get("online")
    ]
    storages = [
        (str(row["node"]), str(row["storage"]))
        for row in rows(answers, "/cluster/resources")
        if row.get("type") == "storage" and row.get("node") in nodes
    ]
    paths = [f"/nodes/{node}/{what}" for node in sorted(nodes) for what in NODE]
    return paths + [f"/nodes/{node}/storage/{name}/content" for node, name in sorted(storages)]


def of_guests(answers: Answers, only: Sequence[str]) -> list[str]:
    """Return the paths of every VM, or of those whose name or vmid fits one of the globs."""
    return [
        f"/nodes/{row['node']}/qemu/{row['vmid']}/{what}"
        for row in guests(answers, only)
        for what in (*GUEST, *GUEST_MORE)
    ]


def of_parts(answers: Answers) -> list[str]:
    """Return the paths of what other answers only name: entries of sets, rules of groups, the
    configs of snapshots."""
    return sorted(_parts(answers))


def _parts(answers: Answers) -> Iterator[str]:
    for path in answers:
        if path.endswith("/firewall/ipset"):
            yield from (f"{path}/{quote(str(row['name']))}" for row in rows(answers, path))
        elif path.endswith("/firewall/groups"):
            yield from (f"{path}/{quote(str(row['group']))}" for row in rows(answers, path))
        elif path.endswith("/snapshot"):
            names = [str(row["name"]) for row in rows(answers, path)]
            yield from (f"{path}/{name}/config" for name in names if name != "current")


def guests(answers: Answers, only: Sequence[str] = ()) -> list[Mapping[str, Json]]:
    """Return the rows of the VMs, by vmid."""
    found = [
        row
        for row in rows(answers, "/cluster/resources")
        if row.get("type") == "qemu" and (not only or _fits(row, only))
    ]
    return sorted(found, key=lambda row: int(str(row["vmid"])))


def _fits(row: Mapping[str, Json], only: Sequence[str]) -> bool:
    names = (str(row.get("name") or ""), str(row["vmid"]))
    return any(fnmatch.fnmatchcase(name, glob) for glob in only for name in names)


def rows(answers: Answers, path: str) -> list[Mapping[str, Json]]:
    """Return a listing's rows; none when it was not answered."""
    found = answers.get(path)
    return [row for row in found if isinstance(row, Mapping)] if isinstance(found, list) else []
