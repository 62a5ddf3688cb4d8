"""Addresses of one VM against the fleet's pools: `auto`, bridge and VLAN, static addresses."""

from collections.abc import Iterator, Mapping

from desired.addresses import AnyInterface
from desired.catalog import Pool
from desired.document import Path
from desired.hardware import Family, Nic
from desired.spec import VMSpec
from desired.wording import Wrong, near

FAMILIES = {"ipv4": 4, "ipv6": 6}


def fill_pools(
    spec: VMSpec, pools: Mapping[str, Pool], broken: frozenset[str], wrongs: list[Wrong]
) -> VMSpec:
    """Return the spec with `auto` resolved, and bridge and VLAN filled from the pools.

    What cannot be resolved is appended to `wrongs`. A pool in `broken` is known to be wrong, so
    it is not looked at here.
    """
    nics = {
        slot: _fill_nic(spec.cluster, ("nics", slot), nic, pools, broken, wrongs)
        for slot, nic in spec.nics.items()
    }
    changed = any(nics[slot] is not nic for slot, nic in spec.nics.items())
    return spec.model_copy(update={"nics": nics}) if changed else spec


def _fill_nic(
    cluster: str,
    path: Path,
    nic: Nic,
    pools: Mapping[str, Pool],
    broken: frozenset[str],
    wrongs: list[Wrong],
) -> Nic:
    # Named pools first: they settle the bridge and VLAN by which `auto` is resolved.
    families = [(name, getattr(nic, name)) for name in FAMILIES]
    for name, family in sorted(families, key=lambda row: bool(row[1] and row[1].pool == "auto")):
        if family is None:
            continue
        here = (*path, name)
        wrong = list(_family_wrongs(FAMILIES[name], family, here))
        wrongs += wrong
        if family.mode != "pool" or wrong or family.pool in broken:
            continue
        try:
            found = _pool_name(cluster, nic, name, str(family.pool), pools)
        except ValueError as error:
            wrongs.append(Wrong((*here, "pool"), str(error)))
            continue
        nic = _with_pool(nic, name, family, found, pools[found])
    return nic


def _with_pool(nic: Nic, name: str, family: Family, found: str, pool: Pool) -> Nic:
    update: dict[str, object] = {}
    if nic.bridge is None and pool.bridge is not None:
        update["bridge"] = pool.bridge
    if nic.vlan is None and pool.vlan is not None:
        update["vlan"] = pool.vlan
    if family.pool != found:
        update[name] = family.model_copy(update={"pool": found})
    return nic.model_copy(update=update) if update else nic


def _family_wrongs(version: int, family: Family, path: Path) -> Iterator[Wrong]:
    """Yield what is wrong with a family's own fields."""
    if family.mode == "static":
        yield from _static(version, family, path)
        return
    if family.gateway is not None:
        ours = "a pool brings its own" if family.mode == "pool" else f"{family.mode} brings it"
        yield Wrong((*path, "gateway"), f"a gateway stands beside static only; {ours}")
    if family.static is not None:
        yield Wrong((*path, "static"), f"does not go with mode: {family.mode}")
    if family.mode == "pool" and family.pool is None:
        yield Wrong(path, "expected pool: NAME or pool: auto")
    if family.mode != "pool" and family.pool is not None:
        yield Wrong((*path, "pool"), f"does not go with mode: {family.mode}")
    if family.mode == "auto" and version == 4:
        yield Wrong(path, "auto (SLAAC) is for IPv6; expected dhcp, none, a pool or static")


def _static(version: int, family: Family, path: Path) -> Iterator[Wrong]:
    address, gateway = family.static, family.gateway
    if address is None or family.pool is not None:
        yield Wrong(path, "expected static: CIDR and no pool")
        return
    if address.version != version:
        yield Wrong((*path, "static"), f"expected an IPv{version} address, seen {address}")
        return
    network = address.network
    special = {network.network_address}
    if network.version == 4:
        special.add(network.broadcast_address)
    if network.num_addresses > 2 and address.ip in special:
        yield Wrong((*path, "static"), f"{address.ip} is not a host address of {network}")
    if gateway is None:
        return
    if gateway not in network:
        yield Wrong((*path, "gateway"), f"expected an address in {network}, seen {gateway}")
    elif gateway == address.ip:
        yield Wrong((*path, "gateway"), f"{gateway} is the VM's own address")


def _pool_name(cluster: str, nic: Nic, name: str, wanted: str, pools: Mapping[str, Pool]) -> str:
    """Return the name of the pool that is meant. Raises ValueError if there is none such."""
    if wanted != "auto":
        if wanted not in pools:
            raise ValueError(f"unknown pool {wanted!r}{near(wanted, pools)}")
        message = _conflict(cluster, nic, name, pools[wanted])
        if message:
            raise ValueError(f"pool {wanted} {message}")
        return wanted
    fits = [key for key, pool in pools.items() if _conflict(cluster, nic, name, pool) is None]
    legacy = [key for key in fits if pools[key].legacy]
    fits = [key for key in fits if key not in legacy] or _alike(legacy, pools)
    if len(fits) == 1:
        return fits[0]
    vlan = "any VLAN" if nic.vlan is None else f"VLAN {nic.vlan}"
    where = f"{name} on {nic.bridge or 'any bridge'}, {vlan}"
    if fits:
        raise ValueError(f"several pools fit {where}: {', '.join(sorted(fits))}; name one")
    raise ValueError(f"no pool fits {where} in cluster {cluster}")


def _alike(legacy: list[str], pools: Mapping[str, Pool]) -> list[str]:
    """Return one of the lists that stand in for each other, and each that stands alone."""
    first: dict[tuple[str | None, int], str] = {}
    for key in legacy:
        first.setdefault((pools[key].bridge, pools[key].vlan or 0), key)
    return list(first.values())


def sources(cluster: str, nic: Nic, family: str, name: str, pools: Mapping[str, Pool]) -> list[str]:
    """Return the pools that a nic is leased from, in turn: its own, then legacy lists (IP-02).

    A list stands in for the pools of its own bridge and VLAN only.
    """
    own = pools.get(name)
    if own is None:
        return [name]
    place = (nic.bridge or own.bridge, nic.vlan or own.vlan or 0)
    return [
        name,
        *(
            key
            for key, pool in pools.items()
            if pool.legacy
            and key != name
            and (pool.bridge, pool.vlan or 0) == place
            and _conflict(cluster, nic, family, pool) is None
        ),
    ]


def _conflict(cluster: str, nic: Nic, name: str, pool: Pool) -> str | None:
    if pool.family != name:
        return f"is for {pool.family}"
    if pool.cluster not in (None, cluster):
        return f"belongs to cluster {pool.cluster}"
    if None not in (nic.bridge, pool.bridge) and nic.bridge != pool.bridge:
        return f"is on bridge {pool.bridge}, the nic on {nic.bridge}"
    if None not in (nic.vlan, pool.vlan) and nic.vlan != pool.vlan:
        return f"is on VLAN {pool.vlan}, the nic on {nic.vlan}"
    return None


def pool_clashes(pools: Mapping[str, Pool]) -> Iterator[tuple[str, str]]:
    """Yield (pool, earlier pool) for pools whose addresses overlap, in whatever cluster (IP-11)."""
    order = {name: index for index, name in enumerate(pools)}
    spans = sorted(span for name, pool in pools.items() for span in _spans(name, pool))
    widest: tuple[int, int, str] | None = None
    told: set[tuple[str, str]] = set()
    for version, first, last, name in spans:
        if widest and widest[0] == version and first <= widest[1] and name != widest[2]:
            later, earlier = sorted((name, widest[2]), key=lambda key: order[key], reverse=True)
            if (later, earlier) not in told:
                told.add((later, earlier))
                yield later, earlier
        if not widest or widest[0] != version or last > widest[1]:
            widest = (version, last, name)


def _spans(name: str, pool: Pool) -> Iterator[tuple[int, int, int, str]]:
    """Yield (version, first, last, name) of what a pool leases: its range, or each address."""
    version = pool.network.version
    if pool.only:
        yield from ((version, int(one), int(one), name) for one in set(pool.only))
    else:
        yield version, int(pool.first), int(pool.last), name


def holder(pools: Mapping[str, Pool], static: AnyInterface) -> str | None:
    """Return the pool that could lease out a static address, if any."""
    return next((name for name, pool in pools.items() if pool.leases(static.ip)), None)
