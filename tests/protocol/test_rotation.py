"""What happens when nothing goes wrong."""

from dataclasses import replace
from datetime import timedelta

from provisioner.domain.model import Trigger
from provisioner.domain.steps import Rest
from tests.builders import DAY, HOUR, MINUTE, OTHER_PLACE, PLACE, SECOND, a_token
from tests.rig import Rig, provisioned


def test_first_pass_provisions_and_rests() -> None:
    """The first pass creates one token with the asked expiry and stores it; then there is nothing to do."""
    rig = Rig()
    outcome = rig.reconcile()
    assert outcome.changed == 1
    assert isinstance(outcome.decision.step, Rest)
    assert rig.record is not None
    assert rig.record.expires_at == rig.clock.now() + 30 * DAY
    assert rig.store.document(PLACE.path) == {
        "token": rig.issuer.strings["token-1"],
        "token_id": "token-1",
        "issued_at": "2026-06-01T12:00:00Z",
        "expires_at": "2026-07-01T12:00:00Z",
        "rotation_id": rig.record.rotation_id,
        "owner": "provisioner/prod/telegraf",
        "issuer": "cluster",
        "stored_at": "2026-06-01T12:00:00Z",
    }


def test_second_pass_mints_nothing() -> None:
    """However often it is looked at, a token that is not due is not minted again."""
    rig = Rig()
    for _ in range(5):
        rig.reconcile()
        rig.clock.advance(HOUR)
    assert rig.issuer.faults.calls["create"] == 1
    assert rig.store.faults.calls["write"] == 1


def test_rotation_with_overlap_and_revocation() -> None:
    """At two thirds of the life a successor is stored; the predecessor lives for the overlap and is then revoked."""
    rig = provisioned()
    rig.clock.advance(20 * DAY)
    rig.reconcile()
    assert rig.current_id == "token-2"
    assert rig.live_ids() == {"token-1", "token-2"}
    rig.clock.advance(HOUR - SECOND)
    rig.reconcile()
    assert rig.live_ids() == {"token-1", "token-2"}
    rig.clock.advance(SECOND)
    rig.reconcile()
    assert rig.live_ids() == {"token-2"}


def test_a_year_of_rotations() -> None:
    """Over a year the invariants hold, and no more versions are written than rotations made."""
    rig = Rig(a_token(drift_interval=12 * HOUR))
    rig.pass_time(365 * DAY, step=12 * HOUR)
    rotations = rig.issuer.faults.calls["create"]
    assert 18 <= rotations <= 22
    assert rig.store.faults.calls["write"] == rotations
    assert len(rig.live_ids()) <= 2


def test_requests_of_one_rotation() -> None:
    """A rotation costs three store requests and two issuer requests; the end of its predecessor two of each."""
    rig = provisioned(proves_by_use=True)
    rig.clock.advance(20 * DAY)
    before_store, before_issuer = rig.store.faults.calls.copy(), rig.issuer.faults.calls.copy()
    rig.reconcile()
    assert rig.store.faults.calls - before_store == {"read": 2, "preflight": 1, "write": 1}
    assert rig.issuer.faults.calls - before_issuer == {"list": 1, "create": 1, "prove": 1}
    rig.clock.advance(HOUR)
    before_store, before_issuer = rig.store.faults.calls.copy(), rig.issuer.faults.calls.copy()
    rig.reconcile()
    assert rig.store.faults.calls - before_store == {"read": 3}, "gather, the look before, and the look after"
    assert rig.issuer.faults.calls - before_issuer == {"list": 2, "revoke": 1}


def test_activation_lag_is_waited_for() -> None:
    """A new token that is refused at first is tried until it works, and only then stored."""
    rig = Rig(proves_by_use=True)
    rig.issuer.activation_lag = 40 * SECOND
    rig.reconcile()
    assert rig.current_id == "token-1"
    assert rig.clock.elapsed >= 40


def test_request_rotates_once() -> None:
    """The same request id rotates once, also after other rotations, and also when its sender tries again."""
    rig = provisioned()
    for request in ("a", "b", "a", "b", "a"):
        rig.reconcile(Trigger(request_id=request))
        rig.clock.advance(2 * HOUR)
        rig.reconcile()
    assert rig.issuer.faults.calls["create"] == 3


def test_compromised_has_no_overlap() -> None:
    """A rotation as compromised revokes the predecessor in the same pass."""
    rig = provisioned()
    rig.reconcile(Trigger(request_id="leak", compromised=True))
    assert rig.live_ids() == {"token-2"}


def test_tokens_that_seem_equally_old_are_told_apart() -> None:
    """Where an issuer tells whole seconds only, the predecessor of a rotation within one still ends in its time."""
    rig = Rig()
    rig.issuer.whole_seconds = True
    rig.reconcile()
    rig.reconcile(Trigger(request_id="by hand"))
    assert rig.issuer.tokens["token-1"].created_at == rig.issuer.tokens["token-2"].created_at
    rig.clock.advance(HOUR)
    rig.reconcile()
    assert rig.live_ids() == {"token-2"}
    rig.reconcile(Trigger(request_id="leak", compromised=True))
    assert rig.live_ids() == {"token-3"}


def test_editing_labels_margins_and_ttl_mints_nothing() -> None:
    """Only what changes the token itself may mint."""
    rig = provisioned()
    rig.token = replace(
        rig.token, labels={"team": "x"}, ttl=60 * DAY, overlap=2 * HOUR, rotate_at=0.7, description="new"
    )
    rig.reconcile()
    assert rig.issuer.faults.calls["create"] == 1


def test_extra_fields_and_mapping_are_rewritten_in_place() -> None:
    """A changed mapping or static field rewrites the record under compare-and-set, with the same token."""
    rig = provisioned()
    place = replace(PLACE, fields={"token": "INFLUX_TOKEN"}, extra={"url": "https://cluster"})
    rig.token = replace(rig.token, destinations=(place,))
    rig.reconcile()
    document = rig.store.document(PLACE.path)
    assert document is not None
    assert document["INFLUX_TOKEN"] == rig.issuer.strings["token-1"]
    assert "token" not in document
    assert document["url"] == "https://cluster"
    assert rig.issuer.faults.calls["create"] == 1


def test_issuer_change_mints_at_the_new_one() -> None:
    """A token of another issuer is replaced by one of the configured issuer, and ends in its time."""
    rig = Rig(a_token(issuer="former"))
    rig.reconcile()
    rig.clock.advance(DAY)
    rig.token = replace(rig.token, issuer="cluster")
    rig.reconcile()
    assert rig.record is not None
    assert rig.record.issuer == "cluster"
    assert len(rig.live_ids()) == 2
    rig.settle()


def test_copies_are_filled_without_minting() -> None:
    """A destination added later gets the primary's record, and the predecessor waits for it."""
    rig = provisioned()
    rig.with_copy()
    rig.reconcile()
    assert rig.store.document(OTHER_PLACE.path) == rig.store.document(PLACE.path)
    assert rig.issuer.faults.calls["create"] == 1


def test_window_delays_and_expiry_beats_it() -> None:
    """Rotation waits for the window, but not so long that rotation and overlap would not fit any more."""

    class Closed:
        """A window that opens in the far future."""

        def next_opening(self, moment: object) -> None:
            """Give none."""
            del moment

    rig = provisioned(a_token(window=Closed(), drift_interval=HOUR))
    rig.pass_time(29 * DAY - 2 * HOUR, step=HOUR)
    assert rig.issuer.faults.calls["create"] == 1
    rig.pass_time(HOUR, step=10 * MINUTE)
    assert rig.issuer.faults.calls["create"] == 2
    assert rig.record is not None
    assert rig.record.stored_at + rig.token.overlap <= rig.clock.now() + timedelta(hours=2)
