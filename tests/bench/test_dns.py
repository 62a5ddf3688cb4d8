"""The measure of zones works on every provider, with few records."""

from tests.bench.dns import lines
from tests.nameservers import Bind, PowerDNS


def test_every_provider_is_measured(bind: Bind, powerdns: PowerDNS) -> None:
    """The two servers are asked for so that the test skips where they are not installed."""
    assert bind.port != powerdns.port
    assert len(list(lines([12]))) == 2 + 6
