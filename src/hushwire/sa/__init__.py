"""The pure model: traffic selectors, security associations, the replay window."""
