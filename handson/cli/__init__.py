"""The command `handson` and what its commands do."""
