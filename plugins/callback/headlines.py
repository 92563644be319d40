"""Callback: the default output, without a line for each host that skips a task."""

from __future__ import annotations

DOCUMENTATION = r"""
name: headlines
type: stdout
short_description: The default output, without a line for each host that skips a task
description:
  - Shows the headline of each task when the task begins. With C(display_skipped_hosts=false) the default
    output shows it only when a host has something to say, so a task that takes long stands below the headline
    of an earlier one.
extends_documentation_fragment:
  - default_callback
  - result_format_callback
requirements:
  - set as C(stdout_callback) in C(ansible.cfg), and its directory as C(callback_plugins)
author: zklab (!UNKNOWN)
"""

from typing import Any

from ansible.plugins.callback.default import CallbackModule as Default


class CallbackModule(Default):  # type: ignore[misc] # ansible-core has no types
    """As the default, but silent about who skips."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "headlines"

    def v2_runner_on_skipped(self, result: Any) -> None:
        """Say nothing: a skipped task is none of this host's."""

    def v2_runner_item_on_skipped(self, result: Any) -> None:
        """Say nothing."""
