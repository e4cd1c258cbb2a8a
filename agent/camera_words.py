"""PURE. Why a camera gives no footage or frames: codes that travel and are stored, and their words for people.

A detail is `code` or `code: argument`; what is not one of ours (an error's own text, an older version's) is shown
as it is. The codes are part of status, gap rows and conditions: they are added to, never changed.
"""

from enum import StrEnum
from typing import Final

from agent.facts import Text


class Why(StrEnum):
    """What was seen."""

    NO_PACKETS = "no_packets"
    NO_ANSWER = "no_answer"
    CONNECTION_REFUSED = "connection_refused"
    CONNECTION_RESET = "connection_reset"
    UNREACHABLE = "unreachable"
    STREAM_ENDED = "stream_ended"
    NO_KEY_FRAME = "no_key_frame"
    KEY_FRAME_OVERDUE = "key_frame_overdue"
    SOUND_ONLY = "sound_only"
    NO_SUCH_STREAM = "no_such_stream"
    LOGIN_REFUSED = "login_refused"
    NO_PASSWORD_FILE = "no_password_file"
    PASSWORD_NOT_TEXT = "password_not_text"
    NO_RTSP = "no_rtsp"
    NO_VIDEO = "no_video"
    OTHER_CODEC = "other_codec"
    TIME_JUMPED = "time_jumped"
    PACKETS_MISSING = "packets_missing"
    CLOCK_SET = "clock_set"
    RECORDER_KILLED = "recorder_killed"
    MACHINE_OFF = "machine_off"
    QUEUE_FULL = "queue_full"
    BREAKS_OFTEN = "breaks_often"
    NO_ONVIF = "no_onvif"
    NO_PROFILE = "no_profile"
    DEVICE_SAYS = "device_says"
    INTERNAL_ERROR = "internal_error"
    ERROR = "error"


_WORDS: Final = {
    Why.NO_PACKETS: Text("没有数据包", "no packets come"),
    Why.NO_ANSWER: Text("摄像机没有应答", "the camera does not answer"),
    Why.CONNECTION_REFUSED: Text("地址上没有服务（连接被拒绝）", "nothing listens at the address"),
    Why.CONNECTION_RESET: Text("摄像机断开了连接", "the camera broke the connection off"),
    Why.UNREACHABLE: Text("网络不通", "there is no way to the address"),
    Why.STREAM_ENDED: Text("摄像机结束了视频流", "the camera ended the stream"),
    Why.NO_KEY_FRAME: Text("有数据包，但没有关键帧", "packets come, but no key frame"),
    Why.KEY_FRAME_OVERDUE: Text("{} 秒没有关键帧，已重新连接", "no key frame for {} s: connected anew to be given one"),
    Why.SOUND_ONLY: Text("只有声音，没有画面", "sound comes, but no pictures"),
    Why.NO_SUCH_STREAM: Text("摄像机没有这个视频流（404），请检查地址中的路径", "the camera has no such stream (404)"),
    Why.LOGIN_REFUSED: Text(
        "用户名或密码被拒绝；为免账号被锁，最多 15 分钟试一次，密码文件改动后立即再试",
        "user or password is refused; tried again every 15 minutes at most, lest the camera lock the user out, "
        "and at once when the password file changes",
    ),
    Why.NO_PASSWORD_FILE: Text("密码文件读不了：{}", "the password file cannot be read: {}"),
    Why.PASSWORD_NOT_TEXT: Text("密码文件不是 UTF-8 文本：{}", "the password file is no UTF-8 text: {}"),
    Why.NO_RTSP: Text("该地址上的服务不是 RTSP", "what answers there speaks no RTSP"),
    Why.NO_VIDEO: Text("该地址没有视频", "the address gives no video"),
    Why.OTHER_CODEC: Text("视频编码是 {}；只能录 H.264 和 H.265", "the video is {}; H.264 and H.265 can be recorded"),
    Why.TIME_JUMPED: Text("摄像机的时间跳变（{}）", "the camera's time jumped ({})"),
    Why.CLOCK_SET: Text("时钟拨快 {} 秒", "the clock was set forward by {} s"),
    Why.RECORDER_KILLED: Text("录像程序被终止", "the recorder was killed"),
    Why.MACHINE_OFF: Text("机器断电或重启", "the machine was off"),
    Why.PACKETS_MISSING: Text("缺少 {} 秒的数据包", "packets of {} s are missing"),
    Why.QUEUE_FULL: Text("磁盘太慢，丢弃了数据包", "packets had to be dropped: the disk is too slow"),
    Why.BREAKS_OFTEN: Text("10 分钟内连接中断 {} 次以上", "{} connections or more broke off within 10 minutes"),
    Why.NO_ONVIF: Text("该地址上的服务不是 ONVIF：{}", "what answers there speaks no ONVIF: {}"),
    Why.NO_PROFILE: Text("设备没有可录的 ONVIF 配置", "the device has no ONVIF profile that can be recorded"),
    Why.DEVICE_SAYS: Text("设备答复：{}", "the device says: {}"),
    Why.INTERNAL_ERROR: Text("程序内部错误", "internal error"),
    Why.ERROR: Text("{}", "{}"),
}
"""Every code has its words (a test compares)."""


def detail(why: Why, argument: object = "") -> str:
    """The code as it travels."""
    return f"{why.value}: {argument}" if argument != "" else why.value


def words(seen: str) -> Text:
    """The words of a detail, for the edge that shows it."""
    code, _, argument = seen.partition(": ")
    if code not in Why.__members__.values():
        return Text(seen, seen)
    zh, en = _WORDS[Why(code)]
    return Text(zh.replace("{}", argument), en.replace("{}", argument))
