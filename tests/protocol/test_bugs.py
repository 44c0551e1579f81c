"""What a bug of ours in mid-rotation may not do: lose sight of a token that was just created."""

from dataclasses import replace

from provisioner.domain.events import Event, TokenCreated
from tests.rig import Rig


def test_an_unexpected_error_right_after_the_create_is_an_attempt_that_ended() -> None:
    """The token that it left is known as given up, and revoked before another is left."""
    rig = Rig()
    (world,) = rig.worlds

    def trip(event: Event) -> None:
        world.observe(event)
        if type(event) is TokenCreated:
            raise RuntimeError

    rig.worlds[0] = replace(world, observe=trip)
    outcome = rig.reconcile()
    assert outcome.failures[0] == "unexpected RuntimeError"
    assert len(rig.issuer.tokens) > 0
    assert len(outcome.revoked) == len(rig.issuer.tokens)
    rig.worlds[0] = world
    rig.settle()
