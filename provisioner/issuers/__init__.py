"""Adapters to what issues tokens, one file per kind."""
