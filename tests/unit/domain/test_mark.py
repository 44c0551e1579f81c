"""The mark: what we write is read back, and what we did not write is nobody of ours."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.domain.mark import INSTANCE_PATTERN, NAME_PATTERN, Mark, Owner
from tests.unit.domain.builders import OWNER

ROTATION = "0f4c1a52-9d3e-4b7a-8c21-5e6f7a8b9c0d"
MARK = Mark(OWNER, ROTATION)

owners = st.builds(Owner, st.from_regex(INSTANCE_PATTERN, fullmatch=True), st.from_regex(NAME_PATTERN, fullmatch=True))
marks = st.builds(Mark, owners, st.uuids().map(str))
descriptions = st.text().filter(lambda text: "[provisioner/" not in text)


def test_the_mark_is_spelled_as_the_protocol_says() -> None:
    """``[provisioner/INSTANCE/NAME ROTATION_ID]``, after the operator's own words."""
    assert str(MARK) == f"[provisioner/prod-eu/telegraf-admin {ROTATION}]"
    assert MARK.described("Telegraf provisioning") == f"Telegraf provisioning {MARK}"
    assert MARK.described("") == str(MARK)


@given(mark=marks, description=descriptions)
def test_what_was_written_is_read_back(mark: Mark, description: str) -> None:
    """Whatever the operator's words, the mark after them is found again, owner and rotation."""
    assert Mark.found_in(mark.described(description)) == mark


def test_white_space_around_the_text_does_not_matter() -> None:
    """An issuer may trim or pad a description."""
    assert Mark.found_in(f"  words {MARK}\n") == MARK


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "Telegraf provisioning",
        "[provisioner/prod-eu/telegraf-admin]",
        f"[provisioner/prod-eu {ROTATION}]",
        f"[provisioner/prod-eu/a/b {ROTATION}]",
        f"[provisioner//telegraf-admin {ROTATION}]",
        f"[provisioner/prod-eu/ {ROTATION}]",
        f"[Provisioner/prod-eu/telegraf-admin {ROTATION}]",
        f"[provisioner/Prod-EU/telegraf-admin {ROTATION}]",
        f"[provisioner/prod-eu/telegraf_admin {ROTATION}]",
        f"[provisioner/prod-eu/telegraf-admin- {ROTATION}]",
        f"[provisioner/prod-eu/{'n' * 64} {ROTATION}]",
        f"[provisioner/prod-eu/télégraf {ROTATION}]",
        f"[provisioner/prod-eu/telegraf-admin  {ROTATION}]",
        f"[provisioner/prod-eu/telegraf-admin {ROTATION.upper()}]",
        f"[provisioner/prod-eu/telegraf-admin {ROTATION[:-1]}]",
        f"[provisioner/prod-eu/telegraf-admin {ROTATION}0]",
        f"[provisioner/prod-eu/telegraf-admin {'-' * 36}]",
        f"[provisioner/prod-eu/telegraf-admin {ROTATION.replace('-', '')}----]",
        f"provisioner/prod-eu/telegraf-admin {ROTATION}",
        f"[provisioner/prod-eu/telegraf-admin {ROTATION}",
        f"{MARK} and more",
        f"{MARK}.",
        f"{MARK}\nand a second line",
        f"{MARK}{MARK}",
        f"{MARK} {Mark(Owner('prod-eu', 'other'), ROTATION)}",
        f"copy of [provisioner/ {MARK}",
    ],
)
def test_what_we_would_not_have_written_is_foreign(text: str | None) -> None:
    """No mark, a broken one, two of them or words after it: foreign, and never touched."""
    assert Mark.found_in(text) is None


@given(text=st.text() | st.from_regex(r"\[provisioner/[a-z/.-]{1,9} [0-9a-f-]{36}\]") | marks.map(str))
def test_only_texts_that_end_with_a_mark_as_we_write_it_are_ours(text: str) -> None:
    """Whatever is found is spelled in the text, character by character, at its end."""
    found = Mark.found_in(text)
    assert found is None or text.strip().endswith(str(found))


def test_another_instance_or_name_is_another_owner() -> None:
    """The mark of another instance, or of another name, is found but does not equal ours."""
    for owner in (Owner("prod-us", OWNER.name), Owner(OWNER.instance, "telegraf"), Owner("prod-eu.x", OWNER.name)):
        found = Mark.found_in(str(Mark(owner, ROTATION)))
        assert found is not None
        assert found.owner == owner
        assert found.owner != OWNER


@given(mark=marks)
def test_a_rotation_id_is_a_uuid(mark: Mark) -> None:
    """What is found as a rotation id can be read as a UUID, in its canonical spelling."""
    found = Mark.found_in(str(mark))
    assert found is not None
    assert str(UUID(found.rotation_id)) == found.rotation_id
