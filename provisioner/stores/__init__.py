"""Adapters to where tokens are stored, one file per kind."""
