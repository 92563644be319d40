"""Would the simulations notice what they are there for? And whole runs of the role on simulated hosts.

Run by ``make simulate``.
"""
