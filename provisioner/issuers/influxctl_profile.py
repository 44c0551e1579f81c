"""The profile that influxctl is called with, and private copies of it that hold another token for one call."""

import os
import shutil
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from provisioner.domain.errors import CredentialRefusedError, IssuerRefusedError, IssuerUnavailableError
from provisioner.domain.secret import SecretText
from provisioner.issuers.token_json import SENDABLE

FILE_NAME: Final = "config.toml"
_DEFAULT: Final = "default"
"""Which profile influxctl takes when it is told none."""
_AUTHENTICATION: Final = ("mgmt_token", "auth")
_SECRETS: Final = (*_AUTHENTICATION, "token")
"""Keys of a profile that hold a secret or say where one is; ``token`` is for queries, and is not needed here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One profile in a configuration file of influxctl, read afresh each time: a person may put a new token there."""

    issuer: str
    config: Path
    name: str | None = None

    def has_authentication(self) -> bool:
        """Tell whether influxctl can log in by the file as it stands. Raises IssuerRefusedError."""
        return any(self._read().get(key) for key in _AUTHENTICATION)

    @contextmanager
    def holding(self, token: SecretText, directory: Path) -> Iterator[Path]:
        """Give a directory with a copy of the profile that holds this token instead of its own, until the block ends.

        Nothing else of the file is in it. Raises CredentialRefusedError for what is no token, IssuerRefusedError;
        IssuerUnavailableError when it cannot be written.
        """
        if not SENDABLE.fullmatch(token.reveal()):  # an encoder's error would hold the whole profile
            raise CredentialRefusedError(
                f"issuer {self.issuer}: the credential holds what no request can carry: put it right"
            )
        kept = {key: value for key, value in self._read().items() if key not in _SECRETS}
        folder = _a_folder_in(directory)
        try:
            _write(folder / FILE_NAME, kept, token)
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _read(self) -> Mapping[str, Any]:
        """Give what the profile holds. A foreign error ends here: some hold the file's content."""
        where = f"influxctl's config file {self.config} (issuers.{self.issuer}.config)"
        content = _content(self.config)
        if isinstance(content, str):
            raise IssuerRefusedError(f"{where} {content}")
        name, profiles = self.name or _DEFAULT, content.get("profile")
        for profile in profiles if isinstance(profiles, list) else []:
            if isinstance(profile, dict) and profile.get("name") == name:
                return profile
        raise IssuerRefusedError(
            f"{where} has no [[profile]] with name = {name!r}: add it, or set issuers.{self.issuer}.profile"
        )


def _content(config: Path) -> dict[str, Any] | str:
    """Give the file's content, or what is wrong with it, without a word of what it holds."""
    try:
        return tomllib.loads(config.read_text(encoding="utf-8"))
    except OSError as error:
        return f"cannot be read ({error.strerror}): put it there, and let this user read it"
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError):
        return "is not TOML: mend it, `influxctl --config FILE management list` says where it is wrong"


def _a_folder_in(directory: Path) -> Path:
    try:
        return Path(tempfile.mkdtemp(prefix="call-", dir=directory))
    except OSError as error:
        raise _unwritable(directory, error) from None


def _write(file: Path, profile: Mapping[str, Any], token: SecretText) -> None:
    """Write what only this user can read, from its first moment on."""
    import tomli_w  # only here: not every issuer has a credential that we rotate

    text = tomli_w.dumps({"profile": [{**profile, "mgmt_token": token.reveal()}]})
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with open(handle, "wb") as opened:  # noqa: PTH123  # of a handle, which a Path cannot open
            opened.write(text.encode())
    except OSError as error:
        why = _unwritable(file.parent, error)
    else:
        return
    raise why


def _unwritable(directory: Path, error: OSError) -> IssuerUnavailableError:
    return IssuerUnavailableError(
        f"influxctl's profile cannot be written in {directory} ({error.strerror}): make room there, nothing was called"
    )
