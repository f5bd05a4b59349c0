"""The AWS API and the targets that the course runs on: stacks, security groups, names."""
