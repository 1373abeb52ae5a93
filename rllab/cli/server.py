"""Kernel messages are sent without delay (TCP_NODELAY): the only change that the lab makes to Jupyter's server.

For a click the kernel sends two messages: that it is busy, and then what has changed. Without TCP_NODELAY the system
holds the second one until the browser has acknowledged the first, which it delays: up to 40 ms on every other click.
"""

from __future__ import annotations

from typing import Any

from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection


class PromptConnection(ZMQChannelsWebsocketConnection):
    """The connection between a page and its kernel, without delay for small messages."""

    def connect(self) -> Any:
        """Connect as Jupyter does, and switch TCP_NODELAY on."""
        self.websocket_handler.set_nodelay(True)
        return super().connect()
