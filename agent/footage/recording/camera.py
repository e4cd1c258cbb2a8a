"""One camera's connection: a thread that reads packets and hands them on, and never stops trying.

The thread that reads writes nothing and holds nothing that others wait for: it may hang in libav (agent/reader.py).

Invariants
1. What was read waits in one bounded queue (arrivals.py).
2. A connection's streams are used as templates only while `with_streams` holds them open.
3. User and password are in no log line and no error text.
4. Sound never costs pictures: what it spoils is tried again without it, and a camera that sends nothing but sound
   is silent. Sound that is not wanted leaves the reader in no way, whether it was asked for or not.
"""

import logging
import threading
from collections.abc import Callable
from typing import Any, Final, TypeVar

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from agent.camera_address import Address, NoPassword
from agent.camera_open import Place, open_stream, where, why
from agent.camera_words import Why, detail
from agent.clock import Clock
from agent.footage.recording.arrivals import Arrivals, Arrived, Ended, Heard, Item, Opened, Trouble
from agent.footage.recording.picture_sets import PictureSets
from agent.footage.recording.sound import Sound, sound_of
from agent.logins import Logins
from agent.onvif import OnvifFailed
from agent.reader import Reader, Turn
from agent.seldom import Seldom

log = logging.getLogger(__name__)

BACKOFF_S: Final = (0.5, 1.0, 2.0)
"""Waits between attempts; the last one for ever."""

STEADY_S: Final = 10.0
"""A connection that lasted so long had nothing wrong with it; one that broke off sooner counts as an attempt. A camera
that breaks off at once, for ever, makes 1800 files an hour and not 7200."""

LOOK_EVERY_S: Final = 1.0
"""After a password was refused, whether the next attempt is due, or the password file another."""

ANALYSE_SOUND_US: Final = 1_000_000
"""With sound libav waits for its first packet, by itself for 5 s: a silent microphone must not cost the pictures."""

NO_SOUND_FOR_NS: Final = 3600 * 10**9
"""A camera that shows pictures only when it is not asked for sound is not asked for so long."""

MAX_BAD_SOUND: Final = 50
"""So many packets of sound that cannot be used, and it is left out until the next connection."""

GATHER_S: Final = 0.12
"""Once everything that came was read, the reader lets this much gather in the socket before it reads again: one
wake-up for several frames, instead of one for every 1400 bytes. It delays a packet's arrival time by half of this,
and holds 8.7 Mbit/s in the smallest socket buffer (128 KiB); Linux lets the buffer of a faster camera grow."""

BLOCKED_NS: Final = 1_000_000
"""A read that took longer than this had to wait for the network: everything that came was read."""

LEAST_RATE: Final = 1.0
MOST_RATE: Final = 240.0
"""Frames a second, whatever the camera's description says: the end of a run is one frame after its last packet,
and one that claims a frame in 1000 s would have footage where there is none."""

CODECS: Final = frozenset({"h264", "hevc"})

T = TypeVar("T")


class Camera:
    """The packets of one stream of one camera, from connection after connection."""

    def __init__(
        self,
        name: str,
        address: Address,
        clock: Clock,
        read_timeout_s: float,
        sound: bool = False,
        logins: Logins | None = None,
    ) -> None:
        """`sound`: it is recorded, too. `logins` are shared with whatever else asks the same camera."""
        self.name = name
        self.address = address
        self.wants_sound = sound
        self.read_timeout_s = read_timeout_s
        self._clock = clock
        self._login = (logins or Logins(None, clock)).login(address)
        self._seldom = Seldom(log, clock)
        self._arrivals = Arrivals()
        self._guard = threading.Lock()
        self._reading: _Reading | None = None
        self._connections = 0
        self._reader = Reader(f"camera-{name}", self._work, clock)
        self._overdue: tuple[int, float] | None = None
        self.no_sound_until_ns = 0
        """Sound is left out of connections that begin before (monotonic)."""
        self.told_sound = ""
        """The last that was logged of sound that is not recorded."""

    def start(self) -> None:
        """Begin to read."""
        self._reader.start()

    def ask_to_stop(self) -> None:
        """Read no more. Never waits."""
        self._reader.ask_to_stop()

    def join(self, timeout_s: float) -> bool:
        """Wait for the reader; False when it hangs in libav and is left behind (it holds no file)."""
        return self._reader.join(timeout_s)

    def replace_hung(self) -> bool:
        """Begin another reader when the present one hangs; True when that was done. Called now and then."""
        return self._reader.replace_hung()

    def connect_anew(self, connection: int, waited_s: float) -> None:
        """End this connection, which gave no key frame for so long: another one begins with a key frame."""
        self._overdue = (connection, waited_s)

    def overdue(self, connection: int) -> float | None:
        """For how long this connection gave no key frame, when it is to be ended for that; used by the reader."""
        return self._overdue[1] if self._overdue is not None and self._overdue[0] == connection else None

    def take(self) -> list[Item]:
        """Everything read since the last call."""
        return self._arrivals.take()

    def with_streams(self, connection: int, use: Callable[[VideoStream, AudioStream | None], T]) -> T | None:
        """`use` of the streams of this connection while they are certain to exist, or None when it is over. The sound
        is there when `Opened` told of it."""
        reading = self._reading
        return None if reading is None else reading.with_streams(connection, use)

    def put(self, item: Item, turn: Turn) -> None:
        """Take an item from a reader; used by the reader alone."""
        if self._reader.is_current(turn):
            self._arrivals.put(item)

    def say(self, level: int, kind: str, text: str) -> None:
        """A line of the log, unless one of this kind was written a moment ago; used by the reader alone."""
        self._seldom.say(level, kind, f"camera {self.name}: {text}")

    def next_connection(self) -> int:
        """A number for a connection, never used before."""
        with self._guard:
            self._connections += 1
            return self._connections

    def _work(self, turn: Turn) -> None:
        reading = _Reading(self, turn, self._clock)
        with self._guard:
            if not self._reader.is_current(turn):
                return
            self._reading = reading
        attempt = 0
        while not turn.over():
            turn.turned()
            if not self._login.may_try():
                turn.wait(LOOK_EVERY_S)
                continue
            began_ns = turn.turned()
            try:
                ended = reading.connect_and_read(self._login.accepted)
            except Exception as error:  # noqa: BLE001  # top of the thread: the next connection may do
                self.say(logging.ERROR, "failed", f"the reader failed with {where(error)}")
                ended = Ended(Trouble.SILENT, detail(Why.ERROR, type(error).__name__), False)
            if turn.over():
                return  # that it ends now is not the camera's doing
            if ended.trouble is Trouble.REFUSED and ended.asked:
                self._login.refused()
            self.put(ended, turn)
            lasted_s = (turn.turned() - began_ns) / 1e9
            attempt = 0 if ended.was_open and lasted_s > STEADY_S else attempt + 1
            turn.wait(BACKOFF_S[min(attempt, len(BACKOFF_S) - 1)])


class _Reading:
    """What one thread of one camera reads."""

    def __init__(self, camera: Camera, turn: Turn, clock: Clock) -> None:
        self._camera = camera
        self._turn = turn
        self._clock = clock
        self._place = Place(camera.address, clock)
        self._doubt_sound = False
        self._guard = threading.Lock()
        self._streams: tuple[int, VideoStream, AudioStream | None] | None = None

    def with_streams(self, connection: int, use: Callable[[VideoStream, AudioStream | None], T]) -> T | None:
        with self._guard:
            if self._streams is None or self._streams[0] != connection:
                return None
            return use(self._streams[1], self._streams[2])

    def connect_and_read(self, accepted: Callable[[], None]) -> Ended:
        began_ns = self._turn.turned()
        try:
            container = self._open()
        except NoPassword as error:
            return Ended(Trouble.REFUSED, str(error), False, asked=False)
        except OnvifFailed as error:
            seen = str(error)
            return Ended(Trouble.REFUSED if error.refused else _TROUBLES.get(_code(seen), Trouble.SILENT), seen, False)
        except (OSError, ValueError, av.error.FFmpegError) as error:
            self._place.failed()
            seen = why(error, (self._turn.turned() - began_ns) / 1e9)
            return Ended(_TROUBLES.get(seen, Trouble.SILENT), seen, False)
        accepted()
        self._place.worked()
        try:
            return self._read(container)
        finally:
            with self._guard:
                self._streams = None
            container.close()

    def _open(self) -> InputContainer:
        """The connection, with sound where that is wanted and does no harm."""
        camera = self._camera
        if not camera.wants_sound or self._turn.turned() < camera.no_sound_until_ns:
            return self._open_for("video")
        doubted, self._doubt_sound = self._doubt_sound, False
        if doubted:  # the last attempt ran out of time: is the camera there, and shows pictures?
            self._open_for("video").close()
        try:
            return self._open_for("video+audio")
        except (av.error.HTTPUnauthorizedError, av.error.HTTPForbiddenError):
            raise
        except (av.error.ExitError, av.error.TimeoutError) as error:
            if not doubted:
                self._doubt_sound = True
                raise
            seen = why(error)
        except (av.error.HTTPClientError, av.error.InvalidDataError, ValueError) as error:
            seen = why(error)
        container = self._open_for("video")
        self._leave_sound_out(f"the camera shows pictures only when it is not asked for sound ({seen})")
        camera.no_sound_until_ns = self._turn.turned() + NO_SOUND_FOR_NS
        return container

    def _open_for(self, media: str) -> InputContainer:
        self._turn.turned()
        options = {"timeout": str(int(self._camera.read_timeout_s * 1e6))}
        if media != "video":
            options["analyzeduration"] = str(ANALYSE_SOUND_US)
        # The read timeout is libav's own: PyAV's would take the interpreter's lock for every packet.
        return open_stream(self._place.find(), media, options)

    def _read(self, container: InputContainer) -> Ended:
        if not container.streams.video:
            return Ended(Trouble.NOT_VIDEO, detail(Why.NO_VIDEO), False)
        stream = container.streams.video[0]
        codec = stream.codec_context.name
        if codec not in CODECS:
            return Ended(Trouble.NOT_VIDEO, detail(Why.OTHER_CODEC, codec), False)
        if not stream.codec_context.width or stream.time_base is None:
            return Ended(Trouble.SILENT, detail(Why.NO_KEY_FRAME), False)
        connection = self._camera.next_connection()
        rate = float(stream.average_rate or stream.guessed_rate or 25)
        nominal = max(1, int(1 / (min(max(rate, LEAST_RATE), MOST_RATE) * stream.time_base)))
        context = stream.codec_context
        sound = self._sound(container)
        with self._guard:
            self._streams = (connection, stream, sound.template if sound else None)
        told = sound.format if sound else None
        opened = Opened(connection, codec, context.width, context.height, stream.time_base, nominal, sound=told)
        self._camera.put(opened, self._turn)
        return self._demux(container, stream, opened, sound)

    def _sound(self, container: InputContainer) -> Sound | None:
        # Sound that is not to be recorded may come all the same: within a transport stream it is not asked for apart.
        if not self._camera.wants_sound or not container.streams.audio:
            return None
        stream = container.streams.audio[0]
        try:
            sound = sound_of(stream)
        except (av.error.FFmpegError, ValueError) as error:
            self._leave_sound_out(why(error))
            return None
        if sound is None:
            name = stream.codec_context.name
            bare = "AAC that does not say how it is made" if name == "aac" else f"{name}; AAC and G.711 can be recorded"
            self._leave_sound_out(f"it is {bare}")
        return sound

    def _leave_sound_out(self, reason: str) -> None:
        if reason != self._camera.told_sound:
            self._camera.told_sound = reason
            self._camera.say(logging.WARNING, f"sound {reason}", f"its sound is not recorded: {reason}")

    def _demux(self, container: InputContainer, stream: VideoStream, opened: Opened, sound: Sound | None) -> Ended:
        camera, turn, now = self._camera, self._turn, self._clock.mono_ns
        put, gather = camera.put, camera.address.transport == "tcp"
        shown_ns, patience_ns, bad_sound = now(), int(camera.read_timeout_s * 1e9), 0
        sets = PictureSets(opened)
        try:
            for packet in container.demux(*container.streams.video[:1], *container.streams.audio[:1]):
                before, turn.turned_ns = turn.turned_ns, now()
                if turn.over():
                    break
                if (waited_s := camera.overdue(opened.connection)) is not None:
                    return Ended(Trouble.SILENT, detail(Why.KEY_FRAME_OVERDUE, round(waited_s)), True)
                if packet.stream_index == stream.index:
                    shown_ns = turn.turned_ns
                    if packet.is_keyframe and (changed := sets.look(packet, shown_ns)) is not None:
                        put(changed, turn)
                        self._tell_picture(changed)
                    if sets.leaves_out:
                        sets.left_out += 1
                    elif packet.size:
                        put(Arrived(packet, turn.turned_ns), turn)
                elif turn.turned_ns - shown_ns > patience_ns:
                    return Ended(Trouble.SILENT, detail(Why.SOUND_ONLY), True)
                elif sound is not None and packet.size and bad_sound < MAX_BAD_SOUND:
                    bad_sound = 0 if self._hear(sound, packet) else bad_sound + 1
                    if bad_sound == MAX_BAD_SOUND:
                        self._leave_sound_out("its packets cannot be used")
                if gather and turn.turned_ns - before > BLOCKED_NS:
                    turn.wait(GATHER_S)
        except (OSError, ValueError, av.error.FFmpegError) as error:
            return Ended(Trouble.SILENT, why(error), True)
        finally:
            if sets.left_out:
                text = f"{sets.left_out} packets were left out: its picture was another one every moment"
                camera.say(logging.WARNING, "left out", text)
        return Ended(Trouble.SILENT, detail(Why.STREAM_ENDED), True)

    def _tell_picture(self, opened: Opened) -> None:
        text = f"the picture is from now on {opened.width} x {opened.height}"
        self._camera.say(logging.INFO, "picture", text)

    def _hear(self, sound: Sound, packet: "Packet[Any]") -> bool:
        """Hand on a packet of sound; False when it is of no use."""
        try:
            for each in sound.convert(packet):
                self._camera.put(Heard(each, self._turn.turned_ns), self._turn)
        except (OSError, ValueError, av.error.FFmpegError):
            return False
        return True


_TROUBLES: Final = {
    detail(Why.LOGIN_REFUSED): Trouble.REFUSED,
    detail(Why.NO_RTSP): Trouble.NOT_VIDEO,
    detail(Why.NO_PROFILE): Trouble.NOT_VIDEO,
    detail(Why.NO_ONVIF): Trouble.NOT_VIDEO,
}


def _code(seen: str) -> str:
    return seen.partition(": ")[0]
