"""alice, eve and bob on this machine, in network namespaces of their own."""
