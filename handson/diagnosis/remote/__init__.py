"""Programs for hosts: the standard library only, and nothing newer than Python 3.7."""
