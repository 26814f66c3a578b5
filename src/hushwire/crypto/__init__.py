"""Named suites, key derivation, key exchanges and signatures over pyca/cryptography."""
