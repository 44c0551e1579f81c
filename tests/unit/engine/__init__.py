"""The engine's smaller parts."""
