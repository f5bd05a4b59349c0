"""What may be wrong: each cause beside the fault that brings it about."""
