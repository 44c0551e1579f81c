"""Secret references: where a secret is to be read from, afresh at each use. No secret stands in the file itself."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from provisioner.domain.errors import ConfigurationError
from provisioner.domain.scrub import LONGEST_PLAIN_WORD, scrub
from provisioner.domain.secret import SecretText

HINT: Final = "secrets are never written in the file: use {file: PATH} or {env: NAME}"
_LARGEST: Final = 65536
_VARIABLE: Final = re.compile(r"[A-Z][A-Z0-9_]*")
_CHILD_VARIABLES: Final = (
    "PATH",
    "LANG",
    "LC_ALL",
    "TZ",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "HTTPS_PROXY",
    "https_proxy",
    "NO_PROXY",
    "no_proxy",
)


class SecretReference(BaseModel):
    """Exactly one of a file, an environment variable, or a place in a configured store."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    file: Path | None = Field(default=None, description="A file; read again at each use, so a rotated one is seen.")
    env: str | None = Field(default=None, description="An environment variable.")
    store: str | None = Field(default=None, description="A configured store, with `path` and `field`.")
    path: str | None = Field(default=None, description="The path in that store.")
    field: str = Field(default="token", description="The field at that path.")

    @model_validator(mode="after")
    def _exactly_one(self) -> "SecretReference":
        if sum(form is not None for form in (self.file, self.env, self.store)) != 1:
            raise ValueError(f"exactly one of file, env or store is needed; {HINT}")
        if self.store is not None:
            raise ValueError(
                "reading a secret from a store comes with a later version: use {file: PATH} or {env: NAME}"
            )
        return self

    def source(self) -> Callable[[], SecretText]:
        """Give the SecretSource that reads it."""
        return self._read

    def _read(self) -> SecretText:
        where = self._where()
        text, failure = self._text()
        if failure is not None:
            raise ConfigurationError(f"{where} {failure}")
        if not text:
            raise ConfigurationError(f"{where} is empty or not set: put the secret there")
        return SecretText(text)

    def _text(self) -> tuple[str, str | None]:
        """Give what stands there, or why it cannot be read. The system's error ends here: it names the place."""
        if self.file is None:
            return os.environ.get(self.env or "", "").strip(), None  # noqa: TID251  # settings reads the environment
        try:
            with self.file.open("rb") as file:
                content = file.read(_LARGEST + 1)
            if len(content) > _LARGEST:
                return "", f"is larger than {_LARGEST} bytes, which no secret is: name the right file"
            return content.decode("utf-8").strip(), None
        except OSError as error:
            return "", f"cannot be read: {error.strerror}"
        except ValueError:  # not UTF-8, or a name that no file can have
            return "", "is not text"

    def _where(self) -> str:
        """Name the place, unless it may be the secret itself, written where its place belongs."""
        if self.file is not None:
            kind, name, is_a_name = "secret file", str(self.file), self.file.is_absolute()
        else:
            kind, name = "environment variable", self.env or ""
            is_a_name = _VARIABLE.fullmatch(name) is not None
        return f"the {kind} {name if is_a_name else scrub(name, longest_word=LONGEST_PLAIN_WORD)}"


def _no_literal(value: object) -> object:
    if isinstance(value, str | int | float | bool):
        raise ValueError(HINT)  # noqa: TRY004  # pydantic turns a ValueError into a message about the key
    return value


Secret = Annotated[SecretReference, BeforeValidator(_no_literal)]
"""A secret reference; a literal is refused without being repeated."""


def child_environment() -> dict[str, str]:
    """Give the few variables that influxctl needs of our own environment, and no other."""
    return {name: os.environ[name] for name in _CHILD_VARIABLES if name in os.environ}  # noqa: TID251  # as above
