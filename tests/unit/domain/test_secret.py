"""A secret shows a mask in every textual form, and does not let itself be copied out by accident."""

import copy
import dataclasses
import json
import pickle

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from provisioner.domain.secret import MASK, SecretText
from tests.unit.domain.builders import CURRENT, a_record, secret_of, stored

PLAIN = "apiv3_never-to-be-seen"


@pytest.mark.parametrize(
    "shown",
    [
        repr(SecretText(PLAIN)),
        str(SecretText(PLAIN)),
        f"{SecretText(PLAIN)}",
        f"{SecretText(PLAIN)!r}",
        f"{SecretText(PLAIN)!s:>40}",
        f"{SecretText(PLAIN)!a}",
        f"{SecretText(PLAIN):.3}",
        format(SecretText(PLAIN), "40"),
        "%s %r" % (SecretText(PLAIN), SecretText(PLAIN)),  # noqa: UP031  # old formatting is what loggers use
        "{} {!r}".format(SecretText(PLAIN), SecretText(PLAIN)),  # noqa: UP032  # so is this
        str([SecretText(PLAIN)]),
        str({"token": SecretText(PLAIN)}),
        str(ValueError(SecretText(PLAIN))),
    ],
)
def test_every_textual_form_is_a_mask(shown: str) -> None:
    """However it is turned into text, nothing of the secret is in it."""
    assert MASK in shown
    assert "apiv3" not in shown
    assert "seen" not in shown


def test_values_that_hold_a_secret_show_a_mask() -> None:
    """The repr of a record, and of what was read from a store, does not show the token."""
    shown = repr(a_record()) + repr(stored(a_record()))
    assert MASK in shown
    assert secret_of(CURRENT) not in shown


def test_the_mask_does_not_tell_the_length() -> None:
    """A short secret and a long one look the same."""
    assert str(SecretText("x")) == str(SecretText("x" * 500))
    assert repr(SecretText("x")) == repr(SecretText("x" * 500))


def test_reveal_gives_the_text() -> None:
    """The one way out gives just what was put in."""
    assert SecretText(PLAIN).reveal() == PLAIN


def test_an_empty_secret_is_refused() -> None:
    """An empty credential is always a mistake."""
    with pytest.raises(ValueError, match="empty"):
        SecretText("")


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_secret_cannot_be_pickled(protocol: int) -> None:
    """No pickle, of whatever protocol, holds a secret."""
    with pytest.raises(TypeError, match="pickled"):
        pickle.dumps(SecretText(PLAIN), protocol=protocol)


def test_a_secret_cannot_be_copied() -> None:
    """Neither a shallow nor a deep copy is made of it."""
    with pytest.raises(TypeError):
        copy.copy(SecretText(PLAIN))
    with pytest.raises(TypeError):
        copy.deepcopy(SecretText(PLAIN))


def test_a_record_cannot_be_turned_into_plain_data() -> None:
    """Turning a record into a dictionary, which copies what is inside, fails instead of leaking."""
    with pytest.raises(TypeError):
        dataclasses.asdict(a_record())


def test_a_secret_cannot_be_written_as_json() -> None:
    """The JSON encoder does not know it, and so refuses."""
    with pytest.raises(TypeError) as caught:
        json.dumps({"token": SecretText(PLAIN)})
    assert PLAIN not in str(caught.value)


def test_a_secret_has_no_dictionary_of_attributes() -> None:
    """What prints an object's attributes finds none."""
    with pytest.raises(TypeError):
        vars(SecretText(PLAIN))


@given(one=st.text(min_size=1), other=st.text(min_size=1))
@example(one="\ud800", other="\udfff")  # lone surrogates: a JSON document can hold them
def test_secrets_are_equal_when_their_texts_are(one: str, other: str) -> None:
    """Equality is that of the texts, whatever characters are in them."""
    assert (SecretText(one) == SecretText(other)) == (one == other)
    assert SecretText(one) == SecretText(one)


def test_a_secret_equals_no_plain_text() -> None:
    """Comparing with a plain text is false, so that nobody gets used to plain ones."""
    assert SecretText(PLAIN) != PLAIN
    assert SecretText(PLAIN) not in (None, b"x", PLAIN)


def test_a_secret_cannot_be_a_key() -> None:
    """It is unhashable: it ends in no set, cache or mapping key, and neither does what holds it."""
    with pytest.raises(TypeError, match="unhashable"):
        hash(SecretText(PLAIN))
    with pytest.raises(TypeError, match="unhashable"):
        hash(a_record())
