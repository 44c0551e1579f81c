"""Tests of the pure rules: each against the rotation protocol, none against the code that spells it."""
