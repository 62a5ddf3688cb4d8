"""The client against the simulated cluster over HTTPS: a life of one VM, threads, wrong log-ins."""

import json
import logging
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from desired.catalog import Cluster, Limits
from reconciler.pve.client import ProxmoxApi
from reconciler.pve.tasks import TaskEnd, parse_upid, task_log, task_status
from reconciler.sim.embedded import Embedded
from reconciler.sim.serve import ServeOptions
from state.api import Forbidden, MaybeRunning, NotFound, Stale, Unavailable
from state.change import Call, Method, Param
from state.conf import VMConfig
from state.secret import Secret

CONFIG = "/nodes/pve1/qemu/500/config"


@pytest.fixture(scope="module")
def simulated() -> Iterator[Embedded]:
    with Embedded(ServeOptions(http_limits="fast", speed=1_000_000)) as running:
        yield running


def client(simulated: Embedded, secret: str = "demo", **fields: object) -> ProxmoxApi:
    known: dict[str, object] = {
        "endpoints": [simulated.url],
        "tls": {"fingerprints": [simulated.fingerprint]},
        "token": {"id": "reconcile@pve!fleet", "secret": "env:TOKEN"},
    }
    return ProxmoxApi.open(
        "demo",
        Cluster.model_validate({**known, **fields}),
        Limits(),
        lambda reference: Secret(secret),
        Path("."),
        logging.getLogger("test"),
    )


@pytest.fixture
def api(simulated: Embedded) -> Iterator[ProxmoxApi]:
    opened = client(simulated)
    yield opened
    opened.close()


def end(api: ProxmoxApi, upid: object) -> TaskEnd:
    """Ask until the task has ended (it takes microseconds here)."""
    for _ in range(200):
        ended = task_status(api, str(upid))
        if ended:
            return ended
    raise AssertionError(f"{upid} runs for ever")


def test_a_vm_is_cloned_changed_and_destroyed(api: ProxmoxApi) -> None:
    params: dict[str, Param] = {
        "newid": 500,
        "name": "web-1",
        "description": "reconcile: key=web-1\nü & more",
    }
    upid = api.send(Call(Method.POST, "/nodes/pve1/qemu/9000/clone", params), heavy=True)
    assert parse_upid(str(upid)).kind == "qmclone"
    assert end(api, upid).ok and task_log(api, str(upid))[-1] == "TASK OK"
    seen = api.get(CONFIG)
    assert isinstance(seen, dict)
    config = VMConfig({key: value for key, value in seen.items() if isinstance(value, str | int)})
    assert config.description == params["description"] and config.uuid
    digest = str(seen["digest"])
    change: dict[str, Param] = {
        "cores": 2,
        "onboot": True,
        "cipassword": Secret("hunter2"),
        "digest": digest,
    }
    api.send(Call(Method.PUT, CONFIG, change))
    with pytest.raises(Stale):
        api.send(Call(Method.PUT, CONFIG, {"cores": 3, "digest": digest}))
    end(api, api.send(Call(Method.DELETE, "/nodes/pve1/qemu/500", {"purge": True})))
    with pytest.raises(NotFound):
        api.get(CONFIG)


def test_sixteen_threads_share_the_pool_beyond_100_requests(api: ProxmoxApi) -> None:
    with ThreadPoolExecutor(16) as threads:
        rows = list(threads.map(lambda _: api.get("/version"), range(2000)))
    assert all(row == rows[0] for row in rows)
    assert api.reads == 2000


def test_a_wrong_token_is_forbidden(simulated: Embedded) -> None:
    with pytest.raises(Forbidden, match="login refused"):
        client(simulated, secret="wrong").get("/version")


def test_a_password_logs_in(simulated: Embedded) -> None:
    login = {"user": "root@pam", "password": "env:P"}
    api = client(simulated, token=None, login=login)
    api.send(Call(Method.POST, "/pools", {"poolid": "by-ticket"}))
    assert {"poolid": "by-ticket"} in api.get("/pools")  # type: ignore[operator]
    with pytest.raises(Forbidden, match="authentication failure"):
        client(simulated, secret="wrong", token=None, login=login).get("/version")


def test_another_certificate_is_unavailable(simulated: Embedded) -> None:
    with pytest.raises(Unavailable, match="does not match any pinned fingerprint"):
        client(simulated, tls={"fingerprints": ["00" * 32]}).get("/version")


def test_a_dropped_answer_is_maybe_running(simulated: Embedded, api: ProxmoxApi) -> None:
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    fault = {"kind": "drop-after", "method": "POST", "path": "/pools"}
    request = Request(f"{simulated.url}/sim/faults", json.dumps(fault).encode(), method="POST")
    with urlopen(request, context=trusting) as answer:
        assert answer.status == 200
    with pytest.raises(MaybeRunning):
        api.send(Call(Method.POST, "/pools", {"poolid": "unheard"}))
    assert {"poolid": "unheard"} in api.get("/pools")  # type: ignore[operator]
