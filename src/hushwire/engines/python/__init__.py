"""The engine to read: plain Python, one thread, anywhere that has TUN."""
