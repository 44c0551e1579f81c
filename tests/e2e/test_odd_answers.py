"""The command ``rotate`` where something else listens, or a daemon that answers oddly: it says so, tells nothing."""

import json
import os
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from socketserver import StreamRequestHandler, UnixStreamServer
from threading import Thread
from typing import Any, Final

import pytest
import trustme

from provisioner.api.models import TokenAnswer
from provisioner.api.view import Standing
from provisioner.cli.reach import AnswerLostError, over_http
from tests.fakes.scripted_server import Asked, Reply, ScriptedServer, always, reply
from tests.fakes.view import a_status
from tests.leaks.search import assert_untold, everything_about
from tests.site import ZYGOTES, Ran

TOKEN: Final = "zq7-plain-9f3k2m8x5w1v6t4s0r7q2p9n8b6c"
REQUEST: Final = "change-4711"
NOBODY, REFUSED, BAD = 4, 1, 2
MOMENT: Final = "2026-11-29T03:00:00Z"


@dataclass(frozen=True, slots=True)
class Odd:
    """One odd answer, the status that the command ends with, and a part of what it says."""

    answer: Callable[[Asked], Reply]
    status: int
    said: str


def a_rotation(**changes: Any) -> dict[str, Any]:
    """Give one as a daemon tells it."""
    phase = {"name": "create", "began_at": MOMENT, "ended_at": MOMENT, "said": "id-1", "failed": False}
    return {
        "id": "b1c3b2a0-0000-4000-8000-000000000000",
        "name": "telegraf",
        "request_id": REQUEST,
        "state": "done",
        "reason": "",
        "compromised": False,
        "requested_by": None,
        "via": "http",
        "asked_at": MOMENT,
        "ended_at": MOMENT,
        "tries": 1,
        "phases": [phase],
        "already": False,
        "token_id": "id-1",
        "error": None,
        "revoked": [],
        "still_live": [],
    } | changes


def told(*rotations: object) -> Callable[[Asked], Reply]:
    """Answer with these rotations."""
    return always(reply(202, {"rotations": list(rotations)}))


def raw(*pieces: bytes, **how: Any) -> Callable[[Asked], Reply]:
    """Answer with these bytes, and hang up unless it is said how else."""
    return always(Reply(pieces=pieces, **({"close": True} | how)))


def a_problem(status: int, kind: str = "about:blank", detail: object = "why", **more: object) -> dict[str, object]:
    """Give a problem as a daemon tells it."""
    return {"type": kind, "title": "x", "status": status, "detail": detail} | more


def problem(status: int, **changes: Any) -> Callable[[Asked], Reply]:
    """Answer with a problem."""
    return always(reply(status, a_problem(status, **changes)))


def echo(asked: Asked) -> Reply:
    """Answer with what was asked, as servers that help with looking for mistakes do."""
    return reply(202, {"rotations": [a_rotation(error=f"you sent {asked.headers['authorization']}")]})


def spelt(asked: Asked) -> Reply:
    """The same, so that the token is seen only by who reads the JSON."""
    token = "".join(f"\\u{ord(letter):04x}" for letter in asked.token)
    return reply(400, f'{{"type": "x", "title": "x", "status": 400, "detail": "{token}"}}')


HTML: Final = "<!doctype html><title>Welcome</title>" * 50
STRANGER: Final = "is no daemon of ours"
HEAD: Final = b"HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\n"
ODD: Final[Mapping[str, Odd]] = {
    "HTML": Odd(always(reply(200, HTML, content_type="text/html")), NOBODY, STRANGER),
    "nothing in it": Odd(always(reply(200)), NOBODY, STRANGER),
    "204": Odd(always(reply(204)), NOBODY, "it answered 204"),
    "half of the JSON": Odd(always(reply(202, json.dumps({"rotations": [a_rotation()]})[:-9])), NOBODY, STRANGER),
    "no text": Odd(always(reply(202, b"\xff\xfe\x80")), NOBODY, STRANGER),
    "null": Odd(always(reply(202, "null")), NOBODY, STRANGER),
    "a list": Odd(always(reply(202, "[]")), NOBODY, STRANGER),
    "no list in it": Odd(always(reply(202, {"rotations": {"state": "done"}})), NOBODY, STRANGER),
    "a list of numbers": Odd(told(1, 2), NOBODY, STRANGER),
    "no rotation": Odd(told(), NOBODY, "other rotations than were asked for"),
    "a rotation without fields": Odd(told({"state": "done"}), NOBODY, STRANGER),
    "a state that is none": Odd(told(a_rotation(state="perhaps")), NOBODY, STRANGER),
    "phases that are none": Odd(told(a_rotation(phases="create")), NOBODY, STRANGER),
    "a phase without a name": Odd(told(a_rotation(phases=[{"began_at": MOMENT}])), NOBODY, STRANGER),
    "times of no zone": Odd(told(a_rotation(ended_at="2026-11-29T03:00:00")), NOBODY, STRANGER),
    "ids that are no list": Odd(told(a_rotation(revoked=None)), NOBODY, STRANGER),
    "a token id that is a number": Odd(told(a_rotation(token_id=7)), NOBODY, STRANGER),
    "another token": Odd(told(a_rotation(name="grafana")), NOBODY, "other rotations than were asked for"),
    "another request": Odd(told(a_rotation(request_id="x")), NOBODY, "other rotations than were asked for"),
    "deep JSON": Odd(always(reply(202, "[" * 100_000)), NOBODY, STRANGER),
    "a long number": Odd(always(reply(202, '{"rotations": ' + "9" * 10_000 + "}")), NOBODY, STRANGER),
    "compressed": Odd(always(reply(202, b"\x1f\x8b" + b"x" * 50, content_encoding="gzip")), NOBODY, STRANGER),
    "a redirect": Odd(always(reply(302, location="/elsewhere")), NOBODY, "elsewhere (302), where no token follows"),
    "one for ever": Odd(always(reply(308, location="/v1/rotations")), NOBODY, "name the final address"),
    "401 of others": Odd(always(reply(401, HTML)), REFUSED, "a proxy before it?"),
    "403 of others": Odd(always(reply(403)), REFUSED, "a proxy before it?"),
    "407": Odd(always(reply(407)), REFUSED, "a proxy before it?"),
    "404 of others": Odd(always(reply(404, HTML)), NOBODY, "it answered 404"),
    "405 of others": Odd(always(reply(405)), NOBODY, "it answered 405"),
    "429": Odd(always(reply(429, retry_after="17")), NOBODY, "(429), and says to come again in 17 s"),
    "429 until a day": Odd(always(reply(429, retry_after="Fri, 31 Dec 2027 23:59:59 GMT")), NOBODY, "now (429); "),
    "500 of others": Odd(always(reply(500, HTML)), NOBODY, "it answered 500"),
    "502": Odd(always(reply(502, HTML)), NOBODY, f"not known: say it again with --request-id {REQUEST}"),
    "503 of others": Odd(always(reply(503, HTML, retry_after="3")), NOBODY, "(503), and says to come again in 3 s"),
    "504": Odd(always(reply(504)), NOBODY, f"not known: say it again with --request-id {REQUEST}"),
    "401 of ours": Odd(problem(401), REFUSED, "what --token-file has is not the token of its server.api_token"),
    "403 of ours": Odd(problem(403, detail="there are no write verbs"), REFUSED, "(403): there are no write verbs"),
    "404 of ours": Odd(problem(404, detail="no token is configured"), REFUSED, "(404): no token is configured"),
    "422 of ours": Odd(problem(422, errors=[{"where": "body.x", "what": "extra"}]), REFUSED, "why; body.x: extra"),
    "500 of ours": Odd(problem(500, detail="this is a bug"), REFUSED, "(500): this is a bug"),
    "a problem of odd kinds": Odd(problem(400, detail=["x"], errors=7), NOBODY, "it answered 400"),
    "errors of odd kinds": Odd(problem(422, errors=7), NOBODY, "it answered 422"),
    "a problem of another status": Odd(always(reply(409, a_problem(422))), NOBODY, "it answered 409"),
    "the token in a rotation": Odd(echo, REFUSED, "repeats the token it was sent"),
    "the token in a problem": Odd(spelt, REFUSED, "replace that token"),
    "too much": Odd(raw(HEAD + b"\r\n", *[b" " * 2**20] * 17), NOBODY, "larger than 16 MiB"),
    "hanging up": Odd(raw(), NOBODY, "not known: say it again"),
    "hanging up in the head": Odd(raw(HEAD), NOBODY, "hung up, or speaks no HTTP"),
    "hanging up in the body": Odd(raw(HEAD + b"Content-Length: 900\r\n\r\n{"), NOBODY, "not known: say it again"),
    "no HTTP": Odd(raw(b"220 mail.example.org ESMTP\r\n"), NOBODY, "speaks no HTTP"),
    "SSH": Odd(raw(b"SSH-2.0-OpenSSH_9.6\r\n"), NOBODY, "speaks no HTTP"),
    "a record of TLS": Odd(raw(b"\x15\x03\x01\x00\x02\x02\x46"), NOBODY, "is it https?"),
    "a status of letters": Odd(raw(b"HTTP/1.1 OK\r\n\r\n"), NOBODY, "speaks no HTTP"),
    "two lengths": Odd(raw(HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n{}"), NOBODY, "speaks no HTTP"),
}


ROTATE: Final = ("rotate", "telegraf", "--request-id", REQUEST)


def rotate(folder: Path, *arguments: str, command: tuple[str, ...] = ROTATE) -> Ran:
    """Run the command."""
    output = folder / "out"
    given = (*command, *arguments)
    status = ZYGOTES.run(*given, output=output, environment={"PATH": os.defpath}, timeout=60)
    return Ran(status=status, output=output.read_text(), errors=output.with_suffix(".err").read_text())


def asked_over_http(folder: Path, url: str, *arguments: str, command: tuple[str, ...] = ROTATE) -> Ran:
    """The same, with the token in a file."""
    (folder / "token").write_text(f"{TOKEN}\n")
    return rotate(folder, "--server", url, "--token-file", str(folder / "token"), *arguments, command=command)


def is_plain(ran: Ran) -> bool:
    """Tell whether there is one error for a person, and neither a traceback nor a bug."""
    words = ("Traceback", "bug in", "this is a bug: ")
    return "error: " in ran.errors and not any(word in ran.errors + ran.output for word in words)


def flat(text: str) -> str:
    """Give a text as it was before it was broken into lines."""
    return " ".join(text.split())


@pytest.mark.parametrize("what", ODD)
def test_odd_answers_are_told_and_tell_nothing(tmp_path: Path, what: str) -> None:
    """With the address and what to do; the token was sent where it was told to, once, and is shown nowhere."""
    odd = ODD[what]
    with ScriptedServer(odd.answer) as server:
        ran = asked_over_http(tmp_path, server.url)
        assert server.asked_for == [("POST", "/v1/rotations")]
    assert ran.status == odd.status, ran.errors
    assert odd.said in flat(ran.errors)
    assert server.url in flat(ran.errors)
    assert is_plain(ran)
    assert ran.output == ""
    assert_untold(TOKEN, ran.errors, ran.output)


SLOW: Final[Mapping[str, Callable[[Asked], Reply]]] = {
    "no end": raw(HEAD + b"\r\n", *[b" "] * 2000, pause=0.05),
    "a head without an end": raw(b"HTTP/1.1 200 x\r\nX: ", *[b"x"] * 2000, pause=0.05),
    "silence": raw(hang=True),
}


@pytest.mark.parametrize("what", SLOW)
def test_what_never_ends_is_ended(tmp_path: Path, what: str) -> None:
    """However steadily it comes; nobody knows then whether the request was taken."""
    (tmp_path / "token").write_text(TOKEN)
    with ScriptedServer(SLOW[what]) as server, over_http(server.url, tmp_path / "token") as reach:
        reach.within = 0.5
        with pytest.raises(AnswerLostError, match=r"no whole answer came within 0\.5 s") as caught:
            reach.ask({"names": ["telegraf"], "request_id": REQUEST})
    assert_untold(TOKEN, everything_about(caught.value))


def test_what_is_as_it_should_be_is_shown(tmp_path: Path) -> None:
    """Else all of that would prove nothing; what a newer daemon adds is passed on, and no text moves the cursor."""
    answer = told(a_rotation(error="\x1b[2J\u202eno", later={"x": 1}, via="later"))
    with ScriptedServer(answer) as server:
        ran = asked_over_http(tmp_path, server.url)
        as_json = asked_over_http(tmp_path, server.url, "-o", "json")
    assert (ran.status, as_json.status) == (0, 0)
    assert "rotated" in ran.output
    assert "\x1b" not in ran.output + ran.errors
    assert "\u202e" not in ran.output + ran.errors
    (rotation,) = as_json.json["rotations"]
    assert (rotation["later"], rotation["ended_at"], rotation["done"]) == ({"x": 1}, MOMENT, True)


@pytest.mark.parametrize(
    ("then", "said"),
    [
        (always(reply(500, HTML)), "it answered 500"),
        (told(a_rotation(id="another")), "the daemon began anew"),
        (raw(), "no daemon was reached"),
        (told(7), "it gave no list of rotations"),
    ],
    ids=["odd", "new", "away", "other shape"],
)
def test_who_goes_away_while_followed_has_taken_it(tmp_path: Path, then: Callable[[Asked], Reply], said: str) -> None:
    """The message has the request id."""
    running = told(a_rotation(state="running", ended_at=None))
    with ScriptedServer(lambda asked: (running if asked.method == "POST" else then)(asked)) as server:
        ran = asked_over_http(tmp_path, server.url)
    assert ran.status == NOBODY
    assert said in flat(ran.errors)
    assert f"the request was taken: say it again with --request-id {REQUEST}" in flat(ran.errors)
    assert is_plain(ran)


def a_standing(**changes: Any) -> dict[str, Any]:
    """Give where a token stands as a daemon tells it."""
    return TokenAnswer.of(Standing(status=a_status("telegraf"), seen_at=None)).model_dump(mode="json") | changes


STANDINGS: Final[Mapping[str, tuple[object, int, str]]] = {
    "HTML": (HTML, NOBODY, STRANGER),
    "no list": ({"instance": "prod", "tokens": {}}, NOBODY, STRANGER),
    "numbers": ({"instance": "prod", "tokens": [1]}, REFUSED, "is not understood"),
    "a state that is none": ({"tokens": [a_standing(state="perhaps")]}, REFUSED, "is not understood"),
    "a time of no zone": ({"tokens": [a_standing(expires_at="2026-11-29T03:00:00")]}, REFUSED, "is not understood"),
    "destinations of no kind": ({"tokens": [a_standing(destinations=[1])]}, REFUSED, "is not understood"),
    "deep": ({"tokens": [json.loads("[" * 300 + "]" * 300)]}, NOBODY, STRANGER),
    "the token": ({"instance": TOKEN, "tokens": []}, REFUSED, "repeats the token it was sent"),
}


@pytest.mark.parametrize("what", STANDINGS)
def test_status_believes_no_odd_answer_either(tmp_path: Path, what: str) -> None:
    """The same errors, and nothing is shown."""
    answer, status, said = STANDINGS[what]
    with ScriptedServer(always(reply(200, answer))) as server:
        ran = asked_over_http(tmp_path, server.url, command=("status",))
    assert ran.status == status, ran.errors
    assert said in flat(ran.errors)
    assert server.url in flat(ran.errors)
    assert is_plain(ran)
    assert_untold(TOKEN, ran.errors, ran.output)


def test_status_shows_what_a_daemon_tells(tmp_path: Path) -> None:
    """Else that would prove nothing."""
    with ScriptedServer(always(reply(200, {"instance": "prod\x1b[2J", "tokens": [a_standing()]}))) as server:
        ran = asked_over_http(tmp_path, server.url, command=("status",))
    assert "telegraf" in ran.output
    assert "\x1b" not in ran.output


def test_plain_where_tls_is_spoken_and_the_other_way_round(tmp_path: Path) -> None:
    """Each says which it may be; a certificate that nobody trusts gets no token."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with ScriptedServer(told(a_rotation()), tls=context) as secure:
        plain = asked_over_http(tmp_path, secure.url.replace("https", "http"))
        untrusted = asked_over_http(tmp_path, secure.url)
        assert secure.asked == []
    with ScriptedServer(told(a_rotation())) as open_:
        tls = asked_over_http(tmp_path, open_.url.replace("http", "https"))
        assert open_.asked == []
    assert [ran.status for ran in (plain, untrusted, tls)] == [NOBODY] * 3
    assert "is it https?" in flat(plain.errors)
    assert "certificate" in untrusted.errors
    assert "is it really https?" in flat(tls.errors)
    assert all(is_plain(ran) for ran in (plain, untrusted, tls))


def test_what_listens_on_a_socket_may_be_something_else(tmp_path: Path) -> None:
    """The same errors, with the path; and ``status`` goes without what it cannot know."""

    class Handler(StreamRequestHandler):
        """Says something else than HTTP."""

        def handle(self) -> None:
            """Say it."""
            self.wfile.write(b"+OK dovecot ready\r\n")

    path = tmp_path / "s"
    with UnixStreamServer(str(path), Handler) as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        ran = rotate(tmp_path, "--socket", str(path))
        server.shutdown()
    assert ran.status == NOBODY
    assert str(path) in flat(ran.errors)
    assert "speaks no HTTP" in flat(ran.errors)
    assert is_plain(ran)


BAD_FILES: Final[Mapping[str, tuple[bytes | None, str]]] = {
    "missing": (None, "No such file"),
    "empty": (b"\n", "is empty"),
    "no text": (b"\xff\xfe" + TOKEN.encode(), "is not text"),
    "two lines": (f"{TOKEN}\n{TOKEN}".encode(), "one word of visible ASCII"),
    "a header in it": (f"{TOKEN}\r\nX-Evil: 1".encode(), "one word of visible ASCII"),
    "an umlaut": ("schlüssel-zq7".encode(), "one word of visible ASCII"),
    "huge": (TOKEN.encode() * 5000, "larger than 65536 bytes"),
}


@pytest.mark.parametrize("what", BAD_FILES)
def test_a_token_file_that_holds_none_is_a_wrong_option(tmp_path: Path, what: str) -> None:
    """Exit 2, with the option and the file; nobody was asked, and nothing of it is shown."""
    content, said = BAD_FILES[what]
    file = tmp_path / "token-file"
    if content is not None:
        file.write_bytes(content)
    with ScriptedServer(told(a_rotation())) as server:
        ran = rotate(tmp_path, "--server", server.url, "--token-file", str(file))
        assert server.connections == 0
    assert ran.status == BAD
    assert said in flat(ran.errors)
    assert "--token-file" in ran.errors
    assert is_plain(ran)
    assert_untold(TOKEN, ran.errors)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:8080",
        "ftp://x",
        "http://",
        "http:///v1",
        "http://u:hunter2-hunter2@127.0.0.1",
        "http://127.0.0.1:99999",
        "http://127.0.0.1:port",
        "http://[::1",
        "http://a b",
        "http://x\x1b[2J",
        "http://x/?token=hunter2-hunter2",
        "http://x/#y",
        "http://xn--\udcff",
        "http://" + "a" * 70_000,
    ],
)
def test_an_address_that_is_none_is_a_wrong_option(tmp_path: Path, url: str) -> None:
    """Exit 2, without a word of it that may be a password."""
    ran = asked_over_http(tmp_path, url)
    assert ran.status == BAD, ran.errors
    assert "--server" in ran.errors
    assert "hunter2" not in ran.errors
    assert is_plain(ran)


@pytest.mark.parametrize(
    "url", ["http://nobody.invalid", "http://127.0.0.1:9", "http://[::1]:9", "https://127.0.0.1:9"]
)
def test_nobody_there_is_told_with_what_to_do(tmp_path: Path, url: str) -> None:
    """Exit 4; nothing was asked of anybody."""
    ran = asked_over_http(tmp_path, url)
    assert ran.status == NOBODY
    assert url in flat(ran.errors)
    assert "is it running?" in flat(ran.errors)
    assert is_plain(ran)
