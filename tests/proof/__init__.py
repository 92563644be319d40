"""Would the simulations notice what they are there for? Run by ``make simulate``."""
