"""The Issuer port's promises as tests: ``class TestMine(IssuerContract)`` with a fixture named ``bench``.

What is compared stands in plain names before each assertion, so that no failure prints an adapter with what it holds.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

import pytest

from provisioner.domain.errors import IssuerRefusedError, IssuerUnavailableError, OutcomeUnknownError
from provisioner.domain.model import CreateRequest, IssuedToken, MintedToken, Permission
from provisioner.domain.secret import SecretText
from provisioner.ports.clock import Clock
from provisioner.ports.issuer import Issuer
from provisioner.testing.abilities import needed
from provisioner.testing.examples import TTL, a_request

_AT_ONCE: Final = 4
_MINUTE: Final = timedelta(minutes=1)
_UNKNOWN_ID: Final = "no-such-id"


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerBench:
    """An issuer, and what a test may do behind its back; what is None cannot be done, and is not tested."""

    issuer: Issuer = field(repr=False)
    clock: Clock
    """The clock that the issuer was given."""
    wrong_token: SecretText = field(default_factory=lambda: SecretText("M.V1.wrong"))
    """A string of the right shape that is nobody's token."""
    permissions: frozenset[Permission] = frozenset()
    """What to ask for; empty where every token may do the same."""
    other_permissions: frozenset[Permission] | None = None
    """What the permissions of a live token can be changed to, where its issuer can do that in place."""
    make_credential: Callable[[], SecretText] | None = field(default=None, repr=False)
    """Make a live token with which the issuer could be called."""
    add_foreign: Callable[[str, datetime | None], str] | None = field(default=None, repr=False)
    """Create a token as somebody else would, with that description and expiry (None: never); give its id."""
    lose_next_answer: Callable[[], object] | None = field(default=None, repr=False)
    """Let the next create take effect, and lose its answer."""
    fail_next_list: Callable[[], object] | None = field(default=None, repr=False)
    """Let the next list, and no other, have no answer."""


class IssuerContract:
    """What the engine relies on; the fixture ``bench`` gives an IssuerBench, whose issuer it closes at the end."""

    def test_create_gives_a_token_that_is_listed(self, bench: IssuerBench) -> None:
        """A new token has the expiry asked for, to a minute, and is listed live with its mark."""
        wanted = _wanted(bench)
        minted = bench.issuer.create(wanted)
        now, name = bench.clock.now(), bench.issuer.name
        listed = _listed(bench, minted)
        assert listed is not None, "a new token is not listed"
        assert listed.mark == wanted.mark
        assert listed.issuer == name
        assert listed.revoked_at is None
        assert minted.expires_at == listed.expires_at
        assert minted.expires_at is not None
        assert abs(minted.expires_at - wanted.expires_at) < _MINUTE  # some are asked for a life, not for a moment
        assert listed.created_at is not None
        assert abs(listed.created_at - now) < _MINUTE

    def test_each_create_is_another_token(self, bench: IssuerBench) -> None:
        """Two creates give two tokens."""
        first, second = _created(bench), _created(bench)
        assert first.token_id != second.token_id
        assert first.token != second.token

    def test_new_token_is_proven(self, bench: IssuerBench) -> None:
        """A new token works; a revoked one does not."""
        minted = _created(bench)
        works = bench.issuer.prove(minted.token, minted.token_id)
        assert works, "a new token is refused"
        bench.issuer.revoke(_found(bench, minted))
        works = bench.issuer.prove(minted.token, minted.token_id)
        assert not works, "a revoked token still works"

    def test_wrong_string_is_refused_where_use_proves(self, bench: IssuerBench) -> None:
        """An issuer that proves by use refuses a wrong string; one that proves by the list does not look at it."""
        minted = _created(bench)
        proves_by_use = bench.issuer.list().proves_by_use
        works = bench.issuer.prove(bench.wrong_token, minted.token_id)
        assert works is not proves_by_use

    def test_unknown_id_is_not_proven(self, bench: IssuerBench) -> None:
        """A token that nobody issued does not count as proven."""
        _created(bench)
        works = bench.issuer.prove(bench.wrong_token, _UNKNOWN_ID)
        assert not works, "a token that nobody issued works"

    def test_revoked_tokens_stay_listed_or_go(self, bench: IssuerBench) -> None:
        """After a revocation the token is not live any more, and revoking it again is a success."""
        minted = _created(bench)
        listed = _found(bench, minted)
        bench.issuer.revoke(listed)
        bench.issuer.revoke(listed)
        after, now = _listed(bench, minted), bench.clock.now()
        is_live = after is not None and after.is_live(now)
        assert not is_live, f"a revoked token is listed live: {after}"

    def test_foreign_tokens_are_listed_without_our_mark(self, bench: IssuerBench) -> None:
        """Other people's tokens are listed, expiring or not, and carry no mark."""
        add = needed(bench.add_foreign, "add_foreign")
        ids = {add("somebody's", None), add("", bench.clock.now() + TTL)}
        foreign = {token.token_id: token for token in bench.issuer.list().tokens if token.token_id in ids}
        assert foreign.keys() == ids
        assert [token.mark for token in foreign.values()] == [None, None]
        assert {token.expires_at is None for token in foreign.values()} == {True, False}

    def test_lost_answer_of_create_is_unknown(self, bench: IssuerBench) -> None:
        """A create that took effect without an answer says that nobody knows, and its token is listed once."""
        needed(bench.lose_next_answer, "lose_next_answer")()
        wanted = _wanted(bench)
        with pytest.raises(OutcomeUnknownError):
            bench.issuer.create(wanted)
        marks = [token.mark for token in bench.issuer.list().tokens if token.mark == wanted.mark]
        assert marks == [wanted.mark]

    def test_list_without_answer_is_unavailable(self, bench: IssuerBench) -> None:
        """A list that fails says so instead of being empty, and the next one works."""
        minted = _created(bench)
        needed(bench.fail_next_list, "fail_next_list")()
        with pytest.raises(IssuerUnavailableError):
            bench.issuer.list()
        _found(bench, minted)

    def test_permissions_are_listed(self, bench: IssuerBench) -> None:
        """A token may do what was asked for; where every token may do the same, the list says nothing of it."""
        listed = _found(bench, _created(bench))
        assert listed.permissions == (bench.permissions or None)

    def test_permissions_are_amended_in_place(self, bench: IssuerBench) -> None:
        """An issuer that can change what a live token may do says so on its list, does it, and keeps the token."""
        minted = _created(bench)
        amends = bench.issuer.list().amends_permissions
        assert amends is (bench.other_permissions is not None), "what the list says is not what the bench says"
        if bench.other_permissions is None:
            return
        before = _found(bench, minted)
        bench.issuer.amend(before, bench.other_permissions)
        bench.issuer.amend(before, bench.other_permissions)
        after = _found(bench, minted)
        works = bench.issuer.prove(minted.token, minted.token_id)
        assert after == replace(before, permissions=bench.other_permissions)
        assert works, "a token whose permissions were changed does not work any more"

    def test_permissions_of_no_token_cannot_be_amended(self, bench: IssuerBench) -> None:
        """To change what a token may do that is not there is no success."""
        listed = _found(bench, _created(bench))
        with pytest.raises(IssuerRefusedError):
            bench.issuer.amend(replace(listed, token_id=_UNKNOWN_ID), bench.other_permissions or frozenset())

    def test_credential_is_accepted_while_it_lives(self, bench: IssuerBench) -> None:
        """A live token that could take the place of the issuer's own is accepted, nothing else is; nothing changes."""
        credential = needed(bench.make_credential, "make_credential")()
        before = bench.issuer.list().tokens
        accepted, wrong_accepted = bench.issuer.accepts(credential), bench.issuer.accepts(bench.wrong_token)
        after = bench.issuer.list().tokens
        assert accepted, "a live token with the issuer's own rights is not accepted"
        assert not wrong_accepted, "a token that nobody issued is accepted"
        assert after == before

    def test_several_threads_at_once(self, bench: IssuerBench) -> None:
        """What several threads create at once is each its own token, and listed."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            ids = {minted.token_id for minted in pool.map(lambda _: _created(bench), range(_AT_ONCE))}
        assert len(ids) == _AT_ONCE
        listed = {token.token_id for token in bench.issuer.list().tokens}
        assert ids <= listed

    def test_no_token_in_what_is_shown(self, bench: IssuerBench) -> None:
        """Neither what create gives nor the issuer itself shows a token string, however it is printed."""
        minted = _created(bench)
        shown = f"{minted!r} {minted} {bench.issuer.list()!r} {bench.issuer!r} {bench.issuer}"
        is_shown = minted.token.reveal() in shown
        del shown  # or a report with local variables would show it
        assert not is_shown, "the token's string is shown"


def _created(bench: IssuerBench) -> MintedToken:
    return bench.issuer.create(_wanted(bench))


def _wanted(bench: IssuerBench) -> CreateRequest:
    return a_request(bench.clock, bench.permissions)


def _listed(bench: IssuerBench, minted: MintedToken) -> IssuedToken | None:
    return bench.issuer.list().find(minted.token_id)


def _found(bench: IssuerBench, minted: MintedToken) -> IssuedToken:
    """Give a token as it is listed, which it must be."""
    listed = _listed(bench, minted)
    assert listed is not None, f"the token {minted.token_id} is not listed"
    return listed
