"""Pure rules and data of rotation: standard library only, no I/O, no clock, no threads."""
