"""The built-in handlers, in the order in which they are asked."""

from functools import cache

from handlers.cloudinit import Cloudinit
from handlers.cpu import Cpu
from handlers.devices import Devices
from handlers.disks import Disks
from handlers.dns import Dns, ZoneHandler
from handlers.emptied import Emptied
from handlers.exists import Exists
from handlers.firewall import Firewall
from handlers.firmware import Firmware
from handlers.ha import Ha
from handlers.handler import Handler
from handlers.media import Media
from handlers.memory import Memory
from handlers.migration import Migration
from handlers.move import Move
from handlers.network import Network
from handlers.options import Options
from handlers.passthrough import Passthrough
from handlers.placement import Placement
from handlers.pool import Pool
from handlers.power import Power
from handlers.reclaim import Reclaim
from handlers.restore import Restore
from handlers.retained import Retained
from handlers.safeguard import Safeguard
from handlers.snapshots import Snapshots
from handlers.tags import Tags
from handlers.terminate import Terminate
from reconciler.plan import in_order


@cache
def vm_handlers() -> tuple[Handler, ...]:
    """Return every handler of a VM; where `after` leaves a choice, in the pipeline's order."""
    return in_order(
        (
            Exists(),
            Placement(),
            Cpu(),
            Memory(),
            Retained(),
            Disks(),
            Network(),
            Firewall(),
            Cloudinit(),
            Options(),
            Firmware(),
            Devices(),
            Media(),
            Passthrough(),
            Tags(),
            Pool(),
            Reclaim(),
            Emptied(),
            Ha(),
            Migration(),
            Move(),
            Safeguard(),
            Snapshots(),
            Power(),
        )
    )


@cache
def zone_handlers() -> tuple[ZoneHandler, ...]:
    """Return every handler of a DNS zone."""
    return (Dns(),)


@cache
def ending_handlers() -> tuple[Handler, ...]:
    """Return the handlers of a VM that is to be absent: no other has a say then."""
    return (Terminate(),)


@cache
def restoring_handlers() -> tuple[Handler, ...]:
    """Return the handlers of a VM that is put back from a backup, before it is itself again."""
    return (Restore(),)
