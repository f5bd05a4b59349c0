"""The embedded lab: hosts in containers, and an AWS API on this machine that makes them."""
