"""Reads a camera that sends to a multicast group, in the network namespace in which it is run; prints what came."""

import json
import sys

from agent.camera_address import Address
from agent.clock import SystemClock
from agent.footage.recording.arrivals import Arrived, Ended, Item
from agent.footage.recording.camera import Camera
from tests.fakes.encoded import number_in, pictures
from tests.fakes.scripted_camera import ScriptedCamera, steady
from tests.fakes.waiting import until


def main() -> None:
    """One connection of four seconds."""
    shown = pictures(4)
    server = ScriptedCamera(lambda _: steady(shown), shown[0])
    server.multicast = ("239.77.91.7", 25_400)
    camera = Camera("one", Address(server.url(), "multicast"), SystemClock(), 2.5)
    camera.start()
    seen: list[Item] = []

    def ended() -> bool:
        seen.extend(camera.take())
        return any(isinstance(each, Ended) for each in seen)

    until(ended, 15, "the end of the stream")
    camera.ask_to_stop()
    server.stop()
    numbers = [number_in(bytes(each.packet)) for each in seen if isinstance(each, Arrived)]
    sys.stdout.write(json.dumps({"numbers": numbers, "setups": server.setups}))


if __name__ == "__main__":
    main()
