"""The HTTP API: what the daemon shows and takes over HTTP. It knows the daemon as the Protocol in ``view.py`` alone."""
