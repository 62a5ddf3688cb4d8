"""Scenes on a simulated cluster behind HTTPS, each with a cluster of its own.

Every scenario runs on both kinds of store.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.grounds import Grounds
from tests.stores import KINDS, stores_on

Open = Callable[..., Grounds]


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
