"""The supervisor: it decides what should be so, and keeps a worker running that does it."""

from forebay.node.errors import NodeError, WorkerUnavailableError
from forebay.node.node import Node

__all__ = ["Node", "NodeError", "WorkerUnavailableError"]
