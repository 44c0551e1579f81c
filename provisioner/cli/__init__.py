"""The command line: one file per group of commands, and nothing that decides."""
