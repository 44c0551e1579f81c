"""The commands that print policies: ``policy vault``, ``policy aws``. They read the configuration, and ask nobody."""

import json
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Final, TypeVar

import typer

from provisioner.cli import render
from provisioner.cli.options import Config, config_path
from provisioner.domain.errors import ConfigurationError
from provisioner.stores import aws_policy, vault_policy

if TYPE_CHECKING:  # pydantic is loaded by the commands that read a configuration, when they do
    from provisioner.settings.load import Settings
    from provisioner.settings.model import AwsStoreSettings as Aws
    from provisioner.settings.model import VaultStoreSettings as Vault

S = TypeVar("S", "Vault", "Aws")
ACCOUNT: Final = "ACCOUNT"
REGION: Final = "REGION"
PARTITION: Final = "aws"


class PolicyOutput(StrEnum):
    """How a policy is printed."""

    TEXT = "text"
    JSON = "json"


Store = Annotated[str | None, typer.Option("--store", metavar="NAME", help="Which store, where there are several.")]
Reader = Annotated[bool, typer.Option("--reader", help="What the store's reader needs, instead of the store itself.")]
Output = Annotated[
    PolicyOutput, typer.Option("--output", "-o", help="The policy by itself, or as JSON with what it is for.")
]

policy = typer.Typer(
    no_args_is_help=True, help="Print the exact policy that a store of this configuration needs: nothing more, no less."
)


@policy.command()
def vault(
    context: typer.Context,
    store: Store = None,
    reader: Reader = False,
    config: Config = None,
    output: Output = PolicyOutput.TEXT,
) -> None:
    """Print the policy of a Vault or OpenBao store, in HCL."""
    from provisioner.settings.load import load_settings
    from provisioner.settings.model import VaultStoreSettings

    settings, _ = load_settings(config_path(context, config))
    name, chosen = _chosen(settings, VaultStoreSettings, store)
    auth = chosen.reader if reader else chosen.auth
    if auth is None:
        raise _no_reader(name)
    paths, logs_in = _paths(settings, name), auth.method != "token"
    rules = (
        vault_policy.reader_rules(chosen.mount, paths, logs_in=logs_in)
        if reader
        else vault_policy.store_rules(chosen.mount, paths, raw=_raw_paths(settings, name), logs_in=logs_in)
    )
    where = f", in its namespace {chosen.namespace}" if chosen.namespace else ""
    heading = (
        f"The policy of {_whom(name, reader=reader)}{where}, by\n"
        "`provisioner policy vault`: exactly what is used. What is said to be in the default policy\n"
        "may be left out where the client token has that one."
    )
    text = vault_policy.written(rules, heading)
    if output is PolicyOutput.TEXT:
        typer.echo(text, nl=False)
        return
    render.print_json(
        {
            "store": name,
            "reader": reader,
            "namespace": chosen.namespace,
            "policy": text,
            "rules": [render.as_plain(rule) for rule in rules],
        }
    )


@policy.command()
def aws(
    context: typer.Context,
    store: Store = None,
    reader: Reader = False,
    account: Annotated[
        str | None, typer.Option("--account", metavar="ID", help="AWS's account; else that of the role assumed.")
    ] = None,
    partition: Annotated[
        str | None, typer.Option("--partition", help="Such as aws-cn; else that of the role assumed, else aws.")
    ] = None,
    region: Annotated[str | None, typer.Option("--region", help="Where the configuration names none.")] = None,
    config: Config = None,
    output: Output = PolicyOutput.TEXT,
) -> None:
    """Print the IAM policy of a store in AWS Secrets Manager, in JSON."""
    from provisioner.settings.load import load_settings
    from provisioner.settings.model import AwsStoreSettings

    settings, _ = load_settings(config_path(context, config))
    name, chosen = _chosen(settings, AwsStoreSettings, store)
    if reader and chosen.reader is None:
        raise _no_reader(name)
    role = chosen.assume_role.role_arn if chosen.assume_role else None
    of_role = role.split(":") if role else ["", PARTITION, "", "", ACCOUNT]
    scope = aws_policy.Scope(
        partition=partition or of_role[1], region=chosen.region or region or REGION, account=account or of_role[4]
    )
    paths = _paths(settings, name)
    document = (
        aws_policy.reader_policy(scope, paths, kms_key_id=chosen.kms_key_id)
        if reader
        else aws_policy.store_policy(
            scope,
            paths,
            raw=_raw_paths(settings, name),
            kms_key_id=chosen.kms_key_id,
            replicates=bool(chosen.replicate_to),
        )
    )
    notes = [*_placeholders(scope), *_role_notes(chosen, reader=reader)]
    if output is PolicyOutput.JSON:
        render.print_json({"store": name, "reader": reader, "policy": document, "notes": notes})
        return
    typer.echo(json.dumps(document, indent=2))
    for note in notes:
        render.complaints().print(note)


def _chosen(settings: "Settings", kind: type[S], name: str | None) -> tuple[str, S]:
    """Give the one store that is meant, of those of a kind."""
    stores = {key: each for key, each in settings.stores.items() if isinstance(each, kind)}
    if name is None and len(stores) == 1:
        return next(iter(stores.items()))
    if name in stores:
        return name, stores[name]
    there_are = ", ".join(stores) or "none"
    raise ConfigurationError(f"name a store of that kind with --store; there are: {there_are}")


def _paths(settings: "Settings", store: str) -> list[str]:
    """Give the paths of every destination in a store; raises ConfigurationError when there are none."""
    paths = [place.path for token in settings.tokens for place in token.destinations if place.store == store]
    if not paths:
        raise ConfigurationError(f"no token has a destination in store {store}: there is nothing to allow")
    return paths


def _raw_paths(settings: "Settings", store: str) -> list[str]:
    """Give the paths of a store that hold the bare token."""
    places = [place for token in settings.tokens for place in token.destinations if place.store == store]
    return [place.path for place in places if place.format == "raw"]


def _whom(store: str, *, reader: bool) -> str:
    return f"the reader of store {store}" if reader else f"store {store}"


def _no_reader(store: str) -> ConfigurationError:
    return ConfigurationError(f"stores.{store} has no reader: configure one, or leave --reader out")


def _placeholders(scope: aws_policy.Scope) -> list[str]:
    """Say what is to be filled in."""
    missing = [word for word in (ACCOUNT, REGION) if word in {scope.account, scope.region}]
    return [f"put your own in place of {word}, or name it with --{word.lower()}" for word in missing]


def _role_notes(store: "Aws", *, reader: bool) -> list[str]:
    """Say whose policy it is where a role is assumed, and what that takes."""
    assumed = (store.reader.assume_role if store.reader else None) if reader else store.assume_role
    if assumed is None:
        return []
    arn = assumed.role_arn
    return [f"this is the policy of {arn}; who takes it on needs sts:AssumeRole on it, and its trust policy must agree"]
