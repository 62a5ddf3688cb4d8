"""What is read of the VMs that hold disks for another one: fresh in each look that needs it."""

from dataclasses import replace

from desired.spec import VMSpec
from handlers.holder import TAG
from handlers.retained import sources
from state.api import Api, ApiError
from state.conf import VMConfig, split_pending
from state.observe import read_pending
from state.observed import SeenHolder, SeenVM, VMRow


def with_holders(api: Api, spec: VMSpec, seen: SeenVM) -> SeenVM:
    """Add the holders that the VM's disks come from; one read for each.

    One that cannot be read comes without a config: its disks then wait, and the VM says why.
    """
    found: dict[int, SeenHolder] = {}
    for vmid in sorted({source.vmid for source in sources(spec, seen).values()}):
        row = seen.cluster.vms.get(vmid)
        if row is not None:
            found[vmid] = SeenHolder(row, _config(api, row))
    return replace(seen, holders=found) if found else seen


def _config(api: Api, row: VMRow) -> VMConfig | None:
    """None of what bears no tag of a holder, which is not read at all."""
    if TAG not in row.tags:
        return None
    try:
        return VMConfig(split_pending(read_pending(api, row))[0])
    except ApiError:
        return None
