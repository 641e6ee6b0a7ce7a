"""What a node can't do."""


class NodeError(Exception):
    """The node can't start or do what was asked. ``problems`` has one sentence for each reason."""

    def __init__(self, *problems: str) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


class WorkerUnavailableError(NodeError):
    """There is no worker to ask at the moment: one is being started."""
