"""Where a configured secret comes from: a file, the environment, or a store."""

from typing import Protocol

from provisioner.domain.secret import SecretText


class SecretSource(Protocol):
    """Gives a secret afresh at each call, so that a rotated file is seen."""

    def __call__(self) -> SecretText:
        """Read the secret; raises ConfigurationError naming the file, variable or path when there is none."""
