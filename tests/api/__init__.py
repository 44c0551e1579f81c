"""The API by itself, over real sockets: routes, refusals, limits, its document."""
