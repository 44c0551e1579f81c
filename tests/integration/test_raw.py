"""A bare token with its fields beside it, on a real OpenBao and on both that play AWS: whatever comes between."""

from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from typing import Any

import hvac
import pytest

from provisioner.domain.asking import asking
from provisioner.domain.errors import ConflictError, StoreRefusedError, StoreUnavailableError
from provisioner.domain.mark import OWNER_TAG
from provisioner.domain.model import Absent, Damaged, Destination, Foreign, Format, Record, Reservation
from provisioner.domain.slots import is_slot_key, slots_in
from provisioner.ports.store import Store
from provisioner.simulators.openbao import OpenBao
from provisioner.simulators.secrets_manager_server import Fault, SecretsManagerServer
from tests import vault
from tests.aws import Died, a_store
from tests.aws import secret_of as secret_of_aws
from tests.bare import Backend, InVault, a_bare_place, in_aws
from tests.builders import OWNER, a_record, uid

MOST_REQUESTS = 9


@pytest.fixture(params=["vault", "aws by moto", "aws, strict"])
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    """Give each backend."""
    if request.param == "vault":
        server: OpenBao = request.getfixturevalue("openbao")
        root: hvac.Client = request.getfixturevalue("root")
        yield InVault(server, root)
        return
    request.getfixturevalue("aws_identity")
    address = request.getfixturevalue("moto" if "moto" in request.param else "aws").address
    with in_aws(address) as given:
        yield given


@pytest.fixture
def place() -> Destination:
    """Give a path of this test alone, in format raw."""
    return a_bare_place()


def rotate(store: Store, place: Destination, *numbers: int, **changes: Any) -> None:
    """Write one record after the other, each over what is read."""
    for number in numbers:
        store.write(place, OWNER, a_record(number, **changes), store.read(place, OWNER).revision)


def rotations_beside(backend: Backend, place: Destination) -> set[str]:
    """Give the rotations that have a slot."""
    return {slot.rotation_id for slot in slots_in(backend.beside(place.path))}


def secret_of(number: int) -> str:
    """Give the token's string of a rotation."""
    return a_record(number).token.reveal()


def test_consumers_read_the_bare_string(backend: Backend, place: Destination) -> None:
    """The value is the token itself; beside it are the slots of it and its predecessor, our tag, and no token."""
    with backend.store() as store:
        rotate(store, place, 1, 2, 3, 4)
    assert backend.consumed(place.path) == secret_of(4)
    assert rotations_beside(backend, place) == {uid(3), uid(4)}
    beside = backend.beside(place.path)
    assert {key for key in beside if not is_slot_key(key)} == {OWNER_TAG}
    for number in range(1, 5):
        assert secret_of(number) not in str(beside)


@pytest.mark.parametrize("who", ["the same", "another"])
@pytest.mark.parametrize("first", [True, False], ids=["first", "later"])
def test_death_at_every_request(backend: Backend, who: str, *, first: bool) -> None:
    """Whichever request of a write is its process's last, the old or the new record is read; the repeat ends well."""
    for call in range(1, MOST_REQUESTS):
        place = a_bare_place()
        if not write_and_die(backend, place, call, who=who, first=first):
            assert call > (1 if first else 2)
            return
    raise AssertionError("a write has more requests than that")


def write_and_die(backend: Backend, place: Destination, call: int, *, who: str, first: bool) -> bool:
    """Let a write die right after that request and look at what it left; give whether it came so far."""
    with backend.store() as store, backend.store() as other:
        if not first:
            rotate(store, place, 1)
        before = store.read(place, OWNER)
        backend.die_at(store, call, after=True)
        try:
            store.write(place, OWNER, a_record(2), before.revision)
        except Died:
            died = True
        else:
            died = False
        backend.revive(store)
        repeating = store if who == "the same" else other
        left = repeating.read(place, OWNER).content
        assert left in (before.content, a_record(2))
        if left != a_record(2):
            repeating.write(place, OWNER, a_record(2), before.revision)
        assert repeating.read(place, OWNER).content == a_record(2)
        rotate(repeating, place, 3, 4)
        assert repeating.read(place, OWNER).faithful
    assert rotations_beside(backend, place) == {uid(3), uid(4)}
    return died


@pytest.mark.parametrize("first", [True, False], ids=["first", "later"])
def test_two_replicas(backend: Backend, place: Destination, *, first: bool) -> None:
    """Whoever commits finds its own fields, whatever the other has put beside; the other's are tidied away."""
    with backend.store() as paused, backend.store() as quick:
        if not first:
            rotate(quick, place, 1)
        revision = paused.read(place, OWNER).revision
        quick.read(place, OWNER)
        backend.die_at(paused, 1, after=True)
        if not first or isinstance(backend, InVault):  # AWS creates a secret with its tags in one request
            with pytest.raises(Died):
                paused.write(place, OWNER, a_record(2), revision)
        quick.write(place, OWNER, a_record(3), revision)
        with pytest.raises(ConflictError):
            paused.write(place, OWNER, a_record(2), revision)
        assert paused.read(place, OWNER).content == a_record(3)
        rotate(quick, place, 4, 5)
    assert rotations_beside(backend, place) == {uid(4), uid(5)}


def test_somebody_is_quicker_with_a_secret_of_their_own(backend: Backend, place: Destination) -> None:
    """A bare string that came between our look and our write is foreign, though our slot stands beside it."""
    with backend.store() as store:
        nothing = store.read(place, OWNER).revision
        backend.put(place.path, "somebody's own")
        with pytest.raises(ConflictError):
            store.write(place, OWNER, a_record(), nothing)
        assert isinstance(store.read(place, OWNER).content, Foreign)
    assert backend.consumed(place.path) == "somebody's own"


def test_fence_keeps_the_predecessors_slot(backend: Backend, place: Destination) -> None:
    """Written again, the same record is read at a new revision, and a roll-back still finds its fields."""
    with backend.store() as store:
        rotate(store, place, 1, 2, 2)
        assert store.read(place, OWNER).content == a_record(2)
        assert rotations_beside(backend, place) == {uid(1), uid(2)}


def test_roll_back(backend: Backend, place: Destination) -> None:
    """Whoever restores the predecessor's string has rolled back: its fields are still there."""
    with backend.store() as store:
        rotate(store, place, 1, 2)
        backend.roll_back(place.path)
        stored = store.read(place, OWNER)
        assert (stored.content, stored.faithful) == (a_record(1), True)


def test_edited_string_is_damaged_and_means_no_token(backend: Backend, place: Destination) -> None:
    """What somebody wrote in our token's place belongs to no slot: it is told by nothing, and written over."""
    with backend.store() as store:
        rotate(store, place, 1, 2)
        backend.put(place.path, "edited by hand")
        content = store.read(place, OWNER).content
        assert isinstance(content, Damaged)
        assert (content.token_id, content.rotation_id) == (None, None)
        rotate(store, place, 3)
        assert store.read(place, OWNER).content == a_record(3)


def test_lost_fields(backend: Backend, place: Destination) -> None:
    """Without its slot the token is damaged; while the slot's beginning is there, its rotation is known."""
    with backend.store() as store:
        rotate(store, place, 1, token_id="i" * 600)
        parts = {key: None for key in backend.beside(place.path) if is_slot_key(key) and not key.endswith("/0")}
        assert parts
        backend.change(place.path, dict(parts))
        content = store.read(place, OWNER).content
        assert isinstance(content, Damaged)
        assert content.rotation_id == uid(1)
        backend.change(place.path, {f"token-provisioner/{uid(1)}/0": None})
        content = store.read(place, OWNER).content
        assert isinstance(content, Damaged)
        assert (content.token.reveal(), content.rotation_id) == (secret_of(1), None)
        rotate(store, place, 1)
        assert store.read(place, OWNER).content == a_record(1)


def test_edited_field_is_seen(backend: Backend, place: Destination) -> None:
    """A field that somebody changed is read as it stands, by a process that has seen it before too."""
    with backend.store() as store:
        rotate(store, place, 1)
        store.read(place, OWNER)
        key = f"token-provisioner/{uid(1)}/0"
        edited = backend.beside(place.path)[key].replace("token_id=id-1", "token_id=id-9")
        backend.change(place.path, {key: edited})
        assert store.read(place, OWNER).content == a_record(1, token_id="id-9")


def test_whose_it_is(backend: Backend, place: Destination) -> None:
    """Another owner's tag makes it foreign; without tag and slot it is foreign too, and named so."""
    with backend.store() as store:
        rotate(store, place, 1)
        backend.change(place.path, {OWNER_TAG: "provisioner/other/x"})
        content = store.read(place, OWNER).content
        assert isinstance(content, Foreign)
        assert "provisioner/other/x" in content.why
        backend.change(place.path, dict.fromkeys(backend.beside(place.path)))
        assert isinstance(store.read(place, OWNER).content, Foreign)
        adopting = replace(place, adopt=True)
        rotate(store, adopting, 2)
        assert store.read(place, OWNER).content == a_record(2)
    assert backend.beside(place.path)[OWNER_TAG] == str(OWNER)


def test_format_changes_both_ways(backend: Backend, place: Destination) -> None:
    """Either format is understood under the other, is not as configured, and is rewritten without a new token."""
    as_json = replace(place, format=Format.JSON)
    with backend.store() as store:
        rotate(store, as_json, 1)
        for wanted, bare in ((place, secret_of(1)), (as_json, None), (place, secret_of(1))):
            stored = store.read(wanted, OWNER)
            assert (stored.content, stored.faithful) == (a_record(1), False)
            store.write(wanted, OWNER, a_record(1), stored.revision)
            stored = store.read(wanted, OWNER)
            assert (stored.content, stored.faithful) == (a_record(1), True)
            assert backend.consumed(place.path) == bare


def test_reservation(backend: Backend, place: Destination) -> None:
    """A reservation is the JSON document in either format, and is written over by a bare token."""
    with backend.store() as store:
        assert store.read(place, OWNER).content == Absent()
        store.write(place, OWNER, Reservation(), store.read(place, OWNER).revision)
        stored = store.read(place, OWNER)
        assert (stored.content, stored.faithful) == (Reservation(), True)
        assert backend.consumed(place.path) is None
        rotate(store, place, 1)
        assert store.read(place, OWNER).content == a_record(1)


def test_every_field_survives(backend: Backend, place: Destination) -> None:
    """The longest record that we make comes back, optional fields too, who asked for it among them."""
    past = tuple(map(uid, range(100, 116)))
    asked = asking(by="ü" * 300, via="http", at=a_record().issued_at, reason="words - and @ signs " * 30)
    record: Record = a_record(
        request_id="ünïcode / + = @ 1", asked=asked, past_requests=past, compromised=True, predecessors=(uid(7), uid(8))
    )
    with backend.store() as store:
        for _ in range(2):
            store.write(place, OWNER, record, store.read(place, OWNER).revision)
        stored = store.read(place, OWNER)
        assert (stored.content, stored.faithful) == (record, True)
        rotate(store, place, 2)
        assert store.read(place, OWNER).content == a_record(2)


def test_requests_in_vault(openbao: OpenBao, place: Destination) -> None:
    """Looking costs one request, as in JSON; writing one for the slot, and one to tidy up where there is something."""
    with vault.a_store(openbao.address, vault.root_login(openbao)) as store:
        store.preflight(place)
        sent = vault.count_requests(store)
        rotate(store, place, 1)
        data, metadata = f"/v1/secret/data/{place.path}", f"/v1/secret/metadata/{place.path}"
        begins = [f"PATCH {metadata}", f"POST {metadata}", f"PATCH {metadata}"]
        assert sent == [f"GET {data}", *begins, f"POST {data}", f"PATCH {metadata}"]
        for number, tidies in ((2, []), (3, [f"PATCH {metadata}"])):
            sent.clear()
            rotate(store, place, number)
            assert sent == [f"GET {data}", f"PATCH {metadata}", f"POST {data}", *tidies]
        assert root_version(openbao, place) == 3


def root_version(server: OpenBao, place: Destination) -> int:
    """Give the newest version's number: what stands beside it moves none."""
    client = hvac.Client(url=server.address, token=server.root_token.reveal())
    try:
        return int(client.secrets.kv.v2.read_secret_metadata(path=place.path)["data"]["current_version"])
    finally:
        client.session.close()


def test_policy_in_vault(openbao: OpenBao, root: hvac.Client, place: Destination) -> None:
    """The documented policy is enough; without its second line preflight names it, and nothing is written."""
    data = f'path "secret/data/{place.path}" {{ capabilities = ["create", "read", "update"] }}'
    with vault.a_store(openbao.address, vault.login_with_policy(root, data)) as store:
        revision = store.read(place, OWNER).revision
        with pytest.raises(
            StoreRefusedError, match=r'metadata/.* lacks create and patch and update; add: path "secret/m'
        ):
            store.preflight(place)
        with pytest.raises(StoreRefusedError, match=r"custom metadata .* was denied"):
            store.write(place, OWNER, a_record(), revision)
        assert store.read(place, OWNER).content == Absent()
    beside = f'path "secret/metadata/{place.path}" {{ capabilities = ["create", "patch", "read", "update"] }}'
    with vault.a_store(openbao.address, vault.login_with_policy(root, data + beside)) as store:
        store.preflight(place)
        rotate(store, place, 1, 2, 3)
        assert store.read(place, OWNER).content == a_record(3)


def test_requests_in_aws(aws: SecretsManagerServer, place: Destination) -> None:
    """Looking costs a second request for the tags; writing one for the slot, and one to take away the oldest."""
    with a_store(aws.address) as store:
        rotate(store, place, 1)
        assert aws.requests == ["GetSecretValue", "DescribeSecret", "CreateSecret"]
        look, label = ["GetSecretValue", "DescribeSecret"], "UpdateSecretVersionStage"
        for number, tidies in ((2, []), (3, ["UntagResource"])):
            aws.requests.clear()
            rotate(store, place, number)
            assert aws.requests == [*look, "TagResource", "PutSecretValue", "GetSecretValue", label, label, *tidies]


def test_previous_label_is_on_the_bare_predecessor(aws: SecretsManagerServer, place: Destination) -> None:
    """AWSCURRENT and AWSPREVIOUS are the bare strings of the token and its predecessor."""
    with a_store(aws.address) as store:
        rotate(store, place, 1, 2)
    versions = secret_of_aws(aws, place.path).versions.values()
    values = {stage: version.value["SecretString"] for version in versions for stage in version.stages}
    assert values == {"AWSCURRENT": secret_of(2), "AWSPREVIOUS": secret_of(1)}


def test_change_between_value_and_tags_is_read_again(aws: SecretsManagerServer, place: Destination) -> None:
    """Tags of another version than the value's say nothing about it."""
    with a_store(aws.address) as store, a_store(aws.address) as other:
        rotate(store, place, 1)
        revision = other.read(place, OWNER).revision
        waiting = [a_record(2)]

        def between(operation: str) -> None:
            if operation == "DescribeSecret" and waiting:
                other.write(place, OWNER, waiting.pop(), revision)

        aws.knobs.before = between
        with pytest.raises(StoreUnavailableError, match="changed while it was read"):
            store.read(place, OWNER)
        assert store.read(place, OWNER).content == a_record(2)


def test_full_tags_are_refused_before_the_commit(aws: SecretsManagerServer, place: Destination) -> None:
    """Where other people's tags leave no room, nothing is written, and the old token stays."""
    with a_store(aws.address) as store, in_aws(aws.address) as person:
        rotate(store, place, 1)
        person.change(place.path, {f"theirs-{number}": "x" for number in range(47)})
        with pytest.raises(StoreUnavailableError, match="LimitExceeded"):
            rotate(store, place, 2)
        assert store.read(place, OWNER).content == a_record(1)


def test_refusal_that_repeats_what_was_sent(aws: SecretsManagerServer, place: Destination) -> None:
    """An error that quotes the whole request tells neither token nor digest."""
    with a_store(aws.address) as store:
        rotate(store, place, 1)
        for operation in ("TagResource", "PutSecretValue"):
            aws.knobs.queues[operation] = [Fault.ECHO]
            with pytest.raises(StoreRefusedError) as caught:
                rotate(store, place, 2)
            told = vault.everything_told(caught.value)
            assert sha256(secret_of(2).encode()).hexdigest()[:12] not in told
            assert secret_of(2) not in told
