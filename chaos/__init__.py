"""Faults on the running system under load, and what they cost.

The demo, the scenarios and the benchmarks use it on a lab that ``playbooks/site.yml`` has provisioned.
"""
