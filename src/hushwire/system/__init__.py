"""The kernel's side: TUN, addresses, routes, sockets, privileges, namespaces."""
