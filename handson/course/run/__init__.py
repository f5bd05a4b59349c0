"""Running notebooks without a browser, and what is shown and kept of it."""
