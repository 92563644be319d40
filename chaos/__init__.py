"""Faults on the running system, what they cost, and the story told with them.

Used by the demo (``python -m chaos.story``) and by the failover scenario's tests, on a lab that
``playbooks/site.yml`` has provisioned.
"""
