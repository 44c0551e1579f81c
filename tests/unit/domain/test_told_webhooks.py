"""What is said of a webhook, by a process that has told it and by one that only looks."""

from dataclasses import replace

import pytest

from provisioner.domain.checks import consumers_are_behind
from provisioner.domain.consumers import Webhook
from provisioner.domain.following import NOBODY_KNOWS
from provisioner.domain.secret import SecretText
from tests.builders import NOW, a_record, a_token, settled


@pytest.mark.parametrize(
    ("notified", "says"),
    [(a_record().rotation_id, "was told"), (NOBODY_KNOWS, "was told, the daemon knows alone")],
)
def test_who_has_never_told_it_does_not_say_that_it_was_told(notified: str, says: str) -> None:
    """Nor does it tell it."""
    webhook = Webhook(url="https://hooks.example.org/rotated", key=lambda: SecretText("k"))
    snapshot = settled(token=a_token(on_rotate=(webhook,)))
    snapshot = replace(snapshot, memory=replace(snapshot.memory, notified={webhook: notified}))
    finding = consumers_are_behind(snapshot, NOW)
    assert finding.step is None
    assert finding.message.endswith(says)
    assert ("whether" in finding.message) == (notified == NOBODY_KNOWS)
