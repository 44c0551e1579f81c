"""What the engine needs of the world, as Protocols: one file each, the docstring is the contract."""
