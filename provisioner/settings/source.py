"""Reads the file and lays the environment over it, as one source of pydantic-settings."""

import os
import re
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from provisioner.domain.errors import ConfigurationError
from provisioner.domain.scrub import LONGEST_PLAIN_WORD, scrub

DEFAULT_PATH: Final = Path("/etc/provisioner/provisioner.yaml")
PATH_VARIABLE: Final = "PROVISIONER_CONFIG"
PREFIX: Final = "PROVISIONER__"


_QUOTED: Final = re.compile(r"'.*'|\".*\"", re.DOTALL)
_TEXT: Final = "tag:yaml.org,2002:str"
_LONGEST_INDEX: Final = 9
"""Digits of an index into a list; Python refuses to read numbers of thousands."""
_NOT_YAML: Final = (yaml.YAMLError, ValueError, LookupError, AttributeError, TypeError, ArithmeticError, RecursionError)
"""What PyYAML raises for what cannot be read: `!!bool maybe`, `!!int ''`, `!!timestamp abc`, a thousand brackets."""


class _BadKeyError(yaml.constructor.ConstructorError):
    """A key is written twice, or is no text; its text names the key alone."""


class _TextKeys(yaml.SafeLoader):
    """A safe loader that refuses a key written twice, as the first would silently be lost, and one that is no text."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002  # PyYAML's signature
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        twice = sorted({key for key in keys if keys.count(key) > 1 and key != "<<"})
        if twice:
            raise _BadKeyError(None, None, f"key {twice[0]!r} is written twice", node.start_mark)
        mapping = super().construct_mapping(node, deep)
        for key in (key for key, _ in node.value if key.tag != _TEXT):  # `on`, `1` and `~` are no text in YAML
            written = repr(scrub(key.value, longest_word=LONGEST_PLAIN_WORD)) if key.value else "that is empty"
            raise _BadKeyError(None, None, f"key {written} is not read as text: quote it, or remove it", key.start_mark)
        return mapping


class FileAndEnvironment(PydanticBaseSettingsSource):
    """The YAML file with ``PROVISIONER__SECTION__KEY`` on top."""

    def __init__(self, settings_cls: type[BaseSettings], path: Path) -> None:
        """Take which file to read."""
        super().__init__(settings_cls)
        self._path = path

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Give nothing for a single field: everything is given at once."""
        del field
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        """Give the whole configuration as plain data."""
        content = read_yaml(self._path)
        for variable, text in sorted(os.environ.items()):  # noqa: TID251  # settings is the environment's reader
            if variable.upper().startswith(PREFIX):
                _override(content, variable, text)
        return content


def find_file(path: Path | None) -> Path:
    """Say which file to read; raises ConfigurationError when it is not there."""
    named = os.environ.get(PATH_VARIABLE)  # noqa: TID251  # settings is the environment's reader
    chosen = path or (Path(named) if named else DEFAULT_PATH)
    if not chosen.is_file():
        what = "is not a file" if chosen.exists() else "does not exist"
        where = f"name it with --config FILE or ${PATH_VARIABLE}, or put it at {DEFAULT_PATH}"
        raise ConfigurationError(f"the configuration {chosen} {what}: {where}")
    return chosen


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping; raises ConfigurationError with the line of what is wrong, never with its text."""
    try:
        with path.open(encoding="utf-8") as file:
            content = yaml.load(file, Loader=_TextKeys)  # noqa: S506  # a SafeLoader
    except OSError as error:
        raise ConfigurationError(f"the configuration {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"the configuration {path} is not UTF-8 text") from None
    except _NOT_YAML as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "it cannot be parsed"
        if not isinstance(error, _BadKeyError):
            problem = _QUOTED.sub("…", problem)  # what stands there: an alias, a tag, a secret that begins with * or !
        raise ConfigurationError(f"the configuration {path} is not valid YAML{where}: {problem}") from None
    if not isinstance(content, dict):
        what = "is empty" if content is None else "is not a mapping of keys to values"
        raise ConfigurationError(f"the configuration {path} {what}: see docs/configuration.md for an example")
    return content


def _override(content: dict[str, Any], variable: str, text: str) -> None:
    """Put one variable's value in its place; a key that the file has is found whatever its case and hyphens."""
    place: Any = content
    *parents, last = variable[len(PREFIX) :].split("__")
    for part in parents:
        place = _step(place, part, variable)
    key = _existing(place, last)
    value = _value(text, variable)
    if isinstance(place, dict) or (isinstance(place, list) and isinstance(key, int) and key < len(place)):
        place[key] = value
    else:
        raise ConfigurationError(f"{variable} names no place in the configuration")


def _step(place: Any, part: str, variable: str) -> Any:  # noqa: ANN401  # plain data from YAML
    key = _existing(place, part)
    if isinstance(place, dict):
        if place.get(key) is None:
            place[key] = {}
        return place[key]
    if isinstance(place, list) and isinstance(key, int) and key < len(place):
        return place[key]
    raise ConfigurationError(f"{variable} names no place in the configuration")


def _existing(place: Any, part: str) -> Any:  # noqa: ANN401  # plain data from YAML
    """Give the key as the file spells it, an index into a list (by number or by name), or the part in lower case."""
    if isinstance(place, list):
        names = [str(item.get("name")) if isinstance(item, Mapping) else "" for item in place]
        if part.isdecimal():
            return int(part) if len(part) <= _LONGEST_INDEX else None
        return next((i for i, name in enumerate(names) if _same(name, part)), None)
    keys = place if isinstance(place, dict) else ()
    return next((key for key in keys if _same(str(key), part)), part.lower())


def _same(key: str, part: str) -> bool:
    return key.lower().replace("-", "_") == part.lower().replace("-", "_")


def _value(text: str, variable: str) -> Any:  # noqa: ANN401  # plain data
    if text.lstrip().startswith(("{", "[")):
        try:
            return yaml.load(text, Loader=_TextKeys)  # noqa: S506  # a SafeLoader
        except _BadKeyError as error:
            raise ConfigurationError(f"{variable}: {error.problem}") from None
        except _NOT_YAML:
            return text
    return None if text in {"", "null"} else text
