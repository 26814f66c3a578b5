"""IKEv2 (RFC 7296), sans-IO: datagrams and time in, effects out."""
