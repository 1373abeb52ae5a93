"""Kernel messages are sent to the page without delay."""

import socket

import pytest
from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection
from jupyter_server.services.kernels.websocket import KernelWebsocketHandler
from tornado.iostream import IOStream
from traitlets.utils.importstring import import_item

import lab
from rllab.cli.server import PromptConnection


class Line:
    """The end of a websocket, over a real socket."""

    def __init__(self) -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        self.other = socket.create_connection(listener.getsockname())
        self.socket, _ = listener.accept()
        listener.close()

    def set_nodelay(self, *on: bool) -> None:
        IOStream.set_nodelay(self, *on)


def test_small_messages_are_sent_as_they_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ZMQChannelsWebsocketConnection, "connect", lambda _self: "as Jupyter does")
    handler = KernelWebsocketHandler.__new__(KernelWebsocketHandler)
    handler.ws_connection = line = Line()
    held = line.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert PromptConnection(websocket_handler=handler).connect() == "as Jupyter does"
    assert (held, line.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)) == (0, 1)
    line.socket.close()
    line.other.close()


def test_the_door_asks_for_it() -> None:
    (option,) = lab.SERVER_OPTIONS
    assert import_item(option.split("=")[1]) is PromptConnection
