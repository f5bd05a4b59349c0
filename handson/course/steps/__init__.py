"""The steps of the course, one module each."""
