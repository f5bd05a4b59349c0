"""The embedded lab: a small EC2 on one machine.

>>> lab = Lab("lab")            # doctest: +SKIP
>>> lab.up(public_key)          # doctest: +SKIP
"""

from handson.lab.api import LabApi
from handson.lab.lab import Lab, build, check_key
from handson.lab.state import LabState, Maker

__all__ = ["Lab", "LabApi", "LabState", "Maker", "build", "check_key"]
