"""A secret that somebody typed into the configuration, wherever, is not repeated by the message that refuses it."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from provisioner.domain.errors import ConfigurationError
from provisioner.domain.secret import SecretText
from provisioner.settings.load import load_settings
from provisioner.settings.references import SecretReference
from tests.leaks.search import PATTERNED, PLAIN, assert_untold, everything_about

KINDS = {"patterned": f"hvs.{PATTERNED[5:]}", "plain": PLAIN}


def written(folder: Path, auth: object, **changes: object) -> Path:
    """Write a configuration with that login; a text is written as it stands."""
    content: dict[str, Any] = {
        "instance": "prod",
        "issuers": {"cluster": {"type": "influxctl"}},
        "stores": {"vault": {"type": "vault", "address": "https://vault.example", "auth": "AUTH"}},
        "tokens": [{"name": "t", "issuer": "cluster", "destinations": [{"store": "vault", "path": "t"}]}],
    }
    text = yaml.safe_dump(content | changes)
    file = folder / "provisioner.yaml"
    login = auth if isinstance(auth, str) else yaml.safe_dump(auth, default_flow_style=True)
    file.write_text(text.replace("AUTH", login))
    return file


def refusal(file: Path) -> ConfigurationError:
    """Load it in vain."""
    with pytest.raises(ConfigurationError) as caught:
        load_settings(file)
    return caught.value


AUTHS = {
    "a literal": ('{{method: token, token: "{0}"}}', "stores.vault.auth.token"),
    "a literal among others": ('{{method: approle, role_id: "{0}", secret_id: "{0}"}}', "secret_id"),
    "a list": ('{{method: token, token: ["{0}"]}}', "stores.vault.auth.token"),
    "under an unknown key": ('{{method: token, token: {{value: "{0}"}}}}', "token.value: unknown key"),
    "as a key": ("{{method: token, token: {{{0}}}}}", "[redacted]: unknown key"),
    "as a key of the login": ('{{method: token, "{0}": 1}}', "[redacted]: unknown key"),
    "as the method": ('{{method: "{0}", token: {{env: X}}}}', "method must be one of"),
    "as the whole login": ('"{0}"', "stores.vault.auth"),
    "as the whole login, bare": ("{0}", "stores.vault.auth"),
    "both a place and more": ('{{method: token, token: {{env: "{0}", file: "{0}"}}}}', "exactly one of"),
    "in a store": ('{{method: token, token: {{store: "{0}", path: "{0}"}}}}', "later version"),
    "as an alias": ("{{method: token, token: *{0} }}", "line"),
    "as a tag": ("{{method: token, token: !{0} x }}", "line"),
    "in a broken line": ("{{method: token, token: '{0}", "line"),
    "with a control character": ("{{method: token, token: '{0}\x00'}}", "not valid YAML"),
    "as a date that is none": ("{{method: token, token: [2026-13-45, '{0}']}}", "not valid YAML"),
}


@pytest.mark.parametrize("auth", AUTHS)
@pytest.mark.parametrize("kind", KINDS)
def test_secret_in_place_of_a_reference(tmp_path: Path, auth: str, kind: str) -> None:
    """The message names the key or the line; the value is in no part of the error nor behind it."""
    text, named = AUTHS[auth]
    error = refusal(written(tmp_path, text.format(KINDS[kind])))
    assert named in str(error)
    assert (error.__cause__, error.__context__) == (None, None) or error.__suppress_context__
    assert_untold(KINDS[kind], str(error), repr(error), repr(error.args))


def test_pydantic_does_not_hang_on_the_error(tmp_path: Path) -> None:
    """Its error holds what was written; a log that shows contexts would tell it."""
    error = refusal(written(tmp_path, AUTHS["a literal"][0].format(PLAIN)))
    assert (error.__cause__, error.__context__) == (None, None)


@pytest.mark.parametrize("value", ["{0}", '{{"file": "{0}", "env": "{0}"}}', "{{{0}}}", "[{0}", "{{*{0}}}"])
def test_secret_in_an_override(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """A variable that lays a secret over a reference is refused without its value."""
    monkeypatch.setenv("PROVISIONER__STORES__VAULT__AUTH__TOKEN", value.format(PLAIN))
    error = refusal(written(tmp_path, "{method: token, token: {env: X}}"))
    assert "stores.vault.auth.token" in str(error)
    assert_untold(PLAIN, str(error), repr(error))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", ["env", "file"])
def test_secret_in_place_of_its_place(place: str, kind: str) -> None:
    """A secret written where its variable or file is to be named is taken for such a name, and not repeated."""
    reference = SecretReference.model_validate({place: KINDS[kind]})
    with pytest.raises(ConfigurationError, match=r"environment variable|secret file") as caught:
        reference.source()()
    assert_untold(KINDS[kind], everything_about(caught.value).replace(repr(reference), ""))


@pytest.mark.parametrize(
    ("reference", "named"),
    [
        ({"env": "PROVISIONER_APPROLE_SECRET_ID_OF_PRODUCTION"}, "PROVISIONER_APPROLE_SECRET_ID_OF_PRODUCTION"),
        ({"env": "vault_token"}, "vault_token"),
        ({"file": "/run/secrets/the-secret-id-of-the-approle-in-production"}, "the-secret-id-of-the-approle-in-produ"),
        ({"file": "secrets/vault-token"}, "secrets/vault-token"),
    ],
)
def test_names_of_places_stay_readable(reference: dict[str, str], named: str) -> None:
    """Who misspelt a variable or a path sees which."""
    with pytest.raises(ConfigurationError) as caught:
        SecretReference.model_validate(reference).source()()
    assert named in str(caught.value)


def test_secret_that_was_read_is_masked(tmp_path: Path) -> None:
    """What a reference reads is a SecretText, and the settings hold the reference alone."""
    (tmp_path / "token").write_text(f"{PLAIN}\n")
    settings, _ = load_settings(written(tmp_path, {"method": "token", "token": {"file": str(tmp_path / "token")}}))
    read = SecretReference(file=tmp_path / "token").source()()
    assert read == SecretText(PLAIN)
    assert_untold(PLAIN, repr(settings), settings.model_dump_json(), repr(read))
