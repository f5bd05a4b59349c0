"""The course: its steps, their checks, how far the learner is, and running it all."""
