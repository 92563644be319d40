"""The protocol as a model in ``docs/model``, all of whose states the model checker spin visits.

``python -m tests.model`` checks it at the bounds that CI uses; ``python -m tests.model 2`` at larger ones.
"""
