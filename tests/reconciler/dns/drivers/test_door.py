"""The way to an HTTP API: what is no answer of it, TLS, deadlines, and secrets in none of it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from desired.zones import ZoneSpec
from reconciler.dns.drivers.opening import open_driver
from reconciler.sim.http.tls import make_certificate
from state.drivers import DNSError, DNSRefused, DNSUnreachable, ZoneDriver
from state.secret import Secret
from tests.reconciler.dns.drivers.records import create, errors, rrset
from tests.servers.web import Asked, Told, Web

SECRET = "s3cret & more/of it"
SECTIONS: dict[str, dict[str, object]] = {
    "powerdns": {"api_key": "env:S"},
    "cloudflare": {"token": "env:S", "zone_id": "a" * 32},
    "hestiacp": {"password": "env:S", "owner": "tenant"},
}


def opened(kind: str, url: str, folder: Path = Path(), **more: object) -> ZoneDriver:
    section = {**SECTIONS[kind], "url": url, "timeout": 1, **more}
    spec = ZoneSpec.model_validate({"name": "example.net", kind: section})
    return open_driver(spec, lambda _: Secret(SECRET), folder)


@pytest.fixture
def served() -> Iterator[Callable[..., Web]]:
    """Makes servers that end with the test."""
    made: list[Web] = []

    def make(told: Told, certificate: Path | None = None) -> Web:
        made.append(Web(lambda _: told, certificate))
        return made[-1]

    yield make
    for web in made:
        web.close()


def failures(driven: ZoneDriver) -> list[DNSError]:
    """The errors of each call of a driver."""
    found = []
    for call in (driven.check, driven.read):
        with pytest.raises(DNSError) as caught:
            call()
        found.append(caught.value)
    try:
        found += [error for error in errors(driven.apply(CHANGES)) if error]
    except DNSError as error:
        found.append(error)
    assert len(found) == 3
    return found


CHANGES = create(rrset("a.example.net", "A", "192.0.2.1"))


@pytest.mark.parametrize("kind", SECTIONS)
@pytest.mark.parametrize(
    ("told", "said"),
    (
        (Told(200, ""), "nothing at all"),
        (Told(200, "<html>\n<p>Welcome</p>\n</html>"), "<html> <p>Welcome</p> </html>"),
        (Told(200, "[1, 2"), "[1, 2"),
        (Told(502, "<h1>Bad Gateway</h1>"), "502"),
        (Told(302, "", {"Location": "/login"}), "a redirect"),
        (Told(200, f"you sent {SECRET}" + " and more" * 100), "you sent \\*\\*\\*"),
    ),
    ids=("empty", "html", "half", "gateway", "redirect", "echo"),
)
def test_what_is_no_answer_of_the_api_is_told_as_such(
    kind: str, told: Told, said: str, served: Callable[..., Web]
) -> None:
    """DNS-16, DNS-13: empty and foreign answers, and those that give our secret back."""
    found = failures(opened(kind, served(told).url))
    assert {type(error) for error in found} == {DNSUnreachable}
    for error in found:
        assert said.replace("\\", "") in error.text
        assert SECRET not in error.text and len(error.text) < 700 and "\n" not in error.text


@pytest.mark.parametrize("kind", SECTIONS)
def test_an_unknown_certificate_is_not_trusted(
    kind: str, tmp_path: Path, served: Callable[..., Web]
) -> None:
    certificate = tmp_path / "server.pem"
    certificate.write_bytes(make_certificate())
    web = served(Told(200, "no JSON"), certificate)
    found = failures(opened(kind, web.url))
    assert all("TLS failed" in error.text for error in found)
    assert web.asked == []
    found = failures(opened(kind, web.url, tmp_path, ca="server.pem"))
    assert all("no JSON" in error.text for error in found)


def test_a_ca_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for error in failures(opened("powerdns", "https://127.0.0.1:1", ca=str(tmp_path / "no.pem"))):
        assert "no.pem" in error.text


def test_a_host_without_an_address_is_unreachable() -> None:
    for error in failures(opened("powerdns", f"http://{'a' * 70}.test")):
        assert isinstance(error, DNSUnreachable)


def test_a_slow_server_is_given_up(served: Callable[..., Web]) -> None:
    web = served(Told(200, ""))
    with web.silent(), pytest.raises(DNSUnreachable, match="no answer within 1 s"):
        opened("powerdns", web.url).check()


def test_a_write_whose_answer_was_lost_is_not_sent_again(served: Callable[..., Web]) -> None:
    """What was sent may have been done: it is for the next reading to tell."""
    zone = '{"name": "example.net.", "rrsets": []}'

    def answer(asked: Asked) -> Told:
        return Told(200, zone) if asked.method == "GET" else Told(500, "")

    web = Web(answer)
    try:
        with pytest.raises(DNSUnreachable, match="500"):
            opened("powerdns", web.url).apply(CHANGES)
    finally:
        web.close()
    assert [one.method for one in web.asked] == ["GET", "PATCH"]


def test_other_refusals_carry_the_providers_words(served: Callable[..., Web]) -> None:
    web = served(Told(422, {"error": "no good", "errors": ["at all"]}))
    for error in failures(opened("powerdns", web.url)):
        assert type(error) is DNSRefused and "422: no good at all" in error.text
