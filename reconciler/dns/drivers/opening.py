"""Which driver a zone's spec asks for; secrets are resolved here, and nothing is sent yet."""

from collections.abc import Callable

from desired.zones import ZoneSpec
from state.drivers import ZoneDriver
from state.secret import Secret

Resolve = Callable[[str], Secret]
"""A secret by its reference; raises when there is none."""


def open_driver(zone: ZoneSpec, resolve: Resolve) -> ZoneDriver:
    """Return the driver of a zone; whatever `resolve` raises, and BadKey for a malformed secret.

    Each provider's module is read only when a zone asks for it: dnspython alone takes 0.1 s.
    """
    if zone.rfc2136 is not None:
        from reconciler.dns.drivers.rfc2136 import Rfc2136Driver

        key = zone.rfc2136.key
        secret = resolve(key.secret) if key else None
        return Rfc2136Driver(zone.name, zone.rfc2136, secret)
    if zone.powerdns is not None:
        from reconciler.dns.drivers.powerdns import PowerDnsDriver

        return PowerDnsDriver(zone.name, zone.powerdns, resolve(zone.powerdns.api_key))
    if zone.cloudflare is not None:
        from reconciler.dns.drivers.cloudflare import CloudflareDriver

        return CloudflareDriver(zone.name, zone.cloudflare, resolve(zone.cloudflare.token))
    if zone.hestiacp is not None:
        from reconciler.dns.drivers.hestiacp import HestiaCpDriver

        return HestiaCpDriver(zone.name, zone.hestiacp, resolve(zone.hestiacp.password))
    if zone.octodns is not None:
        from reconciler.dns.drivers.octodns import OctoDnsDriver

        secrets = {name: resolve(one) for name, one in zone.octodns.secrets.items()}
        return OctoDnsDriver(zone.name, zone.octodns, secrets)
    raise ValueError(f"zone {zone.name} names no provider")
