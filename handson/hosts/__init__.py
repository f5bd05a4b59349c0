"""The hosts of the course: how they are reached, what is read of them and put back."""
