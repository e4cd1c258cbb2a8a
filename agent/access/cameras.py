"""What devices on the network say of themselves: which there are, and which streams one has."""

from typing import Final

from agent.access.console import FAINT, YELLOW, Screen, clean
from agent.camera_address import Address, NoPassword
from agent.camera_words import words
from agent.clock import Clock
from agent.facts import Text
from agent.onvif import OnvifFailed, offered
from agent.onvif import discover as discovered
from agent.onvif_messages import choose

OK: Final = 0
WRONG: Final = 1
REFUSED: Final = 4


def discover(screen: Screen, clock: Clock, wait_s: float, interface: str, as_json: bool) -> int:
    """Show the devices that answer a search; 1 when there is none."""
    try:
        devices = discovered(clock, wait_s, interface)
    except OSError as error:
        said = error.strerror or str(error)
        screen.problem(Text(f"无法在网络上查找：{said}", f"the network cannot be searched: {said}"))
        return WRONG
    if as_json:
        screen.json([{"addresses": each.addresses, "name": each.name, "hardware": each.hardware} for each in devices])
    elif not devices:
        screen.line(
            screen.t("没有设备应答（只找得到同一网段的）", "no device answers (only those of this network can)")
        )
    else:
        rows = [(each.name, each.hardware, " ".join(each.addresses)) for each in devices]
        screen.table([tuple(clean(column) for column in row) for row in rows])
    return OK if devices else WRONG


def probe(screen: Screen, clock: Clock, address: Address, as_json: bool) -> int:
    """Show the streams of a device, and which would be taken for `main` and `sub`; 1 when it gives none, 4 when it
    refuses user or password."""
    try:
        found = offered(address, clock)
    except (OnvifFailed, NoPassword) as error:
        screen.problem(words(str(error)))
        return REFUSED if isinstance(error, OnvifFailed) and error.refused else WRONG
    profiles = [profile for profile, _ in found]
    main, sub = choose(profiles, "main"), choose(profiles, "sub")
    rows = [
        {
            "profile": each.token, "name": each.name, "source": each.source, "codec": each.codec, "width": each.width,
            "height": each.height, "fps": each.fps, "url": url, "main": each is main, "sub": each is sub,
        }
        for each, url in found
    ]  # fmt: skip
    if as_json:
        screen.json(rows)
        return OK
    for row in rows:
        taken = " ".join(name for name in ("main", "sub") if row[name])
        size = f"{row['width']}x{row['height']} {row['fps']}/s {row['codec']}"
        screen.line(f"{clean(row['profile'])}  {size}  {clean(row['name'])}  {taken}".rstrip(), YELLOW if taken else "")
        screen.line(f"  {clean(row['url'])}", FAINT)
    if len({each.source for each in profiles}) > 1:
        text = Text(
            "设备有多个画面（如 NVR 的通道）：其余画面请写 onvif://主机/配置名",
            "the device has several pictures (channels of an NVR): for the others write onvif://host/PROFILE",
        )
        screen.line(screen.say(text))
    return OK
