"""Scenes on a simulated cluster behind HTTPS, each with a cluster of its own.

Every scenario runs on both kinds of store.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from reconciler import look
from tests.grounds import Grounds
from tests.scenarios.estate import Estate
from tests.stores import KINDS, stores_on

Open = Callable[..., Grounds]
OpenEstate = Callable[..., Estate]


@pytest.fixture(scope="module", params=KINDS, autouse=True)
def stores(request: pytest.FixtureRequest) -> Iterator[str]:
    """Where the stores lie; a fixture of a module that makes one must ask for this."""
    server = request.getfixturevalue("postgres") if request.param == "postgresql" else None
    with stores_on(server):
        yield request.param


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Open]:
    """Open grounds with these VMs (the text of a vms file); they end with the test."""
    with ExitStack() as stack:

        def opened(vms: str, speed: float = 600.0, **files: str) -> Grounds:
            extra = {name.replace("__", "/") + ".yaml": text for name, text in files.items()}
            texts = {"vms/vms.yaml": vms, **extra}
            return stack.enter_context(Grounds(tmp_path, texts, speed))

        yield opened


@pytest.fixture
def estate(tmp_path: Path, stores: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenEstate]:
    """Open clusters of these names, and a fleet over all of them with these VMs.

    A cluster is given up after two looks, for the pauses between them are real seconds here.
    """
    monkeypatch.setattr(look, "MOST_MISSED", 2)
    with ExitStack() as stack:

        def opened(vms: str, *names: str, light: int = 10) -> Estate:
            made = Estate(
                {name: stack.enter_context(Grounds(tmp_path / name, {})) for name in names}
            )
            made.fleet(*(made.entry(name, light=light) for name in names))
            made.first.write({"vms/vms.yaml": vms})
            return made

        yield opened
