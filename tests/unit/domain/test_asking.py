"""Who asked, when and why, as a record keeps it: short, without secrets, and the same when it is read again."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.domain.asking import LONGEST_BY, LONGEST_REASON, asking, asking_of
from provisioner.domain.mark import Owner
from provisioner.domain.model import Asking, Destination, Format, Trigger
from provisioner.domain.raw import read_raw
from provisioner.domain.record import read_document, to_document
from provisioner.domain.scrub import scrub
from provisioner.domain.slots import requests_kept, slot_of
from provisioner.domain.spelling import escaped
from provisioner.domain.status import LastRequest, later_request
from tests.builders import NOW, a_record, uid
from tests.unit.domain.builders import OWNER, PRIMARY
from tests.unit.domain.builders import a_record as a_whole_record

RAW = Destination(store="aws", path="p", format=Format.RAW)
SECRETS = ("M.V1.c3VwZXItc2VjcmV0", "apiv3_8f2c1e0d", "hvs.CAESIJx0J7y1kqv9aaaaaaaa", "token M.V1.a|bcdefghijklmnop")
texts = st.text(max_size=400) | st.builds("{}{}{}".format, st.text(max_size=5), st.sampled_from(SECRETS), st.text())


@given(texts, texts, texts)
def test_what_is_kept_is_short_and_stays_as_it_is(by: str, via: str, reason: str) -> None:
    """Kept again, as on reading, it is the same; nothing in it looks like a secret; its spelling has its bounds."""
    kept = asking(by=by, via=via, at=NOW, reason=reason)
    assert kept is not None
    assert asking(by=kept.by, via=kept.via, at=kept.at, reason=kept.reason) == kept
    for text, longest in ((kept.by, LONGEST_BY), (kept.reason, LONGEST_REASON)):
        assert text is None or scrub(text) == text
        assert len(escaped(text or "")) <= longest


@pytest.mark.parametrize("secret", SECRETS[:3])
def test_a_secret_in_it_is_taken_out(secret: str) -> None:
    """Whatever way somebody put it there."""
    kept = asking_of(Trigger(request_id="r", reason=f"leaked: {secret} in chat", by=secret, via=secret))
    assert kept is not None
    assert (kept.by, kept.via, kept.reason) == ("[redacted]", "[redacted]", "leaked: [redacted] in chat")


def test_a_long_reason_is_cut_where_it_has_no_room_any_more() -> None:
    """At the end, with a sign of it; letters that are spelled longer leave room for fewer."""
    plain, accents = (asking(by=None, via=None, at=None, reason=letter * 500) for letter in "xü")
    assert plain is not None
    assert accents is not None
    assert plain.reason == "x" * 291 + "…"
    assert accents.reason == "ü" * 48 + "…"


def test_nothing_known_is_nothing_kept() -> None:
    """A wish of which nobody said anything adds nothing to the record."""
    assert asking_of(Trigger(request_id="r")) is None
    assert asking(by=" ", via="", at=None, reason="\x00") is None


@pytest.mark.parametrize(
    ("request_id", "before", "kept"),
    [(uid(1), uid(2), 16), ("r" * 200, uid(2), 16), ("r" * 200, "r" * 200, 3), ("/" * 200, "/" * 50, 2)],
)
def test_the_longest_of_everything_has_room_beside_a_bare_token(request_id: str, before: str, kept: int) -> None:
    """The smaller store's nine parts hold it, with the sixteen requests before it as we make them."""
    asked = asking(by="ü" * 300, via="x" * 300, at=NOW + timedelta(microseconds=1), reason="ü" * 300)
    past = requests_kept([before] * 20, asked, request_id)
    assert len(past) == kept
    record = a_record(
        asked=asked,
        owner=Owner("i" * 63, "n" * 63),
        request_id=request_id,
        past_requests=past,
        issuer="i" * 63,
        token_id="t" * 64,
        predecessors=tuple(map(uid, range(4))),
        compromised=True,
        permissions_digest="0" * 16,
    )
    slot = slot_of(record, RAW, longest=256)
    assert read_raw(record.token.reveal(), slot, record.owner, RAW) == (record, True)
    assert len(requests_kept(["x" * 90] * 20)) >= len(requests_kept(["x" * 90] * 20, asked, request_id))


def test_a_record_of_an_older_release_is_whole_and_is_not_written_again() -> None:
    """Without the fields it is just as we would write it."""
    old = to_document(a_whole_record(request_id="r"), OWNER, PRIMARY)
    assert not [name for name in old if name.startswith("request") and name != "request_id"]
    content, faithful = read_document(old, OWNER, PRIMARY)
    assert (content, faithful) == (a_whole_record(request_id="r"), True)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("requested_by", ["alice"]),
        ("requested_by", "alice\x1b[2J" + "e" * 200),
        ("requested_at", "yesterday"),
        ("request_reason", SECRETS[0]),
    ],
)
def test_what_somebody_wrote_there_by_hand_is_put_right(field: str, value: object) -> None:
    """The record stays whole; it is not as we would write it, and so is written again, once."""
    whole = a_whole_record(request_id="r", asked=Asking(by="alice", via="http", at=NOW, reason="why"))
    content, faithful = read_document(to_document(whole, OWNER, PRIMARY) | {field: value}, OWNER, PRIMARY)
    assert (type(content), faithful) == (type(whole), False)
    assert read_document(to_document(content, OWNER, PRIMARY), OWNER, PRIMARY) == (content, True)  # type: ignore[arg-type]  # as asserted


RECORDED = LastRequest(
    request_id="r", compromised=False, stored_at=NOW, asked_at=NOW, by="alice", via="http", reason="w…"
)


@pytest.mark.parametrize(
    ("recorded", "remembered", "shown"),
    [
        (
            RECORDED,
            replace(RECORDED, stored_at=None, reason="words at length"),
            replace(RECORDED, reason="words at length"),
        ),
        (RECORDED, replace(RECORDED, asked_at=NOW + timedelta(hours=1), by="bob", via="socket"), RECORDED),
        (
            LastRequest(request_id="r", compromised=False, stored_at=NOW),
            replace(RECORDED, stored_at=None),
            RECORDED,
        ),
        (
            RECORDED,
            replace(RECORDED, request_id="later", asked_at=NOW + timedelta(hours=1), stored_at=None),
            replace(RECORDED, request_id="later", asked_at=NOW + timedelta(hours=1), stored_at=None),
        ),
        (RECORDED, replace(RECORDED, request_id="earlier", asked_at=NOW - timedelta(hours=1)), RECORDED),
    ],
)
def test_who_is_shown(recorded: LastRequest, remembered: LastRequest, shown: LastRequest) -> None:
    """Of one request who was first, in their own words where these are remembered; of two the later."""
    assert later_request(recorded, remembered) == shown
