"""Tickets: got once, renewed in time, never a storm of log-ins."""

import json
import threading
from collections.abc import Callable, Mapping

import pytest

from reconciler.pve.client import ProxmoxApi
from reconciler.pve.login import GIVE_UP, RENEW_AFTER, TicketLogin
from state.api import Forbidden, Json, Unavailable
from state.change import Call, Method, Param
from state.secret import Secret
from tests.reconciler.pve.tls_server import Asked, Server, reply

Serve = Callable[..., Server]
Open = Callable[..., ProxmoxApi]
LOGIN = {"token": None, "login": {"user": "root@pam", "password": "env:P"}}
PUT = Call(Method.PUT, "/nodes/pve1/qemu/100/config", {"cores": 2})


class Realm:
    """Hands out tickets T1, T2, … and knows which one is good."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, asked: Asked) -> bytes:
        if asked.path.endswith("/access/ticket"):
            if ("password", "s3cret") not in asked.fields:
                return reply("", 401, "authentication failure")
            self.count += 1
            fields = {"ticket": f"T{self.count}", "CSRFPreventionToken": f"C{self.count}"}
            return reply(json.dumps({"data": fields}))
        good = asked.headers.get("cookie") == f"PVEAuthCookie=T{self.count}"
        return reply('{"data":1}') if good else reply("", 401, "permission denied - invalid ticket")


def test_a_ticket_goes_with_every_call_and_csrf_with_writes(serve: Serve, connect: Open) -> None:
    server = serve(Realm())
    api = connect(server.url, **LOGIN)
    assert (api.get("/x"), api.send(PUT)) == (1, 1)
    login, read, write = server.asked
    assert login.fields == [("username", "root@pam"), ("password", "s3cret")]
    assert read.headers["cookie"] == "PVEAuthCookie=T1"
    assert "csrfpreventiontoken" not in read.headers
    assert write.headers["csrfpreventiontoken"] == "C1"
    assert (api.reads, api.writes, api.identity) == (1, 1, "root@pam")


def test_a_ticket_that_is_refused_is_renewed_once(serve: Serve, connect: Open) -> None:
    realm = Realm()
    server = serve(realm)
    api = connect(server.url, **LOGIN)
    api.get("/x")
    realm.count = 7
    assert api.send(PUT) == 1
    assert [asked.headers.get("cookie", "login")[-2:] for asked in server.asked[2:]] == [
        "T1", "in", "T8",
    ]  # fmt: skip


def test_a_second_401_is_an_answer(serve: Serve, connect: Open) -> None:
    def answer(asked: Asked) -> bytes:
        if asked.path.endswith("/ticket"):
            return reply('{"data":{"ticket":"T","CSRFPreventionToken":"C"}}')
        return reply("", 401, "permission denied - invalid csrf token")

    server = serve(answer)
    with pytest.raises(Forbidden, match="csrf"):
        connect(server.url, **LOGIN).send(PUT)
    assert len(server.asked) == 4


def test_a_wrong_password_is_not_tried_again_and_again(serve: Serve, connect: Open) -> None:
    server = serve(lambda asked: reply("", 401, "authentication failure for s3cret"))
    api = connect(server.url, **LOGIN)
    for _ in range(3):
        with pytest.raises(Forbidden, match=r"authentication failure for \*\*\*"):
            api.get("/x")
    assert len(server.asked) == 1


def test_a_login_that_got_no_answer_is_no_write(serve: Serve, connect: Open) -> None:
    with pytest.raises(Unavailable):
        connect(serve(lambda asked: b"").url, **LOGIN).send(PUT)
    with pytest.raises(Unavailable):
        connect(serve(lambda asked: reply("<html>")).url, **LOGIN).send(PUT)


def test_many_threads_log_in_once(serve: Serve, connect: Open) -> None:
    realm = Realm()
    api = connect(serve(realm).url, **LOGIN)
    threads = [threading.Thread(target=api.get, args=("/x",), daemon=True) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert (realm.count, api.reads) == (1, 16)


class Desk:
    """Counts how often a ticket is asked for."""

    def __init__(self, answer: Json = None) -> None:
        self.asked = 0
        self.answer = answer

    def __call__(self, fields: Mapping[str, Param]) -> Json:
        self.asked += 1
        if self.answer == "no":
            raise Forbidden("no", 401)
        return self.answer or {"ticket": f"T{self.asked}", "CSRFPreventionToken": "C"}


def test_a_ticket_is_renewed_before_its_two_hours_end() -> None:
    at, desk = 0.0, Desk()
    login = TicketLogin("u@pve", Secret("p"), desk, clock=lambda: at)
    assert login.headers("GET") == {"Cookie": "PVEAuthCookie=T1"}
    at = RENEW_AFTER
    assert login.headers("GET") == {"Cookie": "PVEAuthCookie=T1"}
    at = RENEW_AFTER + 1
    assert login.headers("PUT") == {"Cookie": "PVEAuthCookie=T2", "CSRFPreventionToken": "C"}
    assert login.secrets == ("p", "T2", "C")


def test_who_comes_late_with_an_old_ticket_gets_the_new_one() -> None:
    desk = Desk()
    login = TicketLogin("u@pve", Secret("p"), desk)
    old = login.headers("GET")
    assert login.renew(old) and login.renew(old)
    assert desk.asked == 2


def test_a_refused_password_is_tried_again_after_a_while() -> None:
    at, desk = 0.0, Desk("no")
    login = TicketLogin("u@pve", Secret("p"), desk, clock=lambda: at)
    for _ in range(2):
        with pytest.raises(Forbidden):
            login.headers("GET")
    at, desk.answer = GIVE_UP, None
    assert login.headers("GET")
    assert desk.asked == 2


@pytest.mark.parametrize("answer", [{"NeedTFA": 1, "ticket": "T"}, {"username": "u"}, "odd"])
def test_a_second_factor_is_explained(answer: Json) -> None:
    with pytest.raises(Forbidden, match="use an API token"):
        TicketLogin("u@pve", Secret("p"), Desk(answer)).headers("GET")
