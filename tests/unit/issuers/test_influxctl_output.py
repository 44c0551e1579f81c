"""What influxctl prints, in every style seen or likely, and what must never be taken for an answer."""

import json
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.issuers.influxctl_output import parse_create, parse_list
from provisioner.issuers.json_times import parse_time
from provisioner.issuers.token_json import UnreadableOutputError

ID = "8c1f2f0e-4d5a-4c11-9d3e-2f5f1c7b9a10"
OTHER_ID = "8c1f2f0e-4d5a-4c11-9d3e-2f5f1c7b9a11"
SECRET = "M.V1.+5JkAb1/" + "Zz9+" * 14
ODD_SECRET = "Qx7-" * 12
CREATED, EXPIRES = datetime(2024, 3, 12, 19, 58, 47, 622095, UTC), datetime(2024, 6, 27, 12, 34, 56, tzinfo=UTC)
ENTRY: dict[str, Any] = {
    "id": ID,
    "account_id": "11111111-1111-1111-1111-111111111111",
    "token_prefix": "M.V1.+5Jk",
    "description": "Telegraf [provisioner/prod/telegraf 00000000-0000-4000-8000-000000000001]",
    "created_by": "11111111-1111-1111-1111-111111111111",
    "created_at": {"seconds": 1710273527, "nanos": 622095000},
    "expires_at": {"seconds": 1719491696},
}
CAMEL = {
    "id": ID,
    "tokenPrefix": "M.V1.+5Jk",
    "description": ENTRY["description"],
    "createdAt": "2024-03-12T19:58:47.622095Z",
    "expiresAt": "2024-06-27T12:34:56Z",
}
WARN = (
    "warn\tplease copy the token and store it in a safe place\nwarn\tthis is the *only time* you will see the token\n"
)
BOX = f"""\
+--------------+--------------------------------------------+
|           id | {ID}       |
|  description | {ENTRY["description"]} |
|   expires at | 2024-06-27T12:34:56Z                       |
|   revoked at |                                            |
+--------------+--------------------------------------------+
"""


def pretty(document: object) -> str:
    """Print as influxctl does."""
    return json.dumps(document, indent=2) + "\n"


def compact(document: object) -> str:
    """Print on one line, without blanks."""
    return json.dumps(document, separators=(",", ":"))


def with_secret(key: str = "token", **changes: object) -> dict[str, Any]:
    """Give the created object with its string under a key."""
    return {**ENTRY, key: SECRET, **changes}


CREATED_STYLES = {
    "bare": pretty(with_secret()),
    "compact": compact(with_secret()),
    "one-element array": pretty([with_secret()]),
    "wrapped": pretty({"token": with_secret("access_token")}),
    "wrapped in a list": pretty({"management_tokens": [with_secret()]}),
    "details beside the string": pretty({"token": SECRET, "details": ENTRY}),
    "string inside, details outside": pretty({**ENTRY, "data": {"secret": SECRET}}),
    "under a key nobody knows": pretty({"result": {"managementToken": ENTRY, "x": {"theOneTime": SECRET}}}),
    "camelCase": pretty({**CAMEL, "accessToken": SECRET}),
    "kebab-case": pretty({**CAMEL, "management-token": SECRET}),
    "nanoseconds": pretty({**CAMEL, "createdAt": "2024-03-12T19:58:47.622095999Z", "secret": SECRET}),
    "times with an offset": pretty({**CAMEL, "createdAt": "2024-03-12T20:58:47.622095+01:00", "token": SECRET}),
    "seconds as text": pretty({**with_secret(), "expires_at": {"Seconds": "1719491696", "Nanos": 0}}),
    "warn lines before": WARN + pretty(with_secret()),
    "warn lines after": pretty(with_secret()) + WARN,
    "a bracketed log line before": "[warn] a newer version is available\n" + pretty(with_secret()),
    "byte order mark and colours": "\ufeff\x1b[33mwarn\x1b[0m\tcopy it\n" + pretty(with_secret()),
    "the string twice": pretty({**with_secret(), "value": SECRET}),
    "2.11's box": BOX + WARN + SECRET + "\n",
    "2.11's box, warn lines elsewhere": BOX + SECRET,
}


@pytest.mark.parametrize("output", CREATED_STYLES.values(), ids=CREATED_STYLES)
def test_create_is_read_in_every_style(output: str) -> None:
    """Whatever the style, the string, the id, the description and the expiry are found."""
    parsed = parse_create(output)
    assert parsed.secret is not None
    assert parsed.secret.reveal() == SECRET
    assert (parsed.token_id, parsed.description, parsed.expires_at) == (ID, ENTRY["description"], EXPIRES)
    assert parsed.created_at in {CREATED, None}
    assert parsed.revoked_at is None


@pytest.mark.parametrize(
    ("entry", "secret"),
    [
        pytest.param({"id": ID, "token": ODD_SECRET}, ODD_SECRET, id="another shape, long enough"),
        pytest.param({"id": ID, "token_prefix": "abc", "token": "abcdef"}, "abcdef", id="short, with its prefix"),
        pytest.param({"id": ID, "key": "a name", "token": SECRET}, SECRET, id="a known shape wins"),
        pytest.param({"token": SECRET}, SECRET, id="nothing but the string"),
    ],
)
def test_string_of_another_shape_is_found(entry: dict[str, object], secret: str) -> None:
    """The shape of today's tokens is not relied on."""
    parsed = parse_create(pretty(entry))
    assert parsed.secret is not None
    assert parsed.secret.reveal() == secret


def test_bare_string_of_old_versions_is_read() -> None:
    """Before 2.11 the string stood alone after the warn lines, without an id."""
    parsed = parse_create(WARN + SECRET + "\n")
    assert parsed.secret is not None
    assert parsed.secret.reveal() == SECRET
    assert parsed.token_id is None


NO_STRING = {
    "nothing": "",
    "blank": " \n\n",
    "only the entry": pretty(ENTRY),
    "null": "null",
    "a number": "17",
    "two objects": pretty([with_secret(), with_secret()]),
    "no object": pretty(["a"]),
    "masked": pretty(with_secret(token="redacted")),
    "stars": pretty(with_secret(token="*" * 12)),
    "an id only": ID + "\n",
    "an address only": "see https://docs.influxdata.com/influxdb3/clustered/admin/tokens/management/\n",
    "an address on a line": "https://docs.influxdata.com/influxdb3/clustered/admin/tokens/\n",
    "two strings": pretty({**with_secret(), "secret": SECRET + "x"}),
    "two bare strings": f"{SECRET}\n{SECRET}x\n",
    "the id again": pretty({"id": ID, "token": ID}),
    "another id": pretty({"id": ID, "token": OTHER_ID}),
    "undecodable bytes": pretty(with_secret(token=SECRET + "\ufffd")),
    "a line break inside": pretty(with_secret(token=SECRET + "\nX-Header: y")),
    "nested without end": '{"a":' * 5000,
    "list without end": "[" * 100_000,
}


@pytest.mark.parametrize("output", NO_STRING.values(), ids=NO_STRING)
def test_create_without_one_clear_string_is_refused(output: str) -> None:
    """Whatever is not surely the token string is not stored as one."""
    with pytest.raises(UnreadableOutputError) as caught:
        parse_create(output)
    assert SECRET[:20] not in str(caught.value)


@pytest.mark.parametrize("write", [pretty, compact], ids=["pretty", "compact"])
def test_cut_create_is_refused_wherever_it_was_cut(write: Callable[[object], str]) -> None:
    """No part of a cut answer is taken for the token."""
    text = write({"id": ID, "description": "x", "token": SECRET, "account": "y"}).rstrip()
    for length in range(len(text)):
        with pytest.raises(UnreadableOutputError):
            parse_create(text[:length])


LISTS: dict[str, tuple[str, list[str | None]]] = {
    "array": (pretty([ENTRY, {**ENTRY, "id": OTHER_ID}]), [ID, OTHER_ID]),
    "compact": (compact([ENTRY, {**ENTRY, "id": OTHER_ID}]), [ID, OTHER_ID]),
    "empty": ("[]\n", []),
    "null": ("null\n", []),
    "nothing": ("", []),
    "wrapped": (pretty({"management_tokens": [ENTRY]}), [ID]),
    "wrapped twice": (pretty({"data": {"tokens": [ENTRY]}}), [ID]),
    "wrapped null": (pretty({"tokens": None}), []),
    "an unknown wrapper": (pretty({"mgmt": [ENTRY]}), [ID]),
    "camelCase": (pretty([CAMEL]), [ID]),
    "warn line before": ("warn\ta newer version is available\n" + pretty([ENTRY]), [ID]),
    "warn line after": (pretty([ENTRY]) + "warn\ta newer version is available\n", [ID]),
    "warn line and null": ("warn\ta newer version is available\nnull\n", []),
    "a bracketed log line before": ("[warn] newer\n[]\n", []),
    "an id that is a number": (pretty([{"tokenId": 7}]), ["7"]),
}


@pytest.mark.parametrize(("output", "ids"), LISTS.values(), ids=LISTS)
def test_list_is_read_in_every_style(output: str, ids: list[str | None]) -> None:
    """Whatever the style, every token is found."""
    assert [token.token_id for token in parse_list(output)] == ids


def test_listed_times_are_read() -> None:
    """Absent times are none, present ones are UTC to the microsecond."""
    revoked = {**ENTRY, "revoked_at": {"seconds": 1710273809, "nanos": 948178000}}
    (token,) = parse_list(pretty([revoked]))
    assert (token.created_at, token.expires_at) == (CREATED, EXPIRES)
    assert token.revoked_at == datetime(2024, 3, 12, 20, 3, 29, 948178, UTC)


@pytest.mark.parametrize(("value", "revoked"), [(True, True), (False, False), (None, False), ("", False)])
def test_revoked_may_be_a_flag(value: object, revoked: bool) -> None:  # noqa: FBT001  # a table's column
    """A token said to be revoked, without a time, is revoked."""
    (token,) = parse_list(pretty([{"id": ID, "revoked": value}]))
    assert (token.revoked_at is not None) is revoked


BAD_LISTS = {
    "words": "no tokens found\n",
    "an entry without id": pretty([ENTRY, {"token": SECRET}]),
    "an error object": pretty({"code": 13, "message": SECRET}),
    "an array of texts": pretty([SECRET]),
    "a text": pretty(SECRET),
    "one object a line": compact(ENTRY) + "\n" + compact({**ENTRY, "id": OTHER_ID}),
    "two arrays": "[]\n" + pretty([ENTRY]),
    "a string for a key": pretty({SECRET: {"a": 1}}),
}


@pytest.mark.parametrize("output", BAD_LISTS.values(), ids=BAD_LISTS)
def test_list_that_is_not_understood_is_refused(output: str) -> None:
    """What might be a part of the list is no list, and the refusal names keys only."""
    with pytest.raises(UnreadableOutputError) as caught:
        parse_list(output)
    assert SECRET[:20] not in str(caught.value)


@pytest.mark.parametrize("write", [pretty, compact, lambda d: json.dumps(d, indent=0)], ids=["2", "none", "0"])
def test_cut_list_is_never_a_shorter_list(write: Callable[[object], str]) -> None:
    """A list that lost its tail is refused: tokens that it lacks would count as gone."""
    text = write([{"id": str(number), "created_at": {"seconds": 5}} for number in range(3)]).rstrip()
    for length in range(1, len(text)):
        with pytest.raises(UnreadableOutputError):
            parse_list("warn\tnews\n" + text[:length])


TIMES: list[tuple[object, datetime | None]] = [
    (None, None),
    ("", None),
    ({}, None),
    (0, None),
    ({"seconds": 0}, None),
    ("1970-01-01T00:00:00Z", None),
    ("0001-01-01T00:00:00Z", None),
    (True, None),
    ("yesterday", None),
    ([], None),
    ({"seconds": "x"}, None),
    ({"seconds": 10**30}, None),
    (10**400, None),
    (float("nan"), None),
    (float("inf"), None),
    ({"seconds": 1719491696}, EXPIRES),
    ({"seconds": "1719491696", "nanos": None}, EXPIRES),
    (1719491696, EXPIRES),
    (1719491696000, EXPIRES),
    (1719491696000000000, EXPIRES),
    ("1719491696", EXPIRES),
    ("2024-06-27T12:34:56Z", EXPIRES),
    ("2024-06-27T14:34:56+02:00", EXPIRES),
    ("2024-06-27T12:34:56", EXPIRES),
    ("2024-06-27T12:34:56.000000000Z", EXPIRES),
]


@pytest.mark.parametrize(("value", "moment"), TIMES)
def test_time_is_read_in_every_form(value: object, moment: datetime | None) -> None:
    """Times in any form are UTC; nothing, the epoch, year 1 and nonsense are none."""
    assert parse_time(value) == moment


# --- anything at all ----------------------------------------------------------------------------------

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40)
KEYS = st.text(max_size=12) | st.sampled_from(
    ["id", "token", "secret", "tokens", "data", "expires_at", "created_at", "revoked_at", "seconds", "nanos", "prefix"]
)
DOCUMENTS = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=5), max_leaves=15
)
MARKER = "ThisValueMustNotBeShown7"


@given(document=DOCUMENTS | st.integers(min_value=10**300, max_value=10**320), noise=st.text(max_size=60))
def test_any_json_gives_an_answer_or_one_error(document: object, noise: str) -> None:
    """No document, and no noise around it, raises anything but the one error."""
    for output in (json.dumps(document), f"{noise}\n{json.dumps(document, indent=1)}\n{noise}", noise):
        for parse in (parse_list, parse_create):
            with suppress(UnreadableOutputError):
                parse(output)


@given(
    keys=st.lists(st.text(st.characters(codec="utf-8"), max_size=10), min_size=1, max_size=5, unique=True),
    wrap=st.sampled_from(["none", "list", "tokens", "odd"]),
    cut=st.integers(min_value=0, max_value=60),
)
def test_no_error_echoes_a_value(keys: list[str], wrap: str, cut: int) -> None:
    """Values never enter an error, nor what it was raised from."""
    entry = {key: f"{MARKER} {number}" for number, key in enumerate(keys)}
    document: object = {"none": entry, "list": [entry], "tokens": {"tokens": [entry]}, "odd": {"a": [entry], "b": 1}}[
        wrap
    ]
    text = json.dumps(document, indent=1)
    for output in (text, text[: max(0, len(text) - cut)], f"warn\t{MARKER}\n{text}"):
        for parse in (parse_list, parse_create):
            try:
                parse(output)
            except UnreadableOutputError as caught:
                error: BaseException | None = caught
                while error is not None:
                    assert MARKER not in repr(vars(error)) + repr(error.args) + str(error)
                    error = error.__cause__ or error.__context__
