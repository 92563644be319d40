"""What there is in the ensemble and how it is, for the commands that show it."""
