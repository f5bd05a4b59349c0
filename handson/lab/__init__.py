"""The embedded lab: a small EC2 on one machine.

>>> lab = Lab("lab")            # doctest: +SKIP
>>> lab.up(public_key)          # doctest: +SKIP
"""

from handson.lab.lab import Lab

__all__ = ["Lab"]
