"""The protocol with one rule left out, many times over: the simulation must catch each.

``python -m tests.simulation.mutations`` prints how each is caught.
"""

import sys
from typing import Final

from tests.simulation import (
    mutations_credentials,
    mutations_following,
    mutations_minting,
    mutations_retiring,
    mutations_staging,
)
from tests.simulation.mutation import Mutation, listed_in, table

MUTATIONS: Final[tuple[Mutation, ...]] = (
    *listed_in(mutations_minting),
    *listed_in(mutations_retiring),
    *listed_in(mutations_staging),
    *listed_in(mutations_credentials),
    *listed_in(mutations_following),
)

if __name__ == "__main__":
    for line in table(MUTATIONS):
        sys.stdout.write(line)
        sys.stdout.flush()
