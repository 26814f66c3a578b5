"""Side by side in one run, on this machine: what a tunnel costs and what it carries."""
