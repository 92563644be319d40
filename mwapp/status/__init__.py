"""What the ensemble contains, and its state, for the commands that show it."""
