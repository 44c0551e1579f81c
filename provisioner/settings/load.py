"""From the file and the environment to Settings, with every problem named at once."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, get_args

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from provisioner.domain.errors import ConfigurationError
from provisioner.domain.model import ManagedToken
from provisioner.domain.scrub import LONGEST_PLAIN_WORD, scrub
from provisioner.settings import convert, rules
from provisioner.settings.issuers import IssuerSettings
from provisioner.settings.model import (
    Defaults,
    Instance,
    LeaderElection,
    Log,
    Name,
    Reconcile,
    Server,
    StoreSettings,
    TokenSettings,
)
from provisioner.settings.source import FileAndEnvironment, find_file

_ISSUER_KINDS: Final = ("influxctl", "influxdb3", "influxdb-management-api")
_STORE_KINDS: Final = ("vault", "aws-secrets-manager")
_LOGINS: Final = ("token", "approle", "kubernetes", "jwt")
_TAGS: Final = frozenset({*_ISSUER_KINDS, *_STORE_KINDS, *_LOGINS})
_KINDS: Final = {"issuers": _ISSUER_KINDS, "stores": _STORE_KINDS}
_SHOWN: Final = 20


class Settings(BaseSettings):
    """The whole configuration of one instance."""

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, env_prefix="PROVISIONER_UNUSED_"
    )

    instance: Instance = Field(description="Owner scope: part of the mark on every token; unique per deployment.")
    issuers: dict[Name, IssuerSettings] = Field(min_length=1)
    stores: dict[Name, StoreSettings] = Field(min_length=1)
    defaults: Defaults = Defaults()
    tokens: list[TokenSettings] = Field(min_length=1)
    server: Server = Server()
    reconcile: Reconcile = Reconcile()
    leader_election: LeaderElection = LeaderElection()
    log: Log = Log()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take what was read already: the file and the environment are one source, read in ``load_settings``."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)

    def managed_tokens(self) -> tuple[ManagedToken, ...]:
        """Give the tokens in the domain's own types."""
        return tuple(
            convert.managed_token(
                self.instance,
                token,
                self.defaults,
                self.reconcile.interval,
                self.stores,
                credential_of=convert.issuers_called_with(token.name, self.issuers),
            )
            for token in self.tokens
        )


def load_settings(path: Path | None) -> tuple[Settings, Path]:
    """Find, read and judge the configuration; raises ConfigurationError naming every key that is wrong."""
    file = find_file(path)
    content = FileAndEnvironment(Settings, file)()
    settings = _judged(content)
    if isinstance(settings, list):
        raise _refused(file, settings)
    problems = list(rules.problems(settings.issuers, settings.stores, settings.tokens, settings.defaults))
    if problems:
        raise _refused(file, problems)
    return settings, file


def json_schema() -> dict[str, Any]:
    """Give the JSON Schema of the file."""
    schema = Settings.model_json_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "token-provisioner configuration",
    }


def _judged(content: dict[str, Any]) -> Settings | list[str]:
    """Give the settings, or what is wrong with them. Pydantic's error ends here: it holds what was written."""
    orders = [scrub(key, longest_word=LONGEST_PLAIN_WORD) for key in content if key.startswith("_")]
    if orders:  # pydantic-settings would take some of them as meant for itself, `_env_file` for one
        return [f"{key}: unknown key{_guess(key)}" for key in orders]
    try:
        return Settings(**content)
    except ValidationError as error:
        problems = error.errors(include_input=False, include_url=False)
        return list(dict.fromkeys(_line(problem, content) for problem in problems))


def _refused(file: Path, lines: list[str]) -> ConfigurationError:
    more = [f"… and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
    return ConfigurationError("\n".join([f"the configuration {file} is refused:", *lines[:_SHOWN], *more]))


def _line(problem: Mapping[str, Any], content: Mapping[str, Any]) -> str:
    """Say one problem: the key, what is wrong, what to do. Values are not repeated: one may be a secret."""
    location = [part for part in problem["loc"] if part != "[key]"]
    key = _key(location, content)
    match problem["type"]:
        case "extra_forbidden":
            *above, last = location
            unknown = scrub(str(last), longest_word=LONGEST_PLAIN_WORD)  # a secret, if the key was forgotten
            return f"{_key([*above, unknown], content)}: unknown key{_guess(unknown)}"
        case "missing":
            return f"{key}: is missing"
        case "string_pattern_mismatch":
            return f"{key}: must be lower-case letters, digits and hyphens, at most 63 (a DNS label)"
        case "union_tag_invalid" | "union_tag_not_found":
            context = problem.get("ctx", {})
            discriminator = str(context.get("discriminator", "'method'")).strip("'")
            expected = context.get("expected_tags") or _listed(_KINDS.get(location[0], _LOGINS))
            return f"{key}: {discriminator} must be one of {expected}"
        case _:
            text = str(problem["msg"]).removeprefix("Value error, ")
            return f"{key}: {text.replace('Input should be ', 'must be ', 1)}"


def _listed(kinds: Sequence[str]) -> str:
    return ", ".join(repr(kind) for kind in kinds)


def _key(location: list[Any], content: Mapping[str, Any]) -> str:
    """Write where a problem is, tokens by their names: ``tokens[telegraf-admin].ttl``."""
    text = ""
    place: Any = content
    for index, part in enumerate(location):
        inside = isinstance(place, Mapping) and part in place
        if part in _TAGS and not inside and index and index < len(location):
            continue  # the tag of a union, no key of the file
        item = (
            place[part] if inside or (isinstance(place, list) and isinstance(part, int) and part < len(place)) else None
        )
        if isinstance(part, int):
            name = item.get("name") if isinstance(item, Mapping) else None
            text += f"[{name if isinstance(name, str) and len(name) < 64 else part}]"  # noqa: PLR2004  # a DNS label
        else:
            text += f".{part}" if text else str(part)
        place = item if item is not None else {}
    return text or "the file"


def _guess(key: str) -> str:
    close = difflib.get_close_matches(key, sorted(set(_known_keys(Settings))), n=1)
    return f", did you mean {close[0]}?" if close else ": remove it, or see `provisioner schema` for the keys there are"


def _known_keys(model: Any) -> Iterator[str]:  # noqa: ANN401  # types of any shape
    """Give the names of all keys anywhere in the file."""
    fields = getattr(model, "model_fields", None)
    if fields is None:
        for argument in get_args(model):
            yield from _known_keys(argument)
        return
    for name, field in fields.items():
        yield name
        yield from _known_keys(field.annotation)
