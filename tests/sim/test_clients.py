"""Clients that know nothing of us: proxmoxer's own calls and plain curl, against the served
cluster with Proxmox's own limits."""

import json
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from proxmoxer import ProxmoxAPI, ResourceException
from proxmoxer.tools import Tasks

from reconciler.sim.embedded import Embedded
from reconciler.sim.launch import DEMO_SECRET, FLEET_TOKEN, FLEET_USER, ServeOptions

TOKEN = f"Authorization: PVEAPIToken={FLEET_USER}!{FLEET_TOKEN}={DEMO_SECRET}"
Curl = Callable[..., tuple[str, Any]]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Embedded]:
    with Embedded(ServeOptions(http_limits="real", speed=6000)) as running:
        yield running


@pytest.fixture(scope="module")
def certificate(cluster: Embedded, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The file that clients verify the cluster by."""
    path = tmp_path_factory.mktemp("tls") / "cluster.pem"
    path.write_text(ssl.get_server_certificate((cluster.host, cluster.port)))
    return str(path)


@pytest.fixture
def proxmox(cluster: Embedded, certificate: str) -> Iterator[Any]:
    """proxmoxer with a ticket of root@pam."""
    with opened(cluster, certificate, user="root@pam", password=DEMO_SECRET) as api:
        yield api


@contextmanager
def opened(cluster: Embedded, certificate: str, **login: str) -> Iterator[Any]:
    api = ProxmoxAPI(cluster.host, port=cluster.port, verify_ssl=certificate, **login)
    yield api
    api._store["session"].close()


def ended(proxmox: Any, upid: str) -> str:
    """A task's exitstatus, by proxmoxer's own reading of UPIDs."""
    node = Tasks.decode_upid(upid)["node"]
    while True:
        task = proxmox.nodes(node).tasks(upid).status.get()
        if task["status"] == "stopped":
            return str(task["exitstatus"])
        time.sleep(0.01)


def test_proxmoxer_makes_changes_starts_and_destroys_a_vm(proxmox: Any) -> None:
    node = proxmox.nodes("pve1")
    vmid = int(proxmox.cluster.nextid.get())
    clone = node.qemu(9000).clone.post(newid=vmid, name="by-proxmoxer", full=1)
    assert ended(proxmox, clone) == "OK"
    vm = node.qemu(vmid)
    vm.config.put(cores=3, memory=4096, ipconfig0="ip=dhcp", tags="b;a")
    assert (vm.config.get()["cores"], vm.config.get()["memory"]) == (3, "4096")
    assert ended(proxmox, vm.resize.put(disk="scsi0", size="+1G")) == "OK"
    assert ended(proxmox, vm.status.start.post()) == "OK"
    assert vm.status.current.get()["status"] == "running"
    vm.firewall.rules.post(type="in", action="ACCEPT", proto="tcp", dport="22", enable=1)
    assert vm.firewall.rules.get()[0]["dport"] == "22"
    assert ended(proxmox, vm.snapshot.post(snapname="before")) == "OK"
    assert [row["name"] for row in vm.snapshot.get()] == ["before", "current"]
    assert ended(proxmox, vm.snapshot("before").delete()) == "OK"
    assert ended(proxmox, vm.status.stop.post()) == "OK"
    assert ended(proxmox, vm.delete(purge=1)) == "OK"
    assert vmid not in {row["vmid"] for row in proxmox.cluster.resources.get(type="vm")}


def test_proxmoxer_reads_refusals_as_from_proxmox(proxmox: Any) -> None:
    with pytest.raises(ResourceException) as refused:
        proxmox.nodes("pve1").qemu(9000).config.put(cores="many")
    assert refused.value.status_code == 400
    assert refused.value.errors == {"cores": "type check ('integer') failed - got 'many'"}
    with pytest.raises(ResourceException, match="hostname lookup 'nope' failed"):
        proxmox.nodes("nope").qemu.get()


def test_proxmoxer_logs_in_with_a_token(cluster: Embedded, certificate: str) -> None:
    login = {"user": FLEET_USER, "token_name": FLEET_TOKEN, "token_value": DEMO_SECRET}
    with opened(cluster, certificate, **login) as proxmox:
        assert proxmox.version.get()["release"] == "8.4"
        assert len(proxmox.nodes.get()) == 3


@pytest.fixture
def curl(cluster: Embedded, certificate: str) -> Curl:
    """Status and body that plain curl gets for a path and more arguments."""

    def run(path: str, *more: str) -> tuple[str, Any]:
        command = ["curl", "--silent", "--cacert", certificate, "--write-out", "\n%{http_code}"]
        command += [*more, f"{cluster.url}/api2/json{path}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        body, _, status = done.stdout.rpartition("\n")
        return status, json.loads(body) if body else None

    return run


def test_curl_reads_and_writes_with_a_token(curl: Curl) -> None:
    status, found = curl("/nodes", "-H", TOKEN, "--compressed")
    assert status == "200" and [row["node"] for row in found["data"]] == ["pve1", "pve2", "pve3"]
    path = "/nodes/pve2/qemu/9001/config"
    status, _ = curl(path, "-H", TOKEN, "-X", "PUT", "--data-urlencode", "description=a b")
    assert status == "200"
    assert curl(path, "-H", TOKEN)[1]["data"]["description"] == "a b"


def test_curl_logs_in_with_a_ticket_and_its_csrf_token(curl: Curl) -> None:
    login = ["-d", "username=root@pam", "-d", f"password={DEMO_SECRET}"]
    ticket = curl("/access/ticket", *login)[1]["data"]
    cookie = ["-b", f"PVEAuthCookie={ticket['ticket']}"]
    csrf = ["-H", f"CSRFPreventionToken: {ticket['CSRFPreventionToken']}"]
    assert curl("/pools", *cookie, *csrf, "-d", "poolid=curl")[0] == "200"
    assert curl("/pools", *cookie)[1]["data"][-1]["poolid"] == "curl"


def test_curl_meets_the_limits_of_the_web_server(curl: Curl) -> None:
    """A chunked upload is a 501; nobody is told so after three seconds."""
    chunked = ["-H", "Transfer-Encoding: chunked", "-d", "poolid=x"]
    assert curl("/pools", "-H", TOKEN, *chunked)[0] == "501"
    began = time.monotonic()
    assert curl("/version") == ("401", None)
    assert time.monotonic() - began >= 3
