"""Who is told of a VM and how, and the fleet's own letters: what is taken, what is refused."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from desired.letters import read_letters
from desired.notices import VARIABLES, Channel, Mail, Notices, Told, Webhook
from desired.report import Report
from tests.desired.fleets import BASE, load

CHANNELS = """
notices:
  contact: all@example.net
  channels:
    mail: {mail: {host: mx.example.net, from: "VPS <vps@example.net>"}}
    desk: {webhook: {url: "https://desk.example.net/hook", body: {t: "{{ subject }}"}}}
"""


def channels(**more: object) -> dict[str, object]:
    hook = {"url": "https://desk.example.net/hook"}
    ticket = {"create": {"url": "/tickets"}}
    return {
        "channels": {
            "mail": {"mail": {"host": "mx", "from": "vps@example.net"}},
            "desk": {"webhook": hook},
            "help": {"webhook": {**hook, "ticket": ticket}},
            "chat": {"apprise": {"urls": ["env:CHAT"]}},
        },
        **more,
    }


def test_what_a_vm_says_goes_over_what_its_fleet_says() -> None:
    fleet = Told.model_validate(
        {"contact": "a@x.net", "send": {"ready": "mail", "drift": "none"}, "password": True}
    )
    own = Told.model_validate(
        {"owner": "b@x.net", "send": {"ready": ["desk", "mail"]}, "templates": {"ready": "vip"}}
    )
    told = own.over(fleet)
    assert (told.contact, told.owner, told.password) == ("a@x.net", "b@x.net", True)
    assert told.send == {"ready": ("desk", "mail"), "drift": ()}
    assert told.templates == {"ready": "vip"}
    assert Told(password=False).over(fleet).password is False


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"send": {"ready": "post"}}, "send.ready: unknown channel post; there is mail, desk"),
        ({"tickets": {"channel": "post"}}, "unknown channel post"),
        ({"tickets": {"channel": "mail"}}, "needs `to`"),
        ({"tickets": {"channel": "desk"}}, "says no `ticket` requests"),
        ({"tickets": {"channel": "chat"}}, "apprise cannot carry them"),
        ({"send": {"birthday": "mail"}}, "Input should be"),
        ({"contact": "a@b\nBcc: c@d"}, "pattern"),
    ],
)
def test_notices_that_cannot_be_are_refused(wrong: dict[str, object], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        Notices.model_validate(channels(**wrong))


def test_tickets_go_by_mail_to_an_address_or_to_a_help_desk() -> None:
    """Q-06"""
    send = {"ready": ["mail", "desk"], "drift": "mail"}
    tickets = {"channel": "mail", "to": "desk@x.net"}
    mail = Notices.model_validate(channels(send=send, tickets=tickets))
    assert mail.tickets is not None and mail.tickets.after == 900.0
    assert Notices.model_validate(channels(tickets={"channel": "help"})).tickets is not None


def test_a_channel_is_one_thing() -> None:
    hook = {"url": "https://x.net"}
    with pytest.raises(ValidationError, match="exactly one"):
        Channel.model_validate({"webhook": hook, "apprise": {"urls": ["env:X"]}})
    with pytest.raises(ValidationError, match="exactly one"):
        Channel.model_validate({})


def test_no_password_goes_over_the_wire_in_clear() -> None:
    login = {"user": "x", "password": "env:P"}
    with pytest.raises(ValidationError, match="would show the password"):
        Mail.model_validate({"host": "h", "from": "a@b.net", "tls": "none", "login": login})
    assert Mail.model_validate({"host": "h", "from": "a@b.net", "login": login}).tls == "starttls"


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"a": [{"b": "{{ subjct }}"}]}, "subjct is not known"),
        ({"a": "{{ subject"}, "bad template"),
        ({"a": [3, None, "{{ id }}"]}, ""),
    ],
)
def test_a_body_is_checked_when_it_is_read(body: dict[str, object], says: str) -> None:
    made = {"url": "https://x.net/a", "body": body}
    if says:
        with pytest.raises(ValidationError, match=says):
            Webhook.model_validate(made)
    else:
        assert Webhook.model_validate(made).body == body


def test_a_header_is_one_line() -> None:
    with pytest.raises(ValidationError):
        Webhook.model_validate({"url": "https://x.net", "headers": {"X": "a\nY: b"}})
    with pytest.raises(ValidationError):
        Webhook.model_validate({"url": "https://x.net", "headers": {"X: a\nY": "b"}})


def letters(**files: str) -> tuple[dict[str, str], list[str]]:
    """The letters that are taken, and what is said of the others."""
    report = Report()
    named = [(f"notices/{name.replace('_', '.')}", text) for name, text in files.items()]
    found = read_letters([(name, text.encode()) for name, text in named], report)
    return found, [str(error) for error in report.errors()]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("Subject: {{ name }}\n\n{{ nmae }}\n", "notices/ready.txt.j2:3:1: nmae is not known"),
        ("Dear {{ name }}\n", "1:1: expected a first line `Subject: ...`"),
        ("Subject: x\n\n{% if %}\n", "3:1: bad template"),
        ("Subject: x\n\n{{ name | shout }}\n", "3:1: bad template: No filter named 'shout'"),
        ("Subject: x\n\n{{ vm.name }}\n", "3:1: template fails"),
        ("Subject: x\n\n{% include 'a' %}\n", "3:1: a letter is one file"),
        ("Subject: " + "{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}", "nested too deeply"),
    ],
)
def test_a_letter_that_cannot_be_written_is_told_with_its_line(text: str, says: str) -> None:
    found, said = letters(ready_txt_j2=text)
    assert found == {"ready.txt.j2": ""}
    assert says in said[0]


def test_a_letter_may_use_all_that_there_is_and_names_of_its_own() -> None:
    every = " ".join(f"{{{{ {name} }}}}" for name in VARIABLES)
    own = "{% for one in addresses %}{{ loop.index }} {{ one }}{% endfor %}{% set x = 1 %}{{ x }}"
    found, said = letters(
        ready_txt_j2=f"Subject: {every}\n\n{own}", ready_html_j2="<b>{{ name }}</b>"
    )
    assert said == [] and sorted(found) == ["ready.html.j2", "ready.txt.j2"]


def test_a_letter_has_a_name_a_text_and_is_utf_8() -> None:
    report = Report()
    files = [("n/Vip.j2", b"x"), ("n/a.txt.j2", b"\xff"), ("n/b.html.j2", b"<b>x</b>")]
    read_letters(files, report)
    said = [str(error) for error in report.errors()]
    assert "expected a name such as ready.txt.j2" in said[0]
    assert "expected UTF-8 text" in said[1]
    assert "no .txt.j2 of this name stands beside it" in said[2]


def test_a_vm_names_channels_and_letters_that_there_are(tmp_path: Path) -> None:
    vms = """\
good: {notices: {contact: "{{ key }}@x.net", send: {ready: desk}, templates: {ready: vip}}}
kind: {notices: {templates: {ready: upgrade}}}
post: {notices: {send: {ready: post}}}
none: {notices: {templates: {ready: nowhere}}}
gone: {state: absent, notices: {contact: a@x.net}}
lost: {state: absent, notices: {contact: "{{ key }}@x.net"}}
"""
    files = {"fleet.yaml": BASE["fleet.yaml"] + CHANNELS, "vms/vms.yaml": vms}
    fleet = load(tmp_path, {**files, "notices/vip.txt.j2": "Subject: vip\n\n{{ name }}\n"})
    said = [str(error) for error in fleet.errors]
    assert "unknown channel post; there is mail, desk" in said[0]
    assert "no letter nowhere.txt.j2 in the folder notices/" in said[1]
    assert len(said) == 2
    assert fleet.letters == {"vip.txt.j2": "Subject: vip\n\n{{ name }}\n"}
    good, gone, lost = (fleet.vms[key].notices for key in ("good", "gone", "lost"))
    assert good is not None and good.contact == "good@x.net"
    assert gone is not None and gone.contact == "a@x.net"
    assert lost is None
    assert set(fleet.notices.channels) == {"mail", "desk"}


def test_c_17_what_is_no_reference_may_be_a_secret_and_is_not_shown(tmp_path: Path) -> None:
    """C-17: an error names the place, never what was put there."""
    wrong = """
notices:
  channels:
    mail: {mail: {host: mx, from: vps, login: {user: x, password: hunter1}}}
    desk: {webhook: {url: "https://desk.example.net/hook", secrets: {Authorization: hunter2}}}
    chat: {apprise: {urls: [hunter3]}}
"""
    fleet = load(tmp_path, {"fleet.yaml": BASE["fleet.yaml"] + wrong})
    said = "\n".join(str(error) for error in fleet.errors)
    assert "expected a mail address, or `Name <address>`, seen 'vps'" in said
    assert said.count("expected a reference") == 3 and "hunter" not in said


def test_no_vm_is_held_back_for_a_slip_in_notices(tmp_path: Path) -> None:
    vms = "a: {notices: {send: {ready: mail}, templates: {ready: vip}}}\n"
    broken = CHANNELS.replace("host: mx.example.net", "hots: mx")
    files = {"fleet.yaml": BASE["fleet.yaml"] + broken, "vms/vms.yaml": vms}
    fleet = load(tmp_path, {**files, "notices/vip.txt.j2": "Subject: {{ oops }}\n"})
    assert len(fleet.errors) >= 2 and "a" in fleet.vms
    assert fleet.letters == {"vip.txt.j2": ""}
