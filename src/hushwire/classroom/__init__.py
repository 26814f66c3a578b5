"""The second lesson: eBPF programs secure what unchanged applications send. Toy cryptography."""
