"""Who may relay: what is right, what was tried, why, and the table that shows it."""
