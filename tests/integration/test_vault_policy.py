"""The generated Vault policy on a real OpenBao: with exactly it everything works, and without any part of it not."""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import uuid4

import hvac
import pytest

from provisioner.domain.errors import ConfigurationError, ProvisionerError
from provisioner.domain.model import Absent, Destination, Format
from provisioner.domain.secret import SecretText
from provisioner.simulators.openbao import OpenBao
from provisioner.stores.vault import VaultStore
from provisioner.stores.vault_auth import AppRoleLogin, TokenLogin, VaultLogin
from provisioner.stores.vault_policy import Rule, reader_rules, store_rules, written
from tests.builders import OWNER, a_record
from tests.fakes.clock import FakeClock
from tests.vault import a_policy, a_store, count_requests, root_login

MOUNT = "policies"
PATH = "it/telegraf"
LEASE = timedelta(hours=1)
NEEDED_FOR = {
    ("data", "create"): "create",
    ("data", "read"): "read",
    ("data", "update"): "update",
    ("metadata", "read"): "check the secret",
    ("config", "read"): "check the mount",
    ("capabilities-self", "update"): "preflight",
    ("lookup-self", "read"): "renew",
    ("renew-self", "update"): "renew",
    ("revoke-self", "update"): "leave",
}
"""What stands in a policy -> an operation that fails without it."""


def what_it_is(rule: Rule) -> str:
    """Name a rule as ``NEEDED_FOR`` does."""
    parts = rule.path.split("/")
    return parts[1] if parts[0] == MOUNT else parts[-1]


def parts(rules: Sequence[Rule]) -> list[tuple[str, str]]:
    """Give every capability of every rule: each of them must be needed."""
    return [(what_it_is(rule), capability) for rule in rules for capability in rule.capabilities]


def without(rules: Sequence[Rule], part: tuple[str, str]) -> list[Rule]:
    """Give the policy without one capability; without the whole block, where it has no other."""
    left = []
    for rule in rules:
        kept = tuple(each for each in rule.capabilities if (what_it_is(rule), each) != part)
        left += [replace(rule, capabilities=kept)] if kept else []
    return left


@pytest.fixture(scope="module")
def mounted(openbao: OpenBao) -> None:
    """Mount an engine that keeps two versions of each secret: ``check`` warns of it."""
    client = hvac.Client(url=openbao.address, token=openbao.root_token.reveal())
    client.sys.enable_secrets_engine("kv", path=MOUNT, options={"version": "2"})
    client.secrets.kv.v2.configure(max_versions=2, mount_point=MOUNT)
    client.sys.enable_auth_method("approle", path=MOUNT)
    client.session.close()


@dataclass(slots=True)
class Trying:
    """Everything that a store does, one operation after the other."""

    store: VaultStore
    root: hvac.Client
    clock: FakeClock
    place: Destination
    failed: list[str]

    def run(self) -> list[str]:
        """Give the names of the operations that failed."""
        operations: dict[str, Callable[[], bool]] = {
            "preflight": self._may_write,
            "read nothing": lambda: self.store.read(self.place, OWNER).content == Absent(),
            "create": lambda: self.store.write(self.place, OWNER, a_record(1), "0") == "1",
            "read": lambda: self.store.read(self.place, OWNER).content == a_record(1),
            "update": lambda: self.store.write(self.place, OWNER, a_record(2), "1") == "2",
            "fence": lambda: self.store.write(self.place, OWNER, a_record(2), "2") == "3",
            "check the mount": lambda: self._is_warned_of("max_versions"),
            "check the secret": self._is_warned_of_its_end,
            "renew": self._renews,
            "leave": self._leaves_nothing_behind,
        }
        self._run(operations)
        return self.failed

    def run_as_reader(self) -> list[str]:
        """Give the names of a reader's operations that failed."""
        operations: dict[str, Callable[[], bool]] = {
            "read": lambda: self.store.read(self.place, OWNER).content == a_record(1),
            "renew": self._renews,
            "leave": self._leaves_nothing_behind,
        }
        self._run(operations)
        return self.failed

    def _run(self, operations: dict[str, Callable[[], bool]]) -> None:
        for name, operation in operations.items():
            try:
                well = operation()
            except ProvisionerError:
                well = False
            self.failed += [] if well else [name]

    def _is_warned_of(self, setting: str) -> bool:
        return any(warning.startswith(setting) for warning in self.store.check([(self.place, OWNER)]))

    def _may_write(self) -> bool:
        self.store.preflight(self.place)
        return True

    def _is_warned_of_its_end(self) -> bool:
        """Tell whether a limit of the secret is seen; set before the first write, that one would need no ``create``."""
        self.root.secrets.kv.v2.update_metadata(path=self.place.path, delete_version_after="30m", mount_point=MOUNT)
        return self._is_warned_of("delete_version_after")

    def _renews(self) -> bool:
        """Tell whether the client token lasts longer by being renewed, without another login."""
        self.store._client_token.current()
        self.clock.advance(LEASE * 3 / 4)
        sent = count_requests(self.store)
        self.store._client_token.current()
        return sent == ["POST /v1/auth/token/renew-self"]

    def _leaves_nothing_behind(self) -> bool:
        """Tell whether a client token that we obtained is gone when we leave."""
        token, ours = self.store._client_token.current().reveal(), self.store._client_token._login.obtained_by_us
        self.store.close()
        try:
            self.root.auth.token.lookup(token)
        except hvac.exceptions.Forbidden:
            return ours
        return not ours


def a_login(root: hvac.Client, rules: Sequence[Rule], method: str) -> VaultLogin:
    """Give a login whose client token has exactly that policy, and no default policy."""
    name = a_policy(root, written(rules, "a test"))
    if method == "token":
        answer = root.auth.token.create(policies=[name], no_default_policy=True, ttl="1h", renewable=True)
        token = SecretText(answer["auth"]["client_token"])
        assert answer["auth"]["token_policies"] == [name]
        return TokenLogin(token=lambda: token)
    root.auth.approle.create_or_update_approle(
        name, token_policies=[name], token_no_default_policy=True, token_ttl="1h", mount_point=MOUNT
    )
    role_id = SecretText(root.auth.approle.read_role_id(name, mount_point=MOUNT)["data"]["role_id"])
    secret_id = SecretText(root.auth.approle.generate_secret_id(name, mount_point=MOUNT)["data"]["secret_id"])
    return AppRoleLogin(role_id=lambda: role_id, secret_id=lambda: secret_id, mount=MOUNT)


@pytest.fixture
def secret(mounted: None) -> Destination:
    """Give a path of this test alone."""
    del mounted
    return Destination(store="vault", path=f"{PATH}/{uuid4()}")


def tried(openbao: OpenBao, root: hvac.Client, place: Destination, rules: Sequence[Rule], method: str) -> Trying:
    """Give a store that has that policy."""
    clock = FakeClock()
    login = a_login(root, rules, method)
    store = VaultStore(name="vault", address=openbao.address, mount=MOUNT, login=login, clock=clock)
    return Trying(store=store, root=root, clock=clock, place=place, failed=[])


METHODS = ("token", "approle")
EVERY_PART = [
    (method, part) for method in METHODS for part in parts(store_rules(MOUNT, [PATH], logs_in=method == "approle"))
]
EVERY_PART_OF_A_READER = [
    (method, part) for method in METHODS for part in parts(reader_rules(MOUNT, [PATH], logs_in=method == "approle"))
]


@pytest.mark.parametrize("method", METHODS)
def test_policy_is_enough(openbao: OpenBao, root: hvac.Client, secret: Destination, method: str) -> None:
    """With the generated policy and no other, not even the default one, nothing that a store does fails."""
    rules = store_rules(MOUNT, [secret.path], logs_in=method == "approle")
    assert tried(openbao, root, secret, rules, method).run() == []


@pytest.mark.parametrize(("method", "part"), EVERY_PART, ids=str)
def test_every_part_of_the_policy_is_needed(
    openbao: OpenBao, root: hvac.Client, secret: Destination, method: str, part: tuple[str, str]
) -> None:
    """Take any one away, and the operation that needs it fails."""
    rules = without(store_rules(MOUNT, [secret.path], logs_in=method == "approle"), part)
    trying = tried(openbao, root, secret, rules, method)
    with closing(trying.store):
        assert NEEDED_FOR[part] in trying.run()


def test_policy_of_a_bare_token_is_enough(openbao: OpenBao, root: hvac.Client, secret: Destination) -> None:
    """Our fields are kept in custom metadata: that is allowed, too."""
    bare = replace(secret, format=Format.RAW)
    rules = store_rules(MOUNT, [bare.path], raw=[bare.path], logs_in=False)
    assert tried(openbao, root, bare, rules, "token").run() == []


@pytest.mark.parametrize("capability", ["create", "patch", "read", "update"])
def test_every_part_of_the_policy_of_a_bare_token_is_needed(
    openbao: OpenBao, root: hvac.Client, secret: Destination, capability: str
) -> None:
    """Take any right to the custom metadata away, and nothing is minted for it, or a check fails."""
    bare = replace(secret, format=Format.RAW)
    rules = without(store_rules(MOUNT, [bare.path], raw=[bare.path], logs_in=False), ("metadata", capability))
    trying = tried(openbao, root, bare, rules, "token")
    with closing(trying.store):
        assert {"preflight", "check the secret"} & set(trying.run())


@pytest.mark.parametrize("method", METHODS)
def test_readers_policy_is_enough(openbao: OpenBao, root: hvac.Client, secret: Destination, method: str) -> None:
    """A reader with the generated policy reads what was written, and leaves nothing behind."""
    with a_store(openbao.address, root_login(openbao), mount=MOUNT) as store:
        store.write(secret, OWNER, a_record(1), "0")
    rules = reader_rules(MOUNT, [secret.path], logs_in=method == "approle")
    assert tried(openbao, root, secret, rules, method).run_as_reader() == []


@pytest.mark.parametrize(("method", "part"), EVERY_PART_OF_A_READER, ids=str)
def test_every_part_of_the_readers_policy_is_needed(
    openbao: OpenBao, root: hvac.Client, secret: Destination, method: str, part: tuple[str, str]
) -> None:
    """Take any one away, and the operation that needs it fails."""
    with a_store(openbao.address, root_login(openbao), mount=MOUNT) as store:
        store.write(secret, OWNER, a_record(1), "0")
    rules = without(reader_rules(MOUNT, [secret.path], logs_in=method == "approle"), part)
    trying = tried(openbao, root, secret, rules, method)
    with closing(trying.store):
        assert NEEDED_FOR[part] in trying.run_as_reader()


def test_policy_of_one_secret_opens_no_other(openbao: OpenBao, root: hvac.Client, secret: Destination) -> None:
    """Neither a sibling nor what lies below it can be read or written."""
    rules = store_rules(MOUNT, [secret.path], logs_in=False)
    for other in (f"{secret.path}-2", f"{secret.path}/below", PATH):
        trying = tried(openbao, root, replace(secret, path=other), rules, "token")
        with closing(trying.store):
            assert {"preflight", "read nothing", "create"} <= set(trying.run())


def test_odd_characters_are_named_exactly(openbao: OpenBao, root: hvac.Client, secret: Destination) -> None:
    """A quotation mark, a backslash or a blank in a path makes no other policy of it."""
    odd = replace(secret, path=f'{secret.path}/a "b" \\c é')
    rules = store_rules(MOUNT, [odd.path], logs_in=False)
    trying = tried(openbao, root, odd, rules, "token")
    assert trying.run() == []


@pytest.mark.parametrize("path", ["influx/*", "influx/+/telegraf", "influx/{{identity.entity.id}}"])
def test_patterns_are_refused(path: str) -> None:
    """What a policy takes for a pattern would open more than the one secret."""
    with pytest.raises(ConfigurationError, match="cannot be named exactly"):
        store_rules(MOUNT, [path], logs_in=True)
