"""The IAM policy that an AWS store, or its reader, needs: what ``aws_wire.py`` asks for, and no more.

``tests/integration/test_aws_policy.py`` compares it with everything that the store sends. What a request needs besides
its own action is AWS's word: for tags and copies of a new secret, and for the key behind a secret.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

Statement = dict[str, object]
_ALIAS: Final = "alias/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Where the secrets are."""

    partition: str
    region: str
    account: str

    def secret(self, name: str) -> str:
        """Give the ARN of a secret; AWS appends a hyphen and six characters of its own."""
        return f"arn:{self.partition}:secretsmanager:{self.region}:{self.account}:secret:{name}-??????"

    def key(self, key: str) -> str:
        """Give the ARN of a key by its id; any key, where it is named by an alias: policies know no alias."""
        return f"arn:{self.partition}:kms:{self.region}:{self.account}:key/{'*' if _alias(key) else key}"


def store_policy(
    scope: Scope, names: Sequence[str], *, raw: Sequence[str] = (), kms_key_id: str | None, replicates: bool = False
) -> dict[str, object]:
    """Give what the store itself needs; ``raw`` are the names that hold the bare token, with our fields in tags."""
    secrets = [scope.secret(name) for name in names]
    creating = ["CreateSecret", "TagResource", *(["ReplicateSecretToRegions"] if replicates else [])]
    writing = ["GetSecretValue", "DescribeSecret", "PutSecretValue", "UpdateSecretVersionStage"]
    statements = [
        _statement("ReadWriteAndPromote", writing, secrets),
        _statement("RestoreWhatWasDeleted", ["RestoreSecret"], secrets),
        _statement("CreateWhatIsMissing", creating, secrets),
    ]
    if raw:
        tagged = [scope.secret(name) for name in raw]
        statements.append(_statement("KeepOurFieldsInTags", ["TagResource", "UntagResource"], tagged))
    if kms_key_id is not None:
        statements.append(_through_secrets_manager(scope, kms_key_id, ["kms:Decrypt", "kms:GenerateDataKey"]))
        statements.append(_of_key("SeeThatTheKeyIsUsable", scope, kms_key_id, ["kms:DescribeKey"]))
    return {"Version": "2012-10-17", "Statement": statements}


def reader_policy(scope: Scope, names: Sequence[str], *, kms_key_id: str | None) -> dict[str, object]:
    """Give what the store's reader needs."""
    statements = [_statement("ReadAsConsumersDo", ["GetSecretValue"], [scope.secret(name) for name in names])]
    if kms_key_id is not None:
        statements.append(_through_secrets_manager(scope, kms_key_id, ["kms:Decrypt"]))
    return {"Version": "2012-10-17", "Statement": statements}


def _statement(sid: str, operations: Sequence[str], resources: Sequence[str]) -> Statement:
    actions = [f"secretsmanager:{operation}" for operation in operations]
    return {"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": list(resources)}


def _through_secrets_manager(scope: Scope, key: str, actions: Sequence[str]) -> Statement:
    """Allow to use the key for secrets alone: it is Secrets Manager that uses it, in our name."""
    service = f"secretsmanager.{scope.region}.{_domain(scope.partition)}"
    statement = _of_key("UseTheKeyForSecrets", scope, key, actions)
    condition = statement.get("Condition")
    others = condition if isinstance(condition, dict) else {}
    return statement | {"Condition": {"StringEquals": {"kms:ViaService": service}} | others}


def _of_key(sid: str, scope: Scope, key: str, actions: Sequence[str]) -> Statement:
    alias = _alias(key)
    resource = key if key.startswith("arn:") and alias is None else scope.key(key)
    statement: Statement = {"Sid": sid, "Effect": "Allow", "Action": list(actions), "Resource": resource}
    if alias is not None:
        statement["Condition"] = {"ForAnyValue:StringEquals": {"kms:ResourceAliases": alias}}
    return statement


def _alias(key: str) -> str | None:
    """Give the alias by which a key is named, alone or in an ARN."""
    name = key.split(":", 5)[-1]
    return name if name.startswith(_ALIAS) else None


def _domain(partition: str) -> str:
    return "amazonaws.com.cn" if partition == "aws-cn" else "amazonaws.com"
