"""The engine in Rust: the same contract, at the speed of the machine."""
