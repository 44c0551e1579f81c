"""The generated IAM policy against everything that the store sends: neither a right too few nor one too many."""

from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

import pytest

from provisioner.domain.model import Destination, Format
from provisioner.simulators.secrets_manager_server import SecretsManagerServer
from provisioner.stores.aws_access import Access
from provisioner.stores.aws_policy import Scope, reader_policy, store_policy
from provisioner.stores.aws_writing import NewSecrets
from tests.aws import REGION, Person, a_store
from tests.builders import OWNER, a_record

SCOPE = Scope(partition="aws", region=REGION, account="123456789012")
KEY_ID = "1234abcd-12ab-34cd-56ef-1234567890ab"
BY_AWS = {
    "Tags": {"secretsmanager:TagResource"},
    "AddReplicaRegions": {"secretsmanager:ReplicateSecretToRegions"},
    "KmsKeyId": {"kms:GenerateDataKey", "kms:Decrypt"},
}
"""What AWS asks for besides the action itself, by argument of CreateSecret."""

Sent = list[tuple[str, dict[str, Any]]]


def everything_that_is_sent(aws: SecretsManagerServer, place: Destination, new: NewSecrets) -> Sent:
    """Do everything that a store does, with all that can happen to a secret; give the requests."""
    sent: Sent = []
    carry_out = aws.carry_out

    def noted(operation: str, request: dict[str, Any]) -> dict[str, Any]:
        sent.append((operation, request))
        return carry_out(operation, request)

    person = Person(aws.address)
    aws.service.keys["alias/ours"] = "Enabled"
    with a_store(aws.address, new_secrets=new) as store:
        object.__setattr__(aws, "carry_out", noted)
        store.preflight(place)
        store.write(place, OWNER, a_record(1), store.read(place, OWNER).revision)
        store.write(place, OWNER, a_record(2), store.read(place, OWNER).revision)
        store.write(place, OWNER, a_record(2), store.read(place, OWNER).revision)
        store.check([(place, OWNER)])
        object.__setattr__(aws, "carry_out", carry_out)
        person.delete(place.path)
        object.__setattr__(aws, "carry_out", noted)
        for number in (3, 4):
            store.write(place, OWNER, a_record(number), store.read(place, OWNER).revision)
        assert store.read(place, OWNER).content == a_record(4)
    person.close()
    return sent


def needed(sent: Sent) -> set[str]:
    """Give the actions that those requests need."""
    actions = {"kms:DescribeKey" if name == "DescribeKey" else f"secretsmanager:{name}" for name, _ in sent}
    created = [request for name, request in sent if name == "CreateSecret"]
    by_aws = (rights for request in created for key, rights in BY_AWS.items() if key in request)
    return actions.union(*by_aws)


def allowed(policy: dict[str, Any], resource: str | None = None) -> set[str]:
    """Give the actions that a policy allows, at all or at a resource."""
    return {
        action
        for statement in policy["Statement"]
        for action in statement["Action"]
        if resource is None or any(fnmatchcase(resource, each) for each in as_list(statement["Resource"]))
    }


def as_list(value: Any) -> list[str]:
    """Give one or several as several."""
    return value if isinstance(value, list) else [value]


@pytest.mark.parametrize(
    ("key", "regions"), [(None, ()), (None, ("eu-central-1",)), ("alias/ours", ()), ("alias/ours", ("eu-central-1",))]
)
def test_policy_allows_what_is_sent_and_nothing_else(
    aws: SecretsManagerServer, place: Destination, key: str | None, regions: tuple[str, ...]
) -> None:
    """Both ways: every request is allowed, and every action is used."""
    sent = everything_that_is_sent(aws, place, NewSecrets(kms_key_id=key, replicate_to=regions))
    policy = store_policy(SCOPE, [place.path], kms_key_id=key, replicates=bool(regions))
    assert needed(sent) == allowed(policy)


def test_policy_of_a_bare_token_allows_what_is_sent_and_nothing_else(
    aws: SecretsManagerServer, place: Destination
) -> None:
    """Our fields are kept in tags: that is allowed, too, for just those secrets."""
    bare = replace(place, format=Format.RAW)
    policy = store_policy(SCOPE, [bare.path, "other"], raw=[bare.path], kms_key_id=None)
    assert needed(everything_that_is_sent(aws, bare, NewSecrets())) == allowed(policy)
    other = f"arn:aws:secretsmanager:{REGION}:123456789012:secret:other-a1B2c3"
    assert "secretsmanager:UntagResource" not in allowed(policy, other)


def test_policy_allows_it_for_just_these_secrets(aws: SecretsManagerServer, place: Destination) -> None:
    """AWS's six characters behind a name are the only thing that is open."""
    sent = everything_that_is_sent(aws, place, NewSecrets())
    policy = store_policy(SCOPE, [place.path], kms_key_id=None)
    arn = f"arn:aws:secretsmanager:{REGION}:123456789012:secret:{place.path}"
    assert needed(sent) == allowed(policy, f"{arn}-a1B2c3")
    for other in (arn, f"{arn}-2-a1B2c3", f"{arn}/x-a1B2c3", f"{arn}-a1B2c34", f"x{arn}-a1B2c3"):
        assert allowed(policy, other) == set()
    assert {request.get("SecretId", request.get("Name")) for _, request in sent} == {place.path}


def test_readers_policy_allows_what_it_sends_and_nothing_else(aws: SecretsManagerServer, place: Destination) -> None:
    """It reads values, of just these secrets, and what their key encrypts."""
    with a_store(aws.address, reader=Access(region=REGION, endpoint_url=aws.address)) as store:
        store.confirm(place, OWNER)
        store.write(place, OWNER, a_record(), store.read(place, OWNER).revision)
        aws.requests.clear()
        store.confirm(place, OWNER)
    assert {f"secretsmanager:{name}" for name in aws.requests} == allowed(
        reader_policy(SCOPE, [place.path], kms_key_id=None)
    )
    assert allowed(reader_policy(SCOPE, [place.path], kms_key_id=KEY_ID)) - {"kms:Decrypt"} == {
        "secretsmanager:GetSecretValue"
    }


@pytest.mark.parametrize(
    ("key", "resource", "alias"),
    [
        (KEY_ID, f"arn:aws:kms:{REGION}:123456789012:key/{KEY_ID}", None),
        (f"arn:aws:kms:{REGION}:999999999999:key/{KEY_ID}", f"arn:aws:kms:{REGION}:999999999999:key/{KEY_ID}", None),
        ("alias/ours", f"arn:aws:kms:{REGION}:123456789012:key/*", "alias/ours"),
        (f"arn:aws:kms:{REGION}:123456789012:alias/ours", f"arn:aws:kms:{REGION}:123456789012:key/*", "alias/ours"),
    ],
)
def test_key_is_used_for_secrets_alone(key: str, resource: str, alias: str | None) -> None:
    """However it is named: by Secrets Manager in our name, and looked at by ourselves."""
    policy: dict[str, Any] = store_policy(SCOPE, ["x"], kms_key_id=key)
    using, looking = policy["Statement"][-2:]
    of_alias = {} if alias is None else {"ForAnyValue:StringEquals": {"kms:ResourceAliases": alias}}
    through = {"StringEquals": {"kms:ViaService": f"secretsmanager.{REGION}.amazonaws.com"}}
    assert (using["Resource"], using["Condition"]) == (resource, through | of_alias)
    assert (looking["Resource"], looking.get("Condition", {})) == (resource, of_alias)


def test_china_has_names_of_its_own() -> None:
    """Another partition, and another domain."""
    scope = Scope(partition="aws-cn", region="cn-north-1", account="123456789012")
    policy: dict[str, Any] = reader_policy(scope, ["x"], kms_key_id=KEY_ID)
    reading, using = policy["Statement"]
    assert reading["Resource"] == ["arn:aws-cn:secretsmanager:cn-north-1:123456789012:secret:x-??????"]
    assert using["Condition"]["StringEquals"] == {"kms:ViaService": "secretsmanager.cn-north-1.amazonaws.com.cn"}
