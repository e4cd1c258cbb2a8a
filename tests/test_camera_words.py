"""What people read of a camera's fault."""

from agent.camera_words import _WORDS, Why, detail, words


def test_every_code_has_words_in_both_languages() -> None:
    assert set(_WORDS) == set(Why)
    for why in Why:
        told = words(detail(why, "X1"))
        assert why is Why.ERROR or any("\u4e00" <= letter <= "\u9fff" for letter in told.zh), why
        assert not any("\u4e00" <= letter <= "\u9fff" for letter in told.en), why
        assert ("X1" in told.zh) == ("X1" in told.en) == ("{}" in _WORDS[why].zh)


def test_an_argument_stands_in_its_place() -> None:
    assert words(detail(Why.OTHER_CODEC, "mpeg4")).zh == "视频编码是 mpeg4；只能录 H.264 和 H.265"
    assert words(detail(Why.NO_PASSWORD_FILE, "/etc/x: No such file")).en.endswith(": /etc/x: No such file")


def test_what_is_no_code_is_shown_as_it_is() -> None:
    for seen in ("", "Connection timed out", "the camera ended the stream", "no_such_code: x"):
        assert words(seen) == (seen, seen)
