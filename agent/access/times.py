"""PURE. The times that people type, as UTC nanoseconds, and back.

A time without a zone is meant in the facility's time zone. A time of day alone is the last such moment, or,
where the end of a range is asked for, the first one after its beginning.
"""

import re
from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import Final

from agent.facts import Text


class BadTime(Exception):
    """What was typed is no time. `text` says what is."""

    def __init__(self, text: Text) -> None:
        super().__init__(text.en)
        self.text = text


NS: Final = 1_000_000_000
_UNITS: Final = {
    "s": 1, "sec": 1, "秒": 1, "m": 60, "min": 60, "分": 60, "分钟": 60,
    "h": 3600, "小时": 3600, "时": 3600, "d": 86400, "天": 86400,
}  # fmt: skip
_AGO: Final = re.compile(
    r"(?:(?:now|现在)\s*)?(?P<sign>[-+]?)\s*(?P<parts>(?:\d{1,6}\s*[a-z秒分钟小时天]+\s*)+)(?P<ago>ago|前)?$"
)
_PART: Final = re.compile(r"(\d{1,6})\s*([a-z]+|分钟|小时|[秒分时天])")
_FORMS: Final = "2026-11-21 17:40 / 17:40 / 10m / now-2h / yesterday 17:40 / 2026-11-21T17:40+08:00"
_EARLIEST_NS: Final = 86400 * NS
_LATEST_NS: Final = 7_000_000_000 * NS
"""Year 2191; nanoseconds in 64 bits end in 2262."""

_CLOCK: Final = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?$")
_DAYS: Final = {"today": 0, "今天": 0, "yesterday": 1, "昨天": 1, "前天": 2}


def parse(typed: str, now_ns: int, zone: tzinfo, after_ns: int | None = None) -> int:
    """The moment that `typed` means, in UTC nanoseconds.

    `after_ns` is the beginning of the range whose end is asked for. Raises BadTime.
    """
    text = typed.strip().lower()
    now = datetime.fromtimestamp(now_ns // NS, UTC).astimezone(zone)
    if text in ("now", "现在"):
        return now_ns
    try:
        for read in (_relative, _of_day, _named_day, _iso):
            moment = read(text, now, after_ns)
            if moment is not None and _EARLIEST_NS <= moment <= _LATEST_NS:
                return moment
    except (ValueError, OverflowError) as error:
        raise _bad(typed) from error
    raise _bad(typed)


def _bad(typed: str) -> BadTime:
    shown = typed if len(typed) <= 40 else typed[:37] + "…"
    return BadTime(
        Text(
            f"看不懂的时间 '{shown}'；可写 {_FORMS}（10m 即 10 分钟前）",
            f"not a time: '{shown}'; write {_FORMS} (10m is ten minutes ago)",
        )
    )


def _relative(text: str, now: datetime, after_ns: int | None) -> int | None:
    match = _AGO.fullmatch(text)
    if match is None:
        return None
    seconds = 0
    parts = _PART.findall(match["parts"])
    if "".join(number + unit for number, unit in parts) != re.sub(r"\s", "", match["parts"]):
        return None
    for number, unit in parts:
        if unit not in _UNITS:
            return None
        seconds += int(number) * _UNITS[unit]
    if match["sign"] == "+":
        # An end that is given as a length counts from the beginning of the range.
        base = to_ns(now) if after_ns is None else after_ns
        return base + seconds * NS
    return to_ns(now) - seconds * NS


def _of_day(text: str, now: datetime, after_ns: int | None) -> int | None:
    clock = _clock(text)
    if clock is None:
        return None
    if after_ns is None:
        today = to_ns(_at(now, clock))
        return today if today <= to_ns(now) else to_ns(_at(now - timedelta(days=1), clock))
    start = datetime.fromtimestamp(after_ns / NS, UTC).astimezone(now.tzinfo)
    same_day = to_ns(_at(start, clock))
    return same_day if same_day > after_ns else to_ns(_at(start + timedelta(days=1), clock))


def _named_day(text: str, now: datetime, after_ns: int | None) -> int | None:
    for name, days in _DAYS.items():
        if text.startswith(name):
            rest = text[len(name) :].strip()
            clock = _clock(rest) if rest else time()
            return None if clock is None else to_ns(_at(now - timedelta(days=days), clock))
    return None


def _iso(text: str, now: datetime, after_ns: int | None) -> int | None:
    text = text.replace("/", "-") if re.match(r"\d{4}/\d", text) else text
    if not re.match(r"\d{4}-\d{1,2}-\d{1,2}", text):
        return None
    date, separator, rest = re.sub(r"\s+", " ", text).replace("t", " ", 1).partition(" ")
    date = "-".join(part.zfill(2) for part in date.split("-"))
    rest = re.sub(r"^(\d):", r"0\1:", rest).replace(" ", "")
    moment = datetime.fromisoformat((f"{date}T{rest}" if separator else date).upper())
    return to_ns(moment if moment.tzinfo is not None else moment.replace(tzinfo=now.tzinfo))


def _clock(text: str) -> time | None:
    match = _CLOCK.fullmatch(text)
    return time(int(match[1]), int(match[2]), int(match[3] or 0)) if match else None


def _at(day: datetime, clock: time) -> datetime:
    return datetime.combine(day.date(), clock, day.tzinfo)


def to_ns(moment: datetime) -> int:
    """UTC nanoseconds of an aware `moment`, exact to the microsecond."""
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return ((since.days * 86400 + since.seconds) * 1_000_000 + since.microseconds) * 1000


def shown(at_ns: int, zone: tzinfo, with_date: bool = True) -> str:
    """`2026-11-21 17:40:05`, or `17:40:05`, in `zone`."""
    moment = datetime.fromtimestamp(at_ns // NS, UTC).astimezone(zone)
    return moment.strftime("%Y-%m-%d %H:%M:%S" if with_date else "%H:%M:%S")


def iso(at_ns: int, zone: tzinfo) -> str:
    """ISO 8601 with milliseconds and zone, for programs."""
    moment = datetime.fromtimestamp(at_ns // NS, UTC).replace(microsecond=at_ns % NS // 1_000_000 * 1000)
    return moment.astimezone(zone).isoformat(timespec="milliseconds")


def length_ns(typed: str) -> int:
    """How long `typed` (`1s`, `2m`, `1h30m`) is. Raises BadTime."""
    text = re.sub(r"\s", "", typed.strip().lower())
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text or any(u not in _UNITS for _, u in parts):
        raise BadTime(
            Text(f"看不懂的时长 '{typed[:40]}'；可写 1s、2m、1h", f"no length: '{typed[:40]}'; write 1s, 2m or 1h")
        )
    return sum(int(number) * _UNITS[unit] for number, unit in parts) * NS


def duration(seconds: float) -> Text:
    """`3 小时 12 分` / `3 h 12 min`: the two largest units, rounded down."""
    whole = max(0, int(seconds))
    if whole < 60:
        return Text(f"{whole} 秒", f"{whole} s")
    days, rest = divmod(whole, 86400)
    hours, rest = divmod(rest, 3600)
    minutes, left = divmod(rest, 60)
    units = [(days, "天", "d"), (hours, "小时", "h"), (minutes, "分", "min"), (left, "秒", "s")]
    first = next(number for number, unit in enumerate(units) if unit[0])
    kept = [unit for unit in units[first : first + 2] if unit[0]]
    return Text(" ".join(f"{n} {zh}" for n, zh, _ in kept), " ".join(f"{n} {en}" for n, _, en in kept))
