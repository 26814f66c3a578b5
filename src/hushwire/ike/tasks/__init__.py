"""One file for each exchange: how its request is built and its response processed."""
