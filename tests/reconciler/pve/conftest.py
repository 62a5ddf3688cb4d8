"""Servers on loopback and the certificate that they present."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from desired.catalog import Cluster, Limits, Token
from reconciler.pve.client import ProxmoxApi
from reconciler.sim.http.tls import fingerprint, make_certificate
from state.api import Json
from state.secret import Secret
from tests.reconciler.pve.tls_server import Answer, Server

Serve = Callable[..., Server]
Open = Callable[..., ProxmoxApi]


@pytest.fixture(scope="session")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    path.write_bytes(make_certificate())
    return path


@pytest.fixture(scope="session")
def pin(pem: Path) -> str:
    return fingerprint(pem.read_bytes())


@pytest.fixture
def serve(pem: Path) -> Iterator[Serve]:
    """Start servers that are closed at the test's end."""
    servers: list[Server] = []

    def start(answer: Answer | None = None, **options: object) -> Server:
        given = {"answer": answer, **options} if answer else options
        servers.append(Server(pem, **given))  # type: ignore[arg-type]
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def connect(pin: str, tmp_path: Path) -> Iterator[Open]:
    """Open clients of one cluster as the token u@pve!t (secret `s3cret`), the pin known."""
    apis: list[ProxmoxApi] = []

    def start(
        *urls: str,
        direct: bool | None = None,
        known: Json = None,
        limits: Limits | None = None,
        **fields: object,
    ) -> ProxmoxApi:
        plain: dict[str, object] = {
            "endpoints": urls,
            "tls": {"fingerprints": [pin]},
            "token": Token(id="u@pve!t", secret="env:TOKEN"),
        }
        cluster = Cluster.model_validate({**plain, **fields})
        apis.append(
            ProxmoxApi.open(
                "lab",
                cluster,
                limits or Limits(),
                lambda reference: Secret("s3cret"),
                tmp_path,
                logging.getLogger("test"),
                direct,
                known,
            )
        )
        return apis[-1]

    yield start
    for api in apis:
        api.close()
