"""The record as a JSON document: what is written is read back, what is not ours stays foreign, no value leaks."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.domain.asking import asking
from provisioner.domain.mark import Owner
from provisioner.domain.model import Absent, Asking, Damaged, Foreign, Record, Reservation
from provisioner.domain.record import RECORD_FIELDS, read_document, to_document
from provisioner.domain.secret import SecretText
from tests.unit.domain.builders import (
    CURRENT,
    EXPIRES_AT,
    HOUR,
    INSTANT,
    ISSUED_AT,
    OWNER,
    PRIMARY,
    STORED_AT,
    a_destination,
    a_record,
    rotation_of,
    secret_of,
)

NEEDED = ("token_id", "issued_at", "expires_at", "rotation_id", "issuer")
MAPPED = a_destination(fields={"token": "INFLUX_TOKEN", "owner": "MANAGED_BY", "expires_at": "INFLUX_TOKEN_EXPIRES"})

moments = st.timedeltas(timedelta(0), timedelta(days=300_000)).map(
    lambda since: datetime(2000, 1, 1, tzinfo=UTC) + since
)
words = st.text(min_size=1)
records = st.builds(
    Record,
    token=st.builds(SecretText, words),
    token_id=words,
    issued_at=moments,
    expires_at=moments,
    rotation_id=st.uuids().map(str),
    owner=st.just(OWNER),
    issuer=words,
    stored_at=moments,
    request_id=st.none() | words,
    past_requests=st.lists(words).map(tuple),
    compromised=st.booleans(),
    asked=st.builds(asking, by=st.none() | words, via=st.none() | words, at=st.none() | moments, reason=words),
).map(lambda record: record if record.request_id else replace(record, asked=None))
mappings = st.dictionaries(st.sampled_from(RECORD_FIELDS), st.uuids().map(lambda uid: f"FIELD_{uid}"))
extras = st.dictionaries(st.uuids().map(lambda uid: f"extra-{uid}"), st.text())
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
odd_moments = st.sampled_from(
    ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "2026-03-01", "20260301T000000Z", "never", "24:00"]
)


def document(**changes: object) -> dict[str, object]:
    """Give the default record's document, with changes; a field set to None is left out."""
    whole = to_document(a_record(), OWNER, PRIMARY) | changes
    return {name: value for name, value in whole.items() if value is not None}


# --- what is written --------------------------------------------------------------------------------


def test_a_record_is_spelled_as_the_protocol_says() -> None:
    """One flat JSON object with the fields of the protocol under their own names."""
    assert to_document(a_record(), OWNER, PRIMARY) == {
        "token": secret_of(CURRENT),
        "token_id": CURRENT,
        "issued_at": "2026-02-28T12:00:00Z",
        "expires_at": "2026-03-30T12:00:00Z",
        "rotation_id": rotation_of(CURRENT),
        "owner": "provisioner/prod-eu/telegraf-admin",
        "issuer": "cluster-a",
        "stored_at": "2026-02-28T12:01:00Z",
    }


def test_what_a_manual_trigger_adds_is_spelled_too() -> None:
    """A request, the ones before it, and a compromised predecessor each have their field, only where there are any."""
    asked = Asking(by="alice", via="http", at=ISSUED_AT, reason="change 4711")
    record = a_record(request_id="r2", past_requests=("r1", "r0"), compromised=True, asked=asked)
    written = to_document(record, OWNER, PRIMARY)
    added = {name: value for name, value in written.items() if name not in to_document(a_record(), OWNER, PRIMARY)}
    assert added == {
        "request_id": "r2",
        "requested_by": "alice",
        "requested_via": "http",
        "requested_at": "2026-02-28T12:00:00Z",
        "request_reason": "change 4711",
        "past_requests": ["r1", "r0"],
        "compromised": True,
    }


def test_a_reservation_is_our_owner_and_nothing_else() -> None:
    """A reservation holds no token, nor anything that could be mistaken for one."""
    place = a_destination(extra={"url": "https://cluster-host"})
    assert to_document(Reservation(), OWNER, place) == {"owner": str(OWNER)}
    assert to_document(Reservation(), OWNER, MAPPED) == {"MANAGED_BY": str(OWNER)}


def test_mapped_and_static_fields_are_what_consumers_asked_for() -> None:
    """A mapped field stands under its consumers' name alone, static ones beside it."""
    place = replace(MAPPED, extra={"url": "https://cluster-host"})
    written = to_document(a_record(), OWNER, place)
    assert written["INFLUX_TOKEN"] == secret_of(CURRENT)
    assert written["url"] == "https://cluster-host"
    assert "token" not in written
    assert "owner" not in written


def test_a_static_field_never_hides_one_of_ours() -> None:
    """Should both have one name, what consumers need wins."""
    place = a_destination(extra={"token": "static", "note": "kept"})
    written = to_document(a_record(), OWNER, place)
    assert written["token"] == secret_of(CURRENT)
    assert written["note"] == "kept"


# --- what is read back ------------------------------------------------------------------------------


@given(record=records, fields=mappings, extra=extras)
def test_what_was_written_is_read_back(record: Record, fields: Mapping[str, str], extra: Mapping[str, str]) -> None:
    """Any record, however mapped and with whatever beside it, survives JSON and is faithful."""
    place = a_destination(fields=fields, extra=extra)
    written = json.loads(json.dumps(to_document(record, OWNER, place)))
    assert read_document(written, OWNER, place) == (record, True)


@given(fields=mappings, extra=extras)
def test_a_reservation_is_read_back(fields: Mapping[str, str], extra: Mapping[str, str]) -> None:
    """A reservation is read as one, and needs no rewriting."""
    place = a_destination(fields=fields, extra=extra)
    assert read_document(to_document(Reservation(), OWNER, place), OWNER, place) == (Reservation(), True)


def test_no_document_is_no_secret() -> None:
    """Where the store holds nothing, or the newest version is deleted, nothing is there."""
    assert read_document(None, OWNER, PRIMARY) == (Absent(), True)


@given(record=records, fields=mappings, extra=extras)
def test_a_mapping_added_later_loses_no_token(
    record: Record, fields: Mapping[str, str], extra: Mapping[str, str]
) -> None:
    """A record written under our own names is read when a mapping was configured since, and is to be rewritten."""
    later = a_destination(fields=fields, extra=extra)
    written = to_document(record, OWNER, PRIMARY)
    content, faithful = read_document(written, OWNER, later)
    assert content == record
    assert faithful == (to_document(record, OWNER, later) == written)


@pytest.mark.parametrize("fields", [{"token": "token_id", "token_id": "id"}, {"token": "issuer", "issuer": "source"}])
def test_a_mapping_onto_the_name_of_another_field_mistakes_nothing_for_the_token(fields: dict[str, str]) -> None:
    """Added later, it must not read the old record's other field as the token: the rewrite would lose the token."""
    content, _ = read_document(document(), OWNER, a_destination(fields=fields))
    assert not isinstance(content, Record) or content.token == SecretText(secret_of(CURRENT))


def test_a_mapping_taken_away_or_renamed_never_invents_a_record() -> None:
    """A token under a name that is configured no more is not found: not a whole record, and not somebody else's."""
    written = to_document(a_record(), OWNER, a_destination(fields={"token": "OLD_NAME"}))
    for place in (PRIMARY, a_destination(fields={"token": "NEW_NAME"})):
        content, _ = read_document(written, OWNER, place)
        assert isinstance(content, Damaged | Reservation)


def test_an_owner_under_a_name_that_is_configured_no_more_is_foreign() -> None:
    """Where our owner is not found, nothing is ours: it is refused rather than overwritten."""
    written = to_document(a_record(), OWNER, a_destination(fields={"owner": "OLD_NAME"}))
    content, _ = read_document(written, OWNER, PRIMARY)
    assert isinstance(content, Foreign)


@pytest.mark.parametrize(
    ("changes", "extra"),
    [
        ({"added": "by hand"}, {}),
        ({}, {"url": "https://cluster-host"}),
        ({"url": "https://old-host"}, {"url": "https://cluster-host"}),
        ({"stored_at": None}, {}),
        ({"expires_at": "2026-03-30T13:00:00+01:00"}, {}),
        ({"compromised": False}, {}),
    ],
)
def test_another_spelling_of_the_same_record_is_not_faithful(changes: dict[str, object], extra: dict[str, str]) -> None:
    """What differs from what we would write is still the record, and asks for a rewrite."""
    place = a_destination(extra=extra)
    content, faithful = read_document(document(**changes), OWNER, place)
    assert isinstance(content, Record)
    assert content.token_id == CURRENT
    assert not faithful


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("2026-02-28T12:00:00Z", ISSUED_AT),
        ("2026-02-28T13:00:00+01:00", ISSUED_AT),
        ("2026-02-28T12:00:00", ISSUED_AT),
        ("2026-02-28T12:00:00.000001Z", ISSUED_AT + INSTANT),
    ],
)
def test_times_are_read_as_utc(written: str, read: datetime) -> None:
    """Any offset is brought to UTC, and a time without one counts as UTC."""
    content, _ = read_document(document(issued_at=written), OWNER, PRIMARY)
    assert isinstance(content, Record)
    assert content.issued_at == read
    assert content.issued_at.utcoffset() == timedelta(0)


def test_a_time_is_written_in_utc_whatever_zone_it_came_in() -> None:
    """A record whose times carry another offset is spelled in UTC."""
    written = to_document(a_record(issued_at=ISSUED_AT.astimezone(timezone(HOUR))), OWNER, PRIMARY)
    assert written["issued_at"] == "2026-02-28T12:00:00Z"


def test_without_a_storing_time_the_issuing_time_stands_in() -> None:
    """A record without a readable and sane storing time counts as stored when it was issued."""
    for stored_at in ("lately", "9999-12-31T23:59:59Z"):
        content, faithful = read_document(document(stored_at=stored_at), OWNER, PRIMARY)
        assert content == a_record(stored_at=ISSUED_AT)
        assert not faithful


def test_only_a_true_compromised_counts() -> None:
    """Zero overlap is never concluded from a text or a number."""
    odds: tuple[object, ...] = ("true", 1, "false", [], {})
    for odd in odds:
        content, _ = read_document(document(compromised=odd), OWNER, PRIMARY)
        assert content == a_record()


# --- what is not whole, or not ours -----------------------------------------------------------------


@pytest.mark.parametrize("bad", [None, "", 7, [], {}, True])
@pytest.mark.parametrize("name", NEEDED)
def test_a_record_without_a_field_that_we_need_is_damaged(name: str, bad: object) -> None:
    """A missing, empty or mistyped field is named."""
    content, faithful = read_document(document(**{name: bad}), OWNER, PRIMARY)
    assert isinstance(content, Damaged)
    assert content.defects == (name,)
    assert not faithful


@pytest.mark.parametrize("name", ["issued_at", "expires_at"])
@pytest.mark.parametrize(
    "bad",
    [
        "soon",
        "2026-13-01T00:00:00Z",
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59-23:59",
        "9999-12-31T23:59:59Z",
        "0001-01-01T00:00:00Z",
    ],
)
def test_a_time_that_cannot_be_read_is_a_defect(name: str, bad: str) -> None:
    """A time that is none, or that has no place in UTC, is named as a defect."""
    content, _ = read_document(document(**{name: bad}), OWNER, PRIMARY)
    assert isinstance(content, Damaged)
    assert content.defects == (name,)


def test_all_defects_are_named_at_once() -> None:
    """An operator mends everything in one go."""
    content, _ = read_document(document(**dict.fromkeys(NEEDED)), OWNER, PRIMARY)
    assert isinstance(content, Damaged)
    assert set(content.defects) == set(NEEDED)


@pytest.mark.parametrize(
    "changes",
    [
        {"owner": None},
        {"owner": ""},
        {"owner": "somebody"},
        {"owner": 7},
        {"owner": [str(OWNER)]},
        {"owner": f"{OWNER} "},
        {"owner": str(OWNER).upper()},
        {"owner": str(Owner("prod-us", OWNER.name))},
        {"owner": str(Owner(OWNER.instance, "other"))},
        {"owner": f"{OWNER}-2"},
    ],
)
def test_a_secret_without_exactly_our_owner_is_foreign(changes: dict[str, object]) -> None:
    """No owner, a mistyped one, another instance or another name: not ours, however much it looks like a record."""
    content, _ = read_document(document(**changes), OWNER, PRIMARY)
    assert isinstance(content, Foreign)


def test_another_owner_of_this_software_is_named() -> None:
    """Two configurations on one path is what an operator has to see."""
    other = str(Owner("prod-us", OWNER.name))
    content, _ = read_document(document(owner=other), OWNER, PRIMARY)
    assert isinstance(content, Foreign)
    assert other in content.why


@pytest.mark.parametrize("token", [None, ""])
def test_our_owner_without_a_token_is_a_reservation(token: object) -> None:
    """A record with our owner and no token reads as no secret."""
    content, _ = read_document({"owner": str(OWNER), "token": token}, OWNER, PRIMARY)
    assert content == Reservation()


@given(
    values=st.dictionaries(st.sampled_from(RECORD_FIELDS) | st.text(), json_values | odd_moments),
    ours=st.booleans(),
    fields=mappings,
)
def test_no_document_is_too_odd_to_be_read(values: dict[str, object], ours: bool, fields: dict[str, str]) -> None:  # noqa: FBT001  # drawn
    """Whatever JSON object a store holds, reading it gives a content and never fails."""
    whole = values | ({"owner": str(OWNER), "token": secret_of("x")} if ours else {})
    content, _ = read_document(whole, OWNER, a_destination(fields=fields))
    assert ours or not isinstance(content, Record) or values.get("owner") == str(OWNER)


@pytest.mark.parametrize("name", RECORD_FIELDS)
def test_no_value_is_in_what_is_said_of_a_document(name: str) -> None:
    """Neither the token nor what stands in a wrong field appears in any content but the record itself."""
    for changes in ({name: "hvs.oops-a-secret"}, {name: ["hvs.oops-a-secret"]}, {name: None}):
        content, _ = read_document(document(**changes), OWNER, PRIMARY)
        assert secret_of(CURRENT) not in repr(content)
        if not isinstance(content, Record):
            assert "oops" not in repr(content)


def test_a_record_keeps_its_own_end() -> None:
    """The defaults of these tests are themselves what the document says."""
    content, _ = read_document(document(), OWNER, PRIMARY)
    assert isinstance(content, Record)
    assert (content.expires_at, content.stored_at) == (EXPIRES_AT, STORED_AT)
