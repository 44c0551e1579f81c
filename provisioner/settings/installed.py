"""Kinds of issuers and stores that other packages bring: looked for only when a configuration names one."""

import sys
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from typing import Any, Final, Literal, NamedTuple

from pydantic import create_model

from provisioner.domain.errors import ConfigurationError
from provisioner.domain.scrub import LONGEST_PLAIN_WORD, scrub
from provisioner.settings.kinds import IssuerKind, StoreKind
from provisioner.settings.model import IssuerSection, Section, StoreSection

Kind = IssuerKind[Any] | StoreKind[Any]


class _Family(NamedTuple):
    group: str
    kind: type[Kind]
    settings: type[Section]


_FAMILIES: Final[Mapping[str, _Family]] = {
    "issuers": _Family("provisioner.issuers", IssuerKind, IssuerSection),
    "stores": _Family("provisioner.stores", StoreKind, StoreSection),
}
"""Section of the configuration -> what stands for it in other packages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """What was found for the types that a configuration names and that are not built in."""

    models: Mapping[str, Mapping[str, type[Section]]]
    """Section -> type -> the shape of its settings, ``type`` among them."""
    unusable: Mapping[str, Mapping[str, str]]
    """Section -> type -> why there is no such kind, and what to do."""
    problems: tuple[str, ...]
    """What is wrong with what is installed, whatever the configuration says."""

    @property
    def packages(self) -> str:
        """Name the code of others that takes part in judging the configuration."""
        return ", ".join(sorted({model.__module__ for models in self.models.values() for model in models.values()}))


def look_up(content: Mapping[str, Any], built_in: Mapping[str, Collection[str]]) -> Installed:
    """Find the kinds that are named in what stands in the file. No package is looked at when all are built in."""
    models: dict[str, dict[str, type[Section]]] = defaultdict(dict)
    unusable: dict[str, dict[str, str]] = defaultdict(dict)
    problems: list[str] = []
    for section, own in built_in.items():
        named = sorted(set(_types(content.get(section))) - set(own))
        if named:
            problems += _taken_over(section, own)
        for name in named:
            try:
                models[section][name] = _model(name, installed_kind(section, name, own))
            except ConfigurationError as error:
                unusable[section][name] = str(error)
    return Installed(models=models, unusable=unusable, problems=tuple(problems))


def installed_kind(section: str, name: str, built_in: Collection[str]) -> Kind:
    """Load the kind of that type; raises ConfigurationError saying why there is none, and what to do."""
    there = _offers(section)
    offers = [entry for entry in there if entry.name == name]
    if not offers:
        own = ", ".join(repr(each) for each in built_in)
        others = ", ".join(repr(each) for each in sorted(set(there.names) - set(built_in))) or "none"
        shown = scrub(name, longest_word=LONGEST_PLAIN_WORD)
        raise ConfigurationError(
            f"type must be one of {own} (installed besides: {others}), and is {shown!r}: correct it, or"
            " install the package that brings it"
        )
    if len(offers) > 1:
        whose = " and ".join(sorted(_package(entry) for entry in offers))
        raise ConfigurationError(f"type {name!r} is brought by {whose}: uninstall all of them but one")
    return _kind(section, offers[0])


def _offers(section: str) -> EntryPoints:
    """Give what all packages bring; one whose own description is damaged makes it unreadable."""
    try:
        return entry_points(group=_FAMILIES[section].group)
    except (ValueError, TypeError, AttributeError, OSError) as error:
        failure = type(error).__name__
    raise ConfigurationError(
        f"{section}: what installed packages bring cannot be read ({failure}): one has a damaged entry_points.txt, "
        "install it anew"
    )


def _kind(section: str, entry: EntryPoint) -> Kind:
    """Load what an entry point names, and make sure that it is a kind of this section."""
    family, whose = _FAMILIES[section], f"type {entry.name!r} of {_package(entry)}"
    loaded, failure = _loaded(entry)
    if failure is not None:
        raise ConfigurationError(f"{whose} cannot be loaded ({failure}): install the package anew, or mend it")
    if not isinstance(loaded, family.kind):
        what = f"{entry.value} is no {family.kind.__name__} of provisioner.settings.kinds"
        raise ConfigurationError(f"{whose} is not usable: {what}; another version of the package may be")
    settings = loaded.settings
    if not isinstance(settings, type) or not issubclass(settings, family.settings):
        what = f"its settings are no subclass of provisioner.settings.model.{family.settings.__name__}"
        raise ConfigurationError(f"{whose} is not usable: {what}; another version of the package may be")
    if settings.model_config.get("extra") != "forbid":
        raise ConfigurationError(f"{whose} is not usable: its settings take unknown keys; have its authors mend it")
    return loaded


def _loaded(entry: EntryPoint) -> tuple[object, str | None]:
    """Give what an entry point names, or why it cannot be had."""
    try:
        with redirect_stdout(sys.stderr):  # what it prints while it is loaded must not get into JSON of ours
            return entry.load(), None
    except (Exception, SystemExit) as error:  # noqa: BLE001  # the code of others may fail in any way, or want to end us
        return None, f"{type(error).__name__}: {scrub(str(error), longest_word=LONGEST_PLAIN_WORD)}"


def _model(name: str, kind: Kind) -> type[Section]:
    """Give the shape of a kind's settings with its own ``type``, by which pydantic tells it from others."""
    family: type[Section] = kind.settings
    own_type: Any = Literal[name]
    try:
        return create_model(family.__name__, __base__=family, __module__=family.__module__, type=(own_type, ...))
    except Exception as error:  # noqa: BLE001  # the code of others runs here, too
        failure = type(error).__name__
    raise ConfigurationError(f"type {name!r} is not usable: its settings fail ({failure}); have its authors mend it")


def _taken_over(section: str, built_in: Collection[str]) -> Iterator[str]:
    for entry in _offers(section):
        if entry.name in built_in:
            why = f"{_package(entry)} brings a kind named {entry.name!r}, which is built in"
            yield f"{section}: {why} and cannot be taken over: uninstall it, or rename its entry point"


def _types(section: object) -> Iterator[str]:
    """Give the types that stand in a section, whatever else stands there."""
    for entry in section.values() if isinstance(section, Mapping) else ():
        kind = entry.get("type") if isinstance(entry, Mapping) else None
        if isinstance(kind, str):
            yield kind


def _package(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist is not None else "a package without a name"
