"""The slot beside a bare token: it comes back as it was put, fits its token alone, and takes any garbage."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.domain.asking import asking
from provisioner.domain.errors import StoreRefusedError
from provisioner.domain.mark import OWNER_TAG
from provisioner.domain.model import Damaged, Destination, Foreign, Format, Record
from provisioner.domain.raw import read_raw
from provisioner.domain.secret import SecretText
from provisioner.domain.slots import MOST_PARTS, is_slot_key, requests_kept, slot_of, slots_in
from tests.builders import OWNER, a_record, uid

PLACE = Destination(store="aws", path="p", format=Format.RAW)
AWS_TEXT = re.compile(r"[A-Za-z0-9 _.:/=+@-]{1,256}")

moments = st.timedeltas(timedelta(0), timedelta(days=300_000)).map(
    lambda since: datetime(2000, 1, 1, tzinfo=UTC) + since
)
words = st.text(min_size=1, max_size=20)
records = st.builds(
    Record,
    token=st.builds(SecretText, words),
    token_id=words,
    issued_at=moments,
    expires_at=moments,
    rotation_id=st.uuids().map(str) | words,
    owner=st.just(OWNER),
    issuer=words,
    stored_at=moments,
    request_id=st.none() | words,
    past_requests=st.lists(words, max_size=5).map(tuple),
    compromised=st.booleans(),
    predecessors=st.lists(words, max_size=3).map(tuple),
    asked=st.builds(asking, by=st.none() | words, via=st.none() | words, at=st.none() | moments, reason=words),
).map(lambda record: record if record.request_id else replace(record, asked=None))
lengths = st.sampled_from([256, 512])


@given(records, lengths)
def test_what_is_put_is_read(record: Record, longest: int) -> None:
    """Every record comes back from its token and its slot, whatever texts are in it."""
    slot = slot_of(record, PLACE, longest=longest)
    assert read_raw(record.token.reveal(), slot, OWNER, PLACE) == (record, True)


@given(records, lengths)
def test_limits_of_both_stores(record: Record, longest: int) -> None:
    """Keys and values are such as both stores take, few enough, and none holds the token."""
    record = replace(record, token=SecretText("apiv3_" + "s3cr3t" * 8))
    slot = slot_of(record, PLACE, longest=longest)
    assert len(slot) <= MOST_PARTS
    for key, value in slot.items():
        assert is_slot_key(key)
        assert len(key) <= 128
        assert 0 < len(value) <= longest
        assert all(AWS_TEXT.fullmatch(part) for part in (key, value[:256]))
    assert record.token.reveal() not in "".join(slot.values())


@given(records, records, st.dictionaries(words, words))
def test_other_slots_and_keys_do_not_matter(one: Record, other: Record, foreign: dict[str, str]) -> None:
    """Among the slot of another token and other people's keys, each token finds its own."""
    one = replace(one, token=SecretText("one"), rotation_id=uid(1))
    other = replace(other, token=SecretText("other"), rotation_id=uid(2))
    beside = foreign | slot_of(one, PLACE, longest=256) | slot_of(other, PLACE, longest=256)
    assert read_raw("one", beside, OWNER, PLACE) == (one, True)
    assert read_raw("other", beside, OWNER, PLACE) == (other, True)


@given(
    st.dictionaries(
        st.sampled_from([f"token-provisioner/{uid(number)}/{part}" for number in (1, 2) for part in range(3)]) | words,
        st.text(max_size=30)
        | st.builds("parts={}+sha256={}+{}".format, st.integers(0, 10), st.just("0" * 64), st.text(max_size=40)),
    ),
    words,
)
def test_garbage_never_raises(beside: dict[str, str], token: str) -> None:
    """Whatever stands there, it is foreign; with our tag beside it, it is damaged, and never a record."""
    assert isinstance(read_raw(token, beside, OWNER, PLACE)[0], Foreign)
    assert isinstance(read_raw(token, beside | {OWNER_TAG: str(OWNER)}, OWNER, PLACE)[0], Damaged)
    assert all(slot.keys for slot in slots_in(beside))


@given(records, st.data())
def test_lost_parts_make_it_damaged_or_foreign(record: Record, data: st.DataObject) -> None:
    """With any part gone it never reads as another record; the rotation is known while the first part is there."""
    record = replace(record, rotation_id=uid(1), request_id="r" * 300)
    slot = slot_of(record, PLACE, longest=256)
    lost = data.draw(st.sampled_from(sorted(slot)))
    beside = {key: value for key, value in slot.items() if key != lost} | {OWNER_TAG: str(OWNER)}
    content, faithful = read_raw(record.token.reveal(), beside, OWNER, PLACE)
    assert not faithful
    if isinstance(content, Damaged):
        assert content.rotation_id == (None if lost.endswith("/0") else uid(1))
    else:
        assert isinstance(content, Record)
        assert (content.token_id, content.rotation_id, content.expires_at) == (
            record.token_id,
            record.rotation_id,
            record.expires_at,
        )


def test_edited_token_fits_no_slot() -> None:
    """A string that somebody edited is nobody's: nothing of the slot is believed of it."""
    beside = slot_of(a_record(), PLACE, longest=256) | {OWNER_TAG: str(OWNER)}
    content, faithful = read_raw("edited", beside, OWNER, PLACE)
    assert isinstance(content, Damaged)
    assert (content.token_id, content.rotation_id, faithful) == (None, None, False)


def test_whose_it_is() -> None:
    """Without our tag and without a slot it is foreign; another owner's tag says so, unless it is to be adopted."""
    slot = slot_of(a_record(), PLACE, longest=256)
    token = a_record().token.reveal()
    assert isinstance(read_raw("anything", slot, OWNER, PLACE)[0], Foreign)
    theirs = slot | {OWNER_TAG: "provisioner/other/x"}
    content, _ = read_raw(token, theirs, OWNER, PLACE)
    assert isinstance(content, Foreign)
    assert "provisioner/other/x" in content.why
    assert read_raw(token, theirs, OWNER, replace(PLACE, adopt=True))[0] == a_record()


def test_no_room_is_said() -> None:
    """Fields that have no room are refused by name, with the remedy."""
    with pytest.raises(StoreRefusedError, match=r"aws:p has no room .* use shorter request ids"):
        slot_of(a_record(request_id="x" * 3000), PLACE, longest=256)


@given(st.lists(st.text(max_size=400), max_size=40))
def test_requests_that_are_remembered_always_have_room(requests: list[str]) -> None:
    """The newest are kept, sixteen at most, and as many as have room beside long names."""
    kept = requests_kept(requests)
    assert kept == tuple(requests[: len(kept)])
    assert len(kept) <= 16
    record = a_record(past_requests=kept, issuer="i" * 63, token_id="t" * 64, predecessors=tuple(map(uid, range(4))))
    assert slot_of(record, PLACE, longest=256)


def test_usual_requests_are_all_remembered() -> None:
    """Sixteen request ids as we make them are kept."""
    assert requests_kept(uid(number) for number in range(20)) == tuple(map(uid, range(16)))


def test_long_requests_are_forgotten_sooner() -> None:
    """Of request ids that are long as they are spelled, as many are kept as have room."""
    kept = requests_kept(["ü" * 100] * 16)
    assert len(kept) == 1
    assert slot_of(a_record(past_requests=kept), PLACE, longest=256)
