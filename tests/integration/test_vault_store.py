"""The Vault store on a real OpenBao: policies, mounts, versions, and what must never be told."""

from dataclasses import replace
from uuid import uuid4

import hvac
import pytest

from provisioner.domain.errors import (
    ConflictError,
    ProvisionerError,
    StoreRefusedError,
)
from provisioner.domain.model import Absent, Destination
from provisioner.domain.secret import SecretText
from provisioner.simulators.openbao import OpenBao
from provisioner.stores.vault_auth import TokenLogin
from tests.builders import MINUTE, OWNER, a_record
from tests.fakes.clock import FakeClock
from tests.vault import (
    a_policy,
    a_store,
    count_requests,
    everything_told,
    login_with_policy,
    root_login,
)


def test_read_only_policy_is_refused_before_anything(openbao: OpenBao, root: hvac.Client, place: Destination) -> None:
    """A policy without write is found by preflight, which names the missing capabilities and the remedy."""
    login = login_with_policy(root, f'path "secret/data/{place.path}" {{ capabilities = ["read"] }}')
    with a_store(openbao.address, login) as store:
        assert store.read(place, OWNER).content == Absent()
        with pytest.raises(StoreRefusedError, match=r"lacks create and update.*capabilities = \["):
            store.preflight(place)
        with pytest.raises(StoreRefusedError, match="denied"):
            store.write(place, OWNER, a_record(), "0")


def test_no_policy_is_refused_on_reading(openbao: OpenBao, root: hvac.Client, place: Destination) -> None:
    """A client token without any right reads nothing, and is told where it was denied."""
    with (
        a_store(openbao.address, login_with_policy(root, 'path "x" { capabilities = ["read"] }')) as store,
        pytest.raises(StoreRefusedError, match=rf"reading vault:{place.path} in store vault was denied"),
    ):
        store.read(place, OWNER)


def test_just_enough_policy(openbao: OpenBao, root: hvac.Client, place: Destination) -> None:
    """The documented policy is enough for everything a rotation does."""
    policy = f'path "secret/data/{place.path}" {{ capabilities = ["create", "read", "update"] }}'
    with a_store(openbao.address, login_with_policy(root, policy)) as store:
        store.preflight(place)
        store.write(place, OWNER, a_record(), store.read(place, OWNER).revision)
        assert store.read(place, OWNER).content == a_record()
        assert list(store.check([(place, OWNER)])) == []


def test_preflight_costs_one_question_for_five_minutes(openbao: OpenBao, place: Destination) -> None:
    """Capabilities are asked once for all paths, and again after five minutes."""
    clock = FakeClock()
    with a_store(openbao.address, root_login(openbao), clock=clock) as store:
        sent = count_requests(store)
        store.preflight(place)
        first = len(sent)
        store.preflight(place)
        assert len(sent) == first
        clock.advance(6 * MINUTE)
        store.preflight(place)
        assert sent[first:] == ["POST /v1/sys/capabilities-self"]


def test_namespace(openbao: OpenBao, root: hvac.Client, place: Destination) -> None:
    """A store in a namespace reads and writes there, and nowhere else."""
    name = f"team-{uuid4().hex[:6]}"
    root.adapter.request("post", f"/v1/sys/namespaces/{name}")
    inside = hvac.Client(url=openbao.address, token=openbao.root_token.reveal(), namespace=name)
    inside.sys.enable_secrets_engine("kv", path="secret", options={"version": "2"})
    with (
        a_store(openbao.address, root_login(openbao), namespace=name) as store,
        a_store(openbao.address, root_login(openbao)) as outside,
    ):
        store.preflight(place)
        store.write(place, OWNER, a_record(), "0")
        assert store.read(place, OWNER).content == a_record()
        assert outside.read(place, OWNER).content == Absent()
    inside.session.close()


def test_version_1_mount_is_refused(openbao: OpenBao, root: hvac.Client, place: Destination) -> None:
    """KV version 1 knows no compare-and-set: nothing is written there."""
    mount = f"kv1-{uuid4().hex[:6]}"
    root.sys.enable_secrets_engine("kv", path=mount, options={"version": "1"})
    with (
        a_store(openbao.address, root_login(openbao), mount=mount) as store,
        pytest.raises(StoreRefusedError, match="not a KV version 2 engine"),
    ):
        store.preflight(place)


def test_missing_mount_is_refused(openbao: OpenBao, place: Destination) -> None:
    """A mount that does not exist is named, on reading already."""
    with (
        a_store(openbao.address, root_login(openbao), mount="nowhere") as store,
        pytest.raises(StoreRefusedError, match="mounted at 'nowhere'"),
    ):
        store.read(place, OWNER)


def test_version_1_mount_is_refused_on_reading(openbao: OpenBao, root: hvac.Client, place: Destination) -> None:
    """Version 1 says of our paths what version 2 says of a path never written: that must not pass for «nothing»."""
    mount = f"kv1-{uuid4().hex[:6]}"
    root.sys.enable_secrets_engine("kv", path=mount, options={"version": "1"})
    with (
        a_store(openbao.address, root_login(openbao), mount=mount) as store,
        pytest.raises(StoreRefusedError, match="not a KV version 2 engine"),
    ):
        store.read(place, OWNER)


def test_missing_mount_is_refused_by_preflight_and_check(openbao: OpenBao, place: Destination) -> None:
    """The root policy may write anywhere: that a mount is missing is found all the same."""
    with a_store(openbao.address, root_login(openbao), mount="nowhere") as store:
        with pytest.raises(StoreRefusedError, match="mounted at 'nowhere'"):
            store.preflight(place)
        with pytest.raises(StoreRefusedError, match="mounted at 'nowhere'"):
            store.check([(place, OWNER)])


def test_policy_with_one_of_two_capabilities(openbao: OpenBao, root: hvac.Client, place: Destination) -> None:
    """A policy that allows the first write only is refused, naming what every later one needs."""
    login = login_with_policy(root, f'path "secret/data/{place.path}" {{ capabilities = ["create", "read"] }}')
    with (
        a_store(openbao.address, login) as store,
        pytest.raises(StoreRefusedError, match=rf"at secret/data/{place.path}: the policy lacks update; add: path"),
    ):
        store.preflight(place)


def test_every_path_that_was_read_is_in_the_first_question(openbao: OpenBao, place: Destination) -> None:
    """A pass over many tokens asks for their capabilities once."""
    places = [replace(place, path=f"{place.path}/{number}") for number in range(5)]
    with a_store(openbao.address, root_login(openbao)) as store:
        for each in places:
            store.read(each, OWNER)
        sent = count_requests(store)
        for each in places:
            store.preflight(each)
        assert sent == ["POST /v1/sys/capabilities-self"]


def test_capabilities_that_may_not_be_asked(openbao: OpenBao, root: hvac.Client, place: Destination) -> None:
    """Without the default policy nobody knows whether a write would be accepted: refused, with the line to add."""
    policy = f'path "secret/data/{place.path}" {{ capabilities = ["create", "read", "update"] }}'
    asking = 'path "sys/capabilities-self" { capabilities = ["update"] }'
    with (
        a_store(openbao.address, login_with_policy(root, policy, no_default_policy=True)) as store,
        pytest.raises(StoreRefusedError, match=r'else add: path "sys/capabilities-self"'),
    ):
        store.preflight(place)
    with a_store(openbao.address, login_with_policy(root, f"{policy}\n{asking}", no_default_policy=True)) as store:
        store.preflight(place)
        assert store.write(place, OWNER, a_record(), "0") == "1"


def test_refused_write_makes_preflight_ask_anew(openbao: OpenBao, root: hvac.Client, place: Destination) -> None:
    """A right that was taken away is seen by the next preflight, not in five minutes."""
    path = f'path "secret/data/{place.path}"'
    name = a_policy(root, f'{path} {{ capabilities = ["create", "read", "update"] }}')
    token = SecretText(root.auth.token.create(policies=[name])["auth"]["client_token"])
    with a_store(openbao.address, TokenLogin(token=lambda: token)) as store:
        store.preflight(place)
        root.sys.create_or_update_policy(name=name, policy=f'{path} {{ capabilities = ["read"] }}')
        store.preflight(place)
        with pytest.raises(StoreRefusedError, match="denied"):
            store.write(place, OWNER, a_record(), "0")
        with pytest.raises(StoreRefusedError, match="lacks create and update"):
            store.preflight(place)


def test_larger_number_of_versions_counts(openbao: OpenBao, root: hvac.Client, place: Destination) -> None:
    """OpenBao keeps as many versions as the mount or the secret says, whichever is more."""
    mount = f"kv2-{uuid4().hex[:6]}"
    root.sys.enable_secrets_engine("kv", path=mount, options={"version": "2"})
    with a_store(openbao.address, root_login(openbao), mount=mount) as store:
        store.preflight(place)
        root.secrets.kv.v2.configure(max_versions=5, mount_point=mount)
        root.secrets.kv.v2.update_metadata(path=place.path, max_versions=2, mount_point=mount)
        assert store.check([(place, OWNER)]) == []
        root.secrets.kv.v2.configure(max_versions=1, mount_point=mount)
        assert [warning.partition(":")[2].split()[1:3] for warning in store.check([(place, OWNER)])] == [["is", "2:"]]


def test_secret_that_would_delete_itself_is_warned_of(openbao: OpenBao, root: hvac.Client, place: Destination) -> None:
    """A time limit on versions would take the current token away; odd characters in a path hide no setting."""
    odd = replace(place, path=f"{place.path}/a b?c#d%2e")
    root.secrets.kv.v2.update_metadata(path=odd.path, delete_version_after="30m", mount_point="secret")
    with a_store(openbao.address, root_login(openbao)) as store:
        warnings = store.check([(odd, OWNER)])
    assert [warning.split()[0] for warning in warnings] == ["delete_version_after"]


def test_too_few_versions_are_warned_of(openbao: OpenBao, root: hvac.Client, place: Destination) -> None:
    """A secret that keeps two versions would lose the one inside the overlap."""
    root.secrets.kv.v2.update_metadata(path=place.path, max_versions=2, mount_point="secret")
    with a_store(openbao.address, root_login(openbao)) as store:
        warnings = store.check([(place, OWNER)])
    assert [warning.partition(":")[0] for warning in warnings] == ["max_versions of vault"]


def test_destroyed_and_wiped_secrets_are_absent(openbao: OpenBao, root: hvac.Client, place: Destination) -> None:
    """A destroyed version keeps its number; wiped metadata starts again at nothing."""
    with a_store(openbao.address, root_login(openbao)) as store:
        store.write(place, OWNER, a_record(), "0")
        root.secrets.kv.v2.destroy_secret_versions(path=place.path, versions=[1], mount_point="secret")
        assert (store.read(place, OWNER).content, store.read(place, OWNER).revision) == (Absent(), "1")
        root.secrets.kv.v2.delete_metadata_and_all_versions(path=place.path, mount_point="secret")
        assert (store.read(place, OWNER).content, store.read(place, OWNER).revision) == (Absent(), "0")


def test_deletion_is_dated(openbao: OpenBao, root: hvac.Client, place: Destination) -> None:
    """A deleted secret says when it was deleted: what consumers have cached lives on from then."""
    with a_store(openbao.address, root_login(openbao)) as store:
        store.write(place, OWNER, a_record(), "0")
        written_at = store.read(place, OWNER).written_at
        root.secrets.kv.v2.delete_latest_version_of_secret(path=place.path, mount_point="secret")
        deleted_at = store.read(place, OWNER).written_at
    assert written_at is not None
    assert deleted_at is not None
    assert deleted_at > written_at


def test_competing_writer(openbao: OpenBao, root: hvac.Client, place: Destination) -> None:
    """Of two writers against one revision, one wins."""
    del root
    with a_store(openbao.address, root_login(openbao)) as one, a_store(openbao.address, root_login(openbao)) as other:
        revision = one.write(place, OWNER, a_record(1), "0")
        other.write(place, OWNER, a_record(2), revision)
        with pytest.raises(ConflictError):
            one.write(place, OWNER, a_record(3), revision)


def test_nothing_secret_is_told(openbao: OpenBao, root: hvac.Client, place: Destination) -> None:
    """No client token and no stored token stands in any error, its arguments or its causes."""
    login = login_with_policy(root, f'path "secret/data/{place.path}" {{ capabilities = ["read"] }}')
    with a_store(openbao.address, login) as store:
        with pytest.raises(ProvisionerError) as caught:
            store.write(place, OWNER, a_record(), "0")
        told = everything_told(caught.value)
        assert store._client_token.current().reveal() not in told
    assert a_record().token.reveal() not in told
