"""Batches taken whole or not at all: how often one is sent until the bad ones are found."""

from collections.abc import Callable, Sequence

import pytest

from reconciler.dns.drivers.apart import TooMuch, Withheld, apply_apart
from reconciler.dns.drivers.values import plain_value
from state.drivers import BadKey, Conflict, DNSError, DNSRefused, DNSUnreachable, RRChange
from tests.reconciler.dns.drivers.records import create, errors, rrset

Verdict = Callable[[Sequence[int]], Exception | None]


def numbered(count: int) -> list[RRChange]:
    return create(*(rrset(f"{n}.test", "A", "192.0.2.1") for n in range(count)))


def tried(count: int, verdict: Verdict) -> tuple[list[DNSError | None], int]:
    """The errors of a batch whose parts fare as `verdict` says of their numbers; and the parts."""
    sent: list[list[int]] = []

    def send(part: Sequence[RRChange]) -> None:
        sent.append([int(one.rrset.name.partition(".")[0]) for one in part])
        error = verdict(sent[-1])
        if error is not None:
            raise error

    return errors(apply_apart(numbered(count), send)), len(sent)


def test_a_sound_batch_is_sent_once() -> None:
    assert tried(500, lambda part: None) == ([None] * 500, 1)
    assert tried(0, lambda part: None) == ([], 0)


def test_one_bad_change_is_found_by_halves() -> None:
    found, sent = tried(512, lambda part: Conflict("taken") if 77 in part else None)
    assert [at for at, error in enumerate(found) if error] == [77]
    assert sent == 1 + 2 * 9


def test_a_key_without_any_rights_is_soon_given_up() -> None:
    found, sent = tried(500, lambda part: Withheld("REFUSED"))
    assert {type(error) for error in found} == {Withheld}
    assert sent <= 25


def test_a_key_with_some_rights_writes_all_that_it_may() -> None:
    found, _ = tried(64, lambda part: Withheld("REFUSED") if max(part) > 5 else None)
    assert [at for at, error in enumerate(found) if error is None] == list(range(6))


@pytest.mark.parametrize("error", (BadKey("BADSIG"), DNSUnreachable("down")))
def test_what_every_change_meets_is_raised_at_once(error: DNSError) -> None:
    with pytest.raises(type(error)):
        tried(500, lambda part: error)


def test_nothing_is_sent_after_the_server_was_lost() -> None:
    """The part that was under way and all after it are unknown; those before are in force."""

    def verdict(part: Sequence[int]) -> Exception | None:
        if len(part) > 2:
            return Conflict("taken")
        return DNSUnreachable("down") if 4 in part else None

    found, sent = tried(8, verdict)
    assert found[:4] == [None] * 4
    assert {type(error) for error in found[4:]} == {DNSUnreachable}
    assert sent == 6


def test_what_is_too_large_even_alone_is_refused() -> None:
    found, _ = tried(4, lambda part: TooMuch() if 2 in part else None)
    assert [type(error) for error in found] == [type(None), type(None), DNSRefused, type(None)]


def test_values_have_one_form() -> None:
    """Names without their last dot, addresses in their shortest form, others as they are."""
    assert plain_value("MX", "10 Mail.Example.NET.") == "10 mail.example.net"
    assert plain_value("MX", "0 .") == "0 ."
    assert plain_value("AAAA", "2001:DB8:0::1") == "2001:db8::1"
    assert plain_value("A", "No Address") == "no address"
    assert plain_value("TXT", '"As It Is."') == '"As It Is."'
