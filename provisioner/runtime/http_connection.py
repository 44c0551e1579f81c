"""One HTTP connection as uvicorn speaks it, that always lets its server end."""

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol


class EndingProtocol(H11Protocol):
    """uvicorn's own, mended: there a connection that has gone wrong breaks the shutdown of the whole server."""

    def shutdown(self) -> None:
        """Begin to end: say so where that can still be said, else hang up."""
        try:
            super().shutdown()
        except h11.LocalProtocolError:
            self.transport.close()
