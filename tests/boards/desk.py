"""Whoever takes the reports of a board in these tests."""

from firmware_bridge.reports import InputEvent, LinkChanged, Report, Snapshot


class Taker:
    """Keeps every report; `fails` events are refused before one is taken again."""

    def __init__(self) -> None:
        self.reports: list[Report] = []
        self.fails = 0

    def take(self, report: Report) -> None:
        if self.fails and isinstance(report, InputEvent):
            self.fails -= 1
            raise LookupError("the desk is not well")
        self.reports.append(report)

    def events(self, input_no: int | None = None, state: str | None = None) -> list[InputEvent]:
        return [
            each
            for each in self.reports
            if isinstance(each, InputEvent) and input_no in (None, each.input_no) and state in (None, each.state)
        ]

    def links(self) -> list[LinkChanged]:
        return [each for each in self.reports if isinstance(each, LinkChanged)]

    def ups(self) -> list[LinkChanged]:
        return [each for each in self.links() if each.up]

    def downs(self) -> list[str]:
        return [each.reason.partition(":")[0] for each in self.links() if not each.up]

    def snapshots(self) -> list[Snapshot]:
        return [each for each in self.reports if isinstance(each, Snapshot)]

    def up_now(self) -> bool:
        """The newest word on the link is up, and its snapshot has come."""
        links = self.links()
        return bool(
            links and links[-1].up and self.reports.index(links[-1]) < len(self.reports) - 1 and self.snapshots()
        )
