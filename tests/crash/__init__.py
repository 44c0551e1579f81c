"""Real processes that die: of SIGKILL before, inside and after every effect, or with the network cut under them."""
