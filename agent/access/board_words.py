"""PURE. What is wrong with a board, in words: codes that travel in status and conditions (`Trouble` in reports.py)."""

from typing import Final

from agent.facts import Text

_TROUBLES: Final = {
    "config_refused": Text(
        "板卡不保存输入配置，或没有设置里的那几路输入", "it does not keep how its inputs are wired, or has not as many"
    ),
    "firmware_old": Text("固件过旧，请 make flash", "old firmware: make flash"),
    "uid_none": Text("没有编号，请 make flash", "no uid of its own: make flash"),
    "uid_twice": Text(
        "与另一块板编号相同，请 make flash NEW_UID=1", "the uid of another board, too: make flash NEW_UID=1"
    ),
    "boot_went_back": Text(
        "启动计数倒退（EEPROM 被擦，或编号是抄来的），请 make flash NEW_UID=1",
        "its boot counter went back, EEPROM was erased or the uid is a copy: make flash NEW_UID=1",
    ),
}


def trouble_words(code: object) -> Text | None:
    """One of these codes in words; None for anything else."""
    return _TROUBLES.get(code) if isinstance(code, str) else None
