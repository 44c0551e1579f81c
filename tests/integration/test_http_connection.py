"""A server ends although a connection of its has gone wrong."""

import asyncio

import h11
import pytest
from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from provisioner.api.patience import PatientProtocol
from provisioner.runtime.http_connection import EndingProtocol


class _Transport(asyncio.Transport):
    """A connection to nobody, that notes how it ended."""

    closed = False

    def close(self) -> None:
        self.closed = True


async def _after_the_end_of_a_broken_one(protocol: type[H11Protocol]) -> bool:
    """Tell whether the connection was closed by a shutdown after an answer went wrong halfway."""
    config = Config(app=lambda _: None, log_config=None, lifespan="off")
    config.load()
    connection = protocol(config, ServerState(), {})
    connection.transport = transport = _Transport()
    with pytest.raises(h11.LocalProtocolError):
        connection.conn.send(h11.EndOfMessage())
    connection.shutdown()
    return transport.closed


@pytest.mark.parametrize("protocol", [EndingProtocol, PatientProtocol])
def test_a_connection_that_went_wrong_is_hung_up(protocol: type[H11Protocol]) -> None:
    """Instead of ending the server with an error, before the others have their answers."""
    assert asyncio.run(_after_the_end_of_a_broken_one(protocol))


def test_uvicorn_alone_breaks() -> None:
    """Else our own protocol can go."""
    with pytest.raises(h11.LocalProtocolError):
        asyncio.run(_after_the_end_of_a_broken_one(H11Protocol))
