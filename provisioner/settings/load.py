"""From the file and the environment to Settings, with every problem named at once."""

from collections.abc import Mapping
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field, ValidationError, create_model
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from provisioner.domain.errors import ConfigurationError
from provisioner.domain.model import ManagedToken
from provisioner.domain.scrub import LONGEST_PLAIN_WORD, scrub
from provisioner.settings import convert, rules
from provisioner.settings.complaints import Complaints
from provisioner.settings.installed import look_up
from provisioner.settings.issuers import ISSUERS
from provisioner.settings.model import (
    STORES,
    Defaults,
    Instance,
    IssuerSection,
    LeaderElection,
    Log,
    Name,
    Reconcile,
    Section,
    Server,
    StoreSection,
    TokenSettings,
)
from provisioner.settings.source import FileAndEnvironment, find_file

_BUILT_IN: Final[Mapping[str, Mapping[str, type[Section]]]] = {"issuers": ISSUERS, "stores": STORES}
_SHOWN: Final = 20


def _no_nothing(value: object) -> object:
    """Refuse a key with nothing behind it: what was meant to stand there may have been lost."""
    if value is None:
        raise ValueError("is empty: write [] while there is no token yet, or leave the key out")
    return value


class Settings(BaseSettings):
    """The whole configuration of one instance."""

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, env_prefix="PROVISIONER_UNUSED_"
    )

    instance: Instance = Field(description="Owner scope: part of the mark on every token; unique per deployment.")
    issuers: dict[Name, IssuerSection] = Field(min_length=1)
    stores: dict[Name, StoreSection] = Field(min_length=1)
    defaults: Defaults = Defaults()
    tokens: Annotated[list[TokenSettings], BeforeValidator(_no_nothing)] = Field(
        default_factory=list, description="What is managed; while there is none yet, nothing is created or rotated."
    )
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
    """Give the JSON Schema of the file; of kinds that other packages bring it knows no more than their ``type``."""
    schema = _shape({}).model_json_schema()
    for section, models in _BUILT_IN.items():
        others = {"properties": {"type": {"not": {"enum": list(models)}, "type": "string"}}, "required": ["type"]}
        (entry,) = schema["properties"][section]["patternProperties"].values()
        entry["oneOf"].append({"description": "A kind that another package brings.", "type": "object", **others})
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "token-provisioner configuration",
    }


def _judged(content: dict[str, Any]) -> Settings | list[str]:
    """Give the settings, or what is wrong with them. Pydantic's error ends here: it holds what was written."""
    installed = look_up(content, _BUILT_IN)
    shape = _shape(installed.models)
    complaints = Complaints(content=content, shape=shape, built_in=_BUILT_IN, installed=installed)
    orders = [scrub(key, longest_word=LONGEST_PLAIN_WORD) for key in content if key.startswith("_")]
    if orders:  # pydantic-settings would take some of them as meant for itself, `_env_file` for one
        return [f"{key}: unknown key{complaints.guess(key)}" for key in orders]
    try:
        settings, lines = shape(**content), []
        _ask_what_they_are(settings)
    except ValidationError as error:
        problems = error.errors(include_input=False, include_url=False)
        lines = list(dict.fromkeys(complaints.line(problem) for problem in problems))
    except (Exception, SystemExit) as error:  # the code of another package judges here, too
        if not installed.packages:
            raise
        lines = [
            f"the settings cannot be read by {installed.packages} ({type(error).__name__}): have its authors mend it"
        ]
    return [*installed.problems, *lines] or settings


def _ask_what_they_are(settings: Settings) -> None:
    """Ask once for all that we ask of settings later: there the code of another package would fail us."""
    for issuer in settings.issuers.values():
        _ = issuer.called_with, issuer.has_permissions
    for store in settings.stores.values():
        _ = store.has_reader, store.has_raw


def _shape(installed: Mapping[str, Mapping[str, type[Section]]]) -> type[Settings]:
    """Give the settings in which the kinds that are built in may stand, and those that were found installed."""
    fields: dict[str, Any] = {}
    for section, own in _BUILT_IN.items():
        kinds = (*own.values(), *installed.get(section, {}).values())
        entry: Any = Annotated[reduce(or_, kinds), Field(discriminator="type")]
        fields[section] = (dict[Name, entry], Field(min_length=1))
    return create_model("Settings", __base__=Settings, __doc__=Settings.__doc__, **fields)


def _refused(file: Path, lines: list[str]) -> ConfigurationError:
    more = [f"… and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
    return ConfigurationError("\n".join([f"the configuration {file} is refused:", *lines[:_SHOWN], *more]))
