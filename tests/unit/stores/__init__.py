"""Tests of what the stores do without a server."""
