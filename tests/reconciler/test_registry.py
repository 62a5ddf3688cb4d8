"""The list of built-in handlers."""

from pathlib import Path

import handlers
from reconciler.registry import (
    ending_handlers,
    restoring_handlers,
    vm_handlers,
    zone_handlers,
)


def test_every_handler_that_is_written_is_registered() -> None:
    names = {handler.name for handler in (*vm_handlers(), *ending_handlers())}
    names |= {handler.name for handler in restoring_handlers()}
    names |= {handler.name for handler in zone_handlers()}
    folder = Path(handlers.__file__).parent
    written = {path.stem for path in folder.glob("*.py") if "    after" in path.read_text()}
    assert names == written - {"handler"}


def test_handlers_are_asked_in_the_order_of_the_pipeline_table() -> None:
    names = [handler.name for handler in vm_handlers()]
    assert names[0] == "exists"
    assert names.index("cpu") < names.index("disks") < names.index("network")
    assert names.index("network") < names.index("firewall") < names.index("cloudinit")
    assert names.index("power") > names.index("passthrough")
