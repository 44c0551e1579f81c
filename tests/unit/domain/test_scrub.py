"""What enters from other people's texts holds no secret, and still says what it said."""

import json
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.domain.scrub import LONGEST_PLAIN_WORD, REDACTED, scrub

ROTATION = "0f4c1a52-9d3e-4b7a-8c21-5e6f7a8b9c0d"
JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzeXN0ZW0ifQ.c2lnbmF0dXJl"

SECRETS = {
    "a management token": "M.V1.Zm9vYmFy.c2VjcmV0LXBhcnQ",
    "an admin token": "apiv3_4Yq0yMFaXf3G-kz_9Wlq",
    "an older database token": "apiv2_AAbbCC",
    "a Vault service token": "hvs.CAESIJ2Vc1u9xkL0Qe4Y",
    "a Vault batch token": "hvb.AAAAAQJ2Vc1u9xkL0Qe4Y",
    "an OpenBao service token": "s.5Zb0IuDuYJ2Vc1u9xkL0Qe4Y",
    "a JWT": JWT,
    "an AWS access key": "AKIAIOSFODNN7EXAMPLE",
    "an AWS session key": "ASIAIOSFODNN7EXAMPLE",
    "an AWS secret key": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "a hash": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "base64": "Zm9vYmFyMTIzNDU2Nzg5MEFCQ0RFRkdISUpLTE1OT1A=",
}
SENTENCES = (
    "{0}",
    "denied: {0}",
    '{{"error": "token {0} is not valid"}}',
    "Authorization: Bearer {0}",
    "authorization: token {0}, again",
    "X-Vault-Token={0}",
    "first line\nthen '{0}' on the next",
    "<{0}>",
)


@pytest.mark.parametrize("sentence", SENTENCES)
@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
def test_what_looks_like_a_secret_is_taken_out(secret: str, sentence: str) -> None:
    """Every kind of credential we meet is taken out of every place in which it is quoted."""
    scrubbed = scrub(sentence.format(secret))
    assert secret not in scrubbed
    assert secret[8:] not in scrubbed
    assert REDACTED in scrubbed


@pytest.mark.parametrize("secret", ["short", "with spaces in it", "a-plain-word", "ünïcode"])
def test_a_known_secret_is_taken_out_whatever_it_looks_like(secret: str) -> None:
    """A string that the caller knows to be secret does not appear, wherever it stands and however often."""
    scrubbed = scrub(f"{secret}: login with {secret} failed ({secret})", known=("", secret))
    assert secret not in scrubbed
    assert scrubbed == f"{REDACTED}: login with {REDACTED} failed ({REDACTED})"


@given(secret=st.text(min_size=12), before=st.text(), after=st.text())
def test_no_known_secret_survives(secret: str, before: str, after: str) -> None:
    """Whatever the secret and the text around it, it is not in what remains."""
    assert secret not in scrub(before + secret + after, longest=10_000, known=(secret,))


@given(secret=st.text(min_size=12), ascii_only=st.booleans())
def test_no_known_secret_survives_in_json(secret: str, ascii_only: bool) -> None:  # noqa: FBT001  # a case, no option
    """A server quotes a request as JSON: a secret with a quote or an umlaut in it is found all the same."""
    spelt = json.dumps({"token": secret}, ensure_ascii=ascii_only)
    scrubbed = scrub(spelt, longest=10_000, known=(secret,))
    assert REDACTED in scrubbed
    assert json.dumps(secret, ensure_ascii=ascii_only)[1:-1] not in scrubbed


@pytest.mark.parametrize(
    "text",
    [
        "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed",
        "valid for influxdb-management-api-internal, not influxdb.example.org",
        "lookup influxdb-management-production.monitoring.svc.cluster.local: no such host",
        'invalid role name "token-provisioner-production-eu"',
        "could not load configuration_file_from_profile default",
    ],
)
def test_a_long_name_stays_where_a_secret_is_unknown(text: str) -> None:
    """An operator needs the names of hosts, roles and errors: plain words that are joined."""
    assert scrub(text, longest_word=LONGEST_PLAIN_WORD) == text


@pytest.mark.parametrize(
    "word",
    [
        "q" * 24,
        "Q" * 24,
        "SSLCertVerificationErrors",
        "influxdb-management-api-2-internal",
        "Influxdb-Management-Api-Internal",
        "KZQXJW_" + "KZQXJWVT" * 3,
        "kzqxjw-" + "kzqxjwvt" * 3,
        "-influxdb-management-api-internal",
        "influxdb--management-api-internal",
        "CERTIFICATE_verify_FAILED_again",
    ],
)
def test_a_long_word_that_is_no_name_is_taken_out(word: str) -> None:
    """A digit, both kinds of letters, or a long part without a joint: a token could look so."""
    assert scrub(f"x {word} y", longest_word=LONGEST_PLAIN_WORD) == f"x {REDACTED} y"


@given(secret=st.text(alphabet=string.ascii_letters + string.digits + "-_", min_size=32, max_size=64))
def test_no_random_string_passes_for_a_name(secret: str) -> None:
    """What passes has letters of one kind and joints alone, every few letters: a random string has neither."""
    passes = secret in scrub(secret, longest=1000, longest_word=LONGEST_PLAIN_WORD)
    one_kind = secret.islower() or secret.isupper()
    assert not passes or (one_kind and not any(character.isdigit() for character in secret))


@pytest.mark.parametrize("joint", [" ", ": ", "=", '"', "'", "(", "[", "/", "&", "@", ","])
def test_a_long_word_is_taken_out_where_a_secret_is_unknown(joint: str) -> None:
    """Whatever it looks like and whatever it is joined to; a word just short enough stays."""
    scrubbed = scrub(f"x{joint}{'q' * 24}{joint}y", longest_word=LONGEST_PLAIN_WORD)
    assert "q" not in scrubbed
    assert REDACTED in scrubbed
    assert "q" * 23 in scrub(f"x{joint}{'q' * 23}", longest_word=LONGEST_PLAIN_WORD)


READABLE = [
    "permission denied on secret/data/influx/telegraf-admin",
    "connection to https://cluster-host:8086/api/v0/tokens refused: [Errno 111]",
    f"rotation {ROTATION} of prod-eu/telegraf-admin came to nothing",
    f"{ROTATION} was revoked at 2026-03-01T12:00:00Z",
    "/etc/provisioner/credentials/of-a-very-long-path-without-any-secret-in-it/token",
    "arn:aws:secretsmanager:eu-west-1:123456789012:secret:prod/influx/telegraf-admin-AbCdEf",
    "the server answered 503: sealed",
    "[redacted] stands here already",
]


@pytest.mark.parametrize("text", READABLE)
def test_what_an_operator_needs_stays_readable(text: str) -> None:
    """Paths, addresses, UUIDs, times and plain words come through unchanged."""
    assert scrub(text) == text


@pytest.mark.parametrize("text", [text for text in READABLE if "without-any-secret" not in text and "arn:" not in text])
def test_what_an_operator_needs_stays_readable_where_words_are_counted(text: str) -> None:
    """So it is where long words are taken out: a path or an address is judged by its parts."""
    assert scrub(text, longest_word=LONGEST_PLAIN_WORD) == text


@pytest.mark.parametrize(
    "text", [f"the new token {ROTATION} did not come to work in time", f"token {ROTATION} is gone"]
)
def test_the_id_of_a_token_stays_readable(text: str) -> None:
    """UUIDs stay readable, also after the word token: an error that hides which token it is about helps nobody."""
    assert scrub(text) == text


def test_the_result_is_one_line_without_control_characters() -> None:
    """Line breaks, colours and other control characters could forge a log line or hide a text."""
    assert scrub("\x1b[31mred\x1b[0m one\r\ntwo\tthree\x00\x07four\n") == "red one two three four"
    assert scrub("one\x9b2J\u2028two\u202ethree\ud800") == "one 2J two three"


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
def test_colours_do_not_hide_a_secret(secret: str) -> None:
    """A secret in colour, or with a change of colour in its midst, is a secret all the same."""
    for painted in (f"\x1b[32m{secret}\x1b[0m", f"{secret[:9]}\x1b[0m{secret[9:]}"):
        scrubbed = scrub(f"denied: {painted}", known=())
        assert secret[9:] not in scrubbed


@pytest.mark.parametrize(("length", "cut"), [(299, False), (300, False), (301, True), (5000, True)])
def test_a_long_text_is_cut(length: int, cut: bool) -> None:  # noqa: FBT001  # a column of the table
    """A remote body is cut at 300 characters, and one sees that it was."""
    scrubbed = scrub("a " * (length // 2) + "b" * (length % 2) if length % 2 else "a " * (length // 2 - 1) + "bc")
    assert scrubbed.endswith("…") == cut
    assert len(scrubbed) == min(length, 301)


def test_a_secret_across_the_cut_is_not_half_shown() -> None:
    """What is secret is taken out before the text is cut, not after."""
    scrubbed = scrub("x " * 145 + "hvs.CAESIJ2Vc1u9xkL0Qe4Y")
    assert "hvs" not in scrubbed


@given(text=st.text())
def test_scrubbing_never_fails_and_never_grows_a_second_line(text: str) -> None:
    """Any text goes in; what comes out is short and on one line."""
    scrubbed = scrub(text)
    assert len(scrubbed) <= 301
    assert not any(character < " " or character == "\x7f" for character in scrubbed)


@pytest.mark.parametrize("mark", ["\u061c", "\u200e", "\u200f", "\u202e", "\u2067"])
def test_nothing_turns_a_line_round(mark: str) -> None:
    """Marks that change the direction of what follows are taken out."""
    assert scrub(f"a{mark}b") == "a b"
