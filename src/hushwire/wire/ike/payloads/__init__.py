"""One file for each payload of RFC 7296 §3.3 to §3.16."""
