"""What the web server itself refuses has a reason and no body; too many headers get no answer.

Source: pve-http-server PVE/APIServer/AnyEvent.pm (error, unshift_read_header).
"""

import pytest

from reconciler.sim.http.connection import HEADER_LINES, HEADER_SIZE
from reconciler.sim.http.reply import moved
from tests.sim.http.wire import TOKEN, Client


@pytest.mark.parametrize(
    ("request_line", "reason"),
    [
        ("HEAD /api2/json/version", "501 method 'HEAD' not available"),
        ("GET /api2/", "501 no such uri"),
        ("nonsense", "400 bad request"),
    ],
)
def test_the_web_servers_own_refusals_are_a_reason_only(
    client: Client, request_line: str, reason: str
) -> None:
    client.send(f"{request_line} HTTP/1.1\r\n{TOKEN}\r\n")
    line, headers, body = client.take()
    assert line == f"HTTP/1.1 {reason}" and body == b""
    assert headers["Connection"] == "close" and client.closed
    assert not headers.keys() & {"Content-Type", "Content-Length"}


def test_broken_json_is_answered_as_text(client: Client) -> None:
    body = '{"description":'
    client.send(
        f"PUT /api2/json/nodes/pve1/qemu/9000/config HTTP/1.1\r\n{TOKEN}"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    )
    line, headers, found = client.take()
    assert line.startswith("HTTP/1.1 500 malformed JSON string")
    assert found.decode().startswith("malformed JSON string") and "Content-Type" not in headers


@pytest.mark.parametrize(
    "headers", ["X: y\r\n" * (HEADER_LINES - 1), f"X: {'y' * HEADER_SIZE}\r\n"]
)
def test_a_request_with_too_many_headers_is_never_answered(client: Client, headers: str) -> None:
    client.send(f"GET /api2/json/version HTTP/1.1\r\n{TOKEN}{headers}\r\n")
    client.work(4.9)
    assert client.got == b"" and not client.closed
    client.work(0.2)
    assert client.closed


def test_plain_http_is_moved_for_good_or_with_its_method() -> None:
    assert moved("GET", "a:1", "/x").startswith(b"HTTP/1.1 301 Moved Permanently\r\nLocation: http")
    assert moved("PUT", "a:1", "/x").startswith(b"HTTP/1.1 308 Permanent Redirect\r\n")
