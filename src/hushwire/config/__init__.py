"""TOML to a validated model, with errors that name file, line, cause and cure."""
