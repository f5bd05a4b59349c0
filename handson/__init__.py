"""SMTP AUTH for a Postfix relay, learned step by step.

A notebook begins with

    from handson import begin
    step = begin("02_sasl_install")
"""

from handson.course import STEPS, Step, begin

__all__ = ["STEPS", "Step", "begin"]
