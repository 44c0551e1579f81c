"""Ids that a server should not give: they get into no message, record or call, and no token of ours out of sight."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from provisioner.domain.errors import IssuerRefusedError, TokenUnreadableError
from provisioner.issuers.influxctl import InfluxctlIssuer
from provisioner.ports.issuer import Issuer
from provisioner.runtime.clock import SystemClock
from tests.fakes.scripted_server import Asked, Reply, ScriptedServer, reply
from tests.http_issuers import KINDS, MARK, a_request, a_target, an_issuer, facing, minted, wire_token

ODD = ["\x1b[31m7\n", "7\x00", "\ud800", "x" * 201, "7 8", "é", "\u202e7", "7\u2028", "\x9b2J"]
SITES = [*KINDS, "influxctl"]
WORDS = {"influxctl": "influxdb-management-api"}
"""In whose words a kind tells of tokens here."""


@contextmanager
def listing(kind: str, tokens: list[dict[str, Any]], folder: Path) -> Iterator[tuple[Issuer, Callable[[], int]]]:
    """Give an issuer of that kind whose list is that, and what counts the revocations that reach its server."""
    if kind != "influxctl":

        def answer(asked: Asked) -> Reply:
            return reply(200, tokens) if asked.method == "GET" else reply(200 if kind == "influxdb3" else 204)

        with ScriptedServer(answer) as server, closing(an_issuer(kind, server.url)) as issuer:
            yield issuer, lambda: sum(asked.method == "DELETE" for asked in server.asked)
        return
    program, noted = folder / "influxctl.py", folder / "revoked"
    revoked = f"'revoke' in sys.argv and open({str(noted)!r}, 'a').write('x')"
    program.write_text(f"import sys\nprint({json.dumps(tokens)!r})\n{revoked}\n")
    command, timeout = (sys.executable, "-I", str(program)), timedelta(seconds=20)
    with closing(InfluxctlIssuer(name="site", command=command, timeout=timeout, clock=SystemClock())) as called:
        yield called, lambda: len(noted.read_text()) if noted.exists() else 0


def entry(kind: str, token_id: str, **changes: Any) -> dict[str, Any]:
    """Give a token as the list has it."""
    key = "token_id" if kind == "influxdb3" else "id"
    return wire_token(WORDS.get(kind, kind), **{key: token_id}, **changes)


@pytest.mark.parametrize("kind", SITES)
def test_odd_ids_on_a_list_are_renamed_and_their_tokens_kept(kind: str, tmp_path: Path) -> None:
    """Ours stay known by their marks, and others stop nobody; each has a name of its own, the same on every list."""
    foreign = {"name" if kind == "influxdb3" else "description": "of somebody else"}
    tokens = [entry(kind, "plain"), *(entry(kind, odd, **foreign) for odd in ODD), entry(kind, ODD[0] + "ours")]
    with listing(kind, tokens, tmp_path) as (issuer, _):
        first, second = issuer.list().tokens, issuer.list().tokens
    assert [token.mark for token in first] == [MARK, *[None] * len(ODD), MARK]
    ids = [token.token_id for token in first]
    assert ids[0] == "plain"
    assert all(one.isascii() and one.isprintable() and len(one) < 40 for one in ids)
    assert len(set(ids)) == len(tokens)
    assert ids == [token.token_id for token in second]


@pytest.mark.parametrize("kind", SITES)
def test_token_with_an_odd_id_is_revoked_by_its_name_or_by_a_person(kind: str, tmp_path: Path) -> None:
    """Where a revocation goes by the id, what stands for it is sent to nobody: a 404 would read as gone."""
    with listing(kind, [entry(kind, ODD[0])], tmp_path) as (issuer, revocations):
        (token,) = issuer.list().tokens
        if kind == "influxdb3":
            issuer.revoke(token)
            assert revocations() == 1
        else:
            with pytest.raises(IssuerRefusedError, match="by hand"):
                issuer.revoke(token)
            assert revocations() == 0


@pytest.mark.parametrize("token_id", ["-h", "--all", "7 8", ""])
def test_influxctl_is_given_no_flag_for_an_id(token_id: str, tmp_path: Path) -> None:
    """An id that begins with a hyphen would be one."""
    with listing("influxctl", [], tmp_path) as (issuer, revocations):
        with pytest.raises(IssuerRefusedError, match="by hand"):
            issuer.revoke(a_target(token_id=token_id))
        assert revocations() == 0


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("kind", KINDS)
def test_created_token_with_an_odd_id_is_handed_to_nobody(kind: str, odd: str) -> None:
    """It would get into a record; the message does not repeat it."""
    with facing(kind, reply(200, minted(kind, id=odd))) as (_, issuer):
        with pytest.raises(TokenUnreadableError, match="its id is not printable") as caught:
            issuer.create(a_request())
        assert odd not in str(caught.value)
        assert str(caught.value).isprintable()


def test_created_token_of_influxctl_with_an_odd_id_is_handed_to_nobody(tmp_path: Path) -> None:
    """Neither by the answer, nor by the list that completes it."""
    created = minted("influxdb-management-api", id=ODD[0])
    on_list = [entry("influxctl", ODD[0])]
    for answer in (created, {key: value for key, value in created.items() if key != "id"}):
        program = tmp_path / "influxctl.py"
        said = f"{json.dumps(answer)!r} if 'create' in sys.argv else {json.dumps(on_list)!r}"
        program.write_text(f"import sys\nprint({said})\n")
        command, timeout = (sys.executable, "-I", str(program)), timedelta(seconds=20)
        issuer = InfluxctlIssuer(name="site", command=command, timeout=timeout, clock=SystemClock())
        with closing(issuer), pytest.raises(TokenUnreadableError, match="id"):
            issuer.create(a_request())
