"""The policy that a Vault store, or its reader, needs: what ``vault.py`` and ``vault_auth.py`` ask for, and no more.

``tests/integration/test_vault_policy.py`` takes every line away in turn, on a real OpenBao, and sees something fail.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from provisioner.domain.errors import ConfigurationError


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One path and what may be done there."""

    path: str
    capabilities: tuple[str, ...]
    why: str
    """What it is for; says so where Vault's own default policy has it already."""


def store_rules(mount: str, paths: Sequence[str], *, raw: Sequence[str] = (), logs_in: bool) -> tuple[Rule, ...]:
    """Give what the store itself needs; ``logs_in``: its client token is obtained by us, not by somebody else.

    ``raw`` are the paths among them that hold the bare token, with our fields in custom metadata.

    ``sys/internal/ui/mounts`` is not among it: Vault answers whoever may do anything in that mount.
    """
    data = (_data(mount, path, ("create", "read", "update"), "read, write and fence") for path in paths)
    settings = (
        Rule(
            path=_exact(f"{mount}/metadata/{path}"),
            capabilities=("create", "patch", "read", "update") if path in raw else ("read",),
            why=f"`provisioner check`: its settings{', and our fields beside a bare token' if path in raw else ''}",
        )
        for path in paths
    )
    by_mount = Rule(
        path=_exact(f"{mount}/config"), capabilities=("read",), why="`provisioner check`: the same, of the mount"
    )
    asking = Rule(
        path="sys/capabilities-self",
        capabilities=("update",),
        why="asked before anything is minted; in the default policy",
    )
    return (*data, *settings, by_mount, asking, *_client_token(logs_in=logs_in))


def reader_rules(mount: str, paths: Sequence[str], *, logs_in: bool) -> tuple[Rule, ...]:
    """Give what the store's reader needs."""
    data = (_data(mount, path, ("read",), "what consumers read") for path in paths)
    return (*data, *_client_token(logs_in=logs_in))


def written(rules: Sequence[Rule], heading: str) -> str:
    """Write a policy in HCL, with a comment for every line."""
    head = "".join(f"# {line}\n" for line in heading.splitlines())
    return "\n".join([head, *(_block(rule) for rule in rules)])


def _client_token(*, logs_in: bool) -> Iterator[Rule]:
    default = "our client token; in the default policy"
    if not logs_in:
        yield Rule(path="auth/token/lookup-self", capabilities=("read",), why=f"how long it lasts: {default}")
    yield Rule(path="auth/token/renew-self", capabilities=("update",), why=f"before it ends: {default}")
    if logs_in:
        yield Rule(path="auth/token/revoke-self", capabilities=("update",), why=f"when we leave: {default}")


def _data(mount: str, path: str, capabilities: tuple[str, ...], why: str) -> Rule:
    return Rule(path=_exact(f"{mount}/data/{path}"), capabilities=capabilities, why=why)


def _exact(path: str) -> str:
    """Refuse a path that a policy would take for a pattern."""
    if path.endswith("*") or "+" in path.split("/") or "{{" in path:
        raise ConfigurationError(
            f"the path {path} cannot be named exactly in a Vault policy: '*' at its end, a part '+' and '{{{{' are"
            " patterns there; choose another path"
        )
    return path


def _block(rule: Rule) -> str:
    name, capabilities = json.dumps(rule.path, ensure_ascii=False), ", ".join(f'"{each}"' for each in rule.capabilities)
    return f"# {rule.why}\npath {name} {{\n  capabilities = [{capabilities}]\n}}\n"
