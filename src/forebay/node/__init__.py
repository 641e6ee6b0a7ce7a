"""The supervisor: it decides what should be so, and keeps a worker running that does it."""

from forebay.node.node import Node, NodeError, WorkerUnavailableError

__all__ = ["Node", "NodeError", "WorkerUnavailableError"]
