"""What is written anew to start fast is what it stands for: the same calls give the same."""

import json
import tomllib
from argparse import ArgumentParser
from dataclasses import asdict as real_asdict
from dataclasses import make_dataclass
from datetime import UTC, datetime
from itertools import permutations
from typing import NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as some

from provisioner.simulators.cluster_token import ClusterToken, Kind, Permission, new_token, new_uuid
from provisioner.simulators.influxctl_arguments import Options, _parser, _plain
from provisioner.simulators.knobs import Knobs
from provisioner.simulators.quick import asdict, read_json, read_profiles, replace, written_json

VALUES = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats(allow_nan=False, allow_infinity=False) | some.text(),
    lambda inner: some.lists(inner) | some.dictionaries(some.text(), inner),
)
WORDS = (
    "--config",
    "--debug",
    "--format",
    "json",
    "--sort=id",
    "management",
    "create",
    "list",
    "revoke",
    "--force",
    "x",
)
NOW = datetime(2026, 6, 1, tzinfo=UTC)


@given(VALUES, some.sampled_from([None, 2]))
def test_json_is_written_and_read_alike(value: object, indent: int | None) -> None:
    """Whatever JSON can hold."""
    text = written_json(value, indent=indent)
    assert text == json.dumps(value, indent=indent)
    assert read_json(text) == json.loads(text) == value


@pytest.mark.parametrize("text", ["", " ", "{", "[1,]", "1 2", "nothing", "{'a': 1}", '"\n"', "\ufeff1"])
def test_what_is_no_json_is_refused_alike(text: str) -> None:
    """In the same words."""
    with pytest.raises(ValueError, match=r".") as real:
        json.loads(text)
    with pytest.raises(ValueError, match=r".") as ours:
        read_json(text)
    assert str(ours.value) == str(real.value)


@pytest.mark.parametrize("text", [" 1", "1\n", ' {"a": [1, 2.5, null]} ', "NaN", "-Infinity"])
def test_unusual_json_is_read_alike(text: str) -> None:
    """With space around it, or more than the standard allows."""
    assert repr(read_json(text)) == repr(json.loads(text))


@pytest.mark.parametrize(
    "text",
    [
        "",
        '[[profile]]\nname = "default"\n',
        '[[profile]]\nname = "a"\n\n[[profile]]\nname="b"\nmgmt_token = "M.V1.+/="\n',
        '# a comment\n[[profile]]\nname = "a#b" # another\n',
        "[[profile]]\nname = 'single'\nport = 7\n",
        '[[profile]]\nname = "a\\"b"\n',
        '[[profile]]\nname = "\\u00e9"\nhost = "\u00e9"\n',
        '[[profile]]\nname = "x"\n[profile.tls]\ninsecure = true\n',
        'colour = "red"\n[[profile]]\n',
        '[[profile]]\nname = "x"\r\n',
        '[[profile]]\nname = """\nx"""\n',
        '[[profile]]\n"quoted key" = "x"\na.b = "x"\n',
    ],
)
def test_profiles_are_read_alike(text: str) -> None:
    """Whatever TOML may hold."""
    assert read_profiles(text) == tomllib.loads(text)


@pytest.mark.parametrize(
    "text",
    [
        "[[profile]\n",
        '[[profile]]\nname = "x"\nname = "y"\n',
        '[[profile]]\nname = "a"b"\n',
        '[[profile]]\nname = "\n',
        '[[profile]]\nname = "\\q"\n',
        '[[profile]]\nname = "tab\x00"\n',
        '[[profile]]\n\u00e9 = "x"\n',
        '[[profile]]\nname = "x"\x0bhost = "y"\n',
    ],
)
def test_what_is_no_toml_is_refused(text: str) -> None:
    """By both."""
    with pytest.raises(tomllib.TOMLDecodeError):
        tomllib.loads(text)
    with pytest.raises(tomllib.TOMLDecodeError):
        read_profiles(text)


def test_values_are_as_dataclasses_are() -> None:
    """They are compared, copied, shown and turned into mappings alike, and cannot be changed."""
    permission = Permission(action="read", resource="*")
    token = new_token(Kind.DATABASE, "x", created_at=NOW, permissions=(permission,))[0]
    assert token == replace(token) != replace(token, description="y")
    assert hash(token) == hash(replace(token))
    twin = make_dataclass("Permission", ["action", "resource"], frozen=True)(action="read", resource="*")
    assert (repr(permission), asdict(permission)) == (repr(twin), real_asdict(twin))
    assert asdict(token)["permissions"] == ({"action": "read", "resource": "*"},)
    with pytest.raises(AttributeError, match="revoked_at"):
        token.revoked_at = NOW  # type: ignore[misc]
    for wrong in ({"token_id": "7"}, asdict(token) | {"colour": "red"}):
        with pytest.raises(TypeError, match="ClusterToken"):
            ClusterToken(**wrong)
    with pytest.raises(ValueError, match="latency"):
        replace(Knobs(), latency=-1)


def test_kinds_are_an_enumeration() -> None:
    """Each is a text, and made of its text it is the same."""
    assert Kind("admin") is Kind.ADMIN == "admin"  # type: ignore[comparison-overlap]
    with pytest.raises(ValueError, match="is not a valid Kind"):
        Kind("other")


def test_uuids_are_of_version_4() -> None:
    """As those that are made at random are."""
    from uuid import UUID

    made = [UUID(new_uuid()) for _ in range(64)]
    assert {(one.version, one.variant) for one in made} == {(4, UUID(str(made[0])).variant)}
    assert len(set(made)) == len(made)


class RefusedError(Exception):
    """What is wrong with the arguments."""


def refuse(message: str) -> NoReturn:
    """Say so."""
    raise RefusedError(message)


@pytest.mark.parametrize("beginning", [["--simulator-state", "x"], ["--simulator-state", "x", "management"]])
def test_arguments_that_are_read_at_once_are_right(beginning: list[str]) -> None:
    """Whatever is put together of a few words: what is not left to the real parser is what that makes of it."""
    parser: ArgumentParser = _parser(refuse)
    plain = 0
    for count in range(5):
        for words in permutations(WORDS, count):
            arguments = [*beginning, *words]
            options = _plain(arguments)
            if options is not None:
                plain += 1
                assert vars(options) == vars(parser.parse_args(arguments, Options())), arguments
    assert plain > 10
