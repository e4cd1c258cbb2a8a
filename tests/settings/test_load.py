"""Every mistake at once, each with its place, its key and what is allowed, in both languages."""

from pathlib import Path

import pytest

from agent.settings.load import Findings, SettingsError, examine, examine_bytes, load

FILE = Path("/nowhere/facility.yaml")

RIGHT = """\
facility: {id: F1, name: 阳光托育, location: {longitude: 116.5, latitude: 35.4}}
rooms:
  - {id: R01, name: 一班, capacity: 20}
cameras:
  - id: C01
    name: 东北角
    room: R01
    main: rtsp://192.0.2.1/main
bridges:
  - {id: B1, port: /dev/null}
zones:
  - {id: Z01, name: 一键报警, type: panic_24h, bridge: B1, input: 0}
platforms:
  - {id: police, role: public_security, brokers: ["mqtts://police.example"]}
footage: {volumes: [/]}
"""

TEN_MISTAKES = """\
language: fr
facility:
  id: F 1
  name: 阳光托育
  grade: 9
  time_zone: Asia/Jining
cameras:
  - id: C01
    name: 东北角
    room: R09
    main: http://192.0.2.1/main
    fps: 十五
  - id: C01
    name: 走廊
    main: rtsp://admin:geheim@192.0.2.2/main
footage:
  minimum_days: 60
  target_days: 40
  segmet_s: 10
"""


def look(text: str, file: Path = FILE) -> Findings:
    return examine_bytes(text.encode(), file)


def lines(text: str, language: str = "zh", file: Path = FILE) -> list[str]:
    return [mistake.in_language("f.yaml", language) for mistake in look(text, file).mistakes]


def changed(old: str, new: str) -> str:
    assert RIGHT.count(old) == 1
    return RIGHT.replace(old, new)


def test_a_right_file_gives_settings_without_a_word() -> None:
    findings = look(RIGHT)
    assert (findings.mistakes, findings.warnings) == ([], [])
    assert findings.settings is not None
    assert findings.settings.cameras[0].main == "rtsp://192.0.2.1/main"


def test_ten_mistakes_are_ten_messages_in_the_order_of_the_file() -> None:
    assert lines(TEN_MISTAKES) == [
        "f.yaml:1:11: language: 应为 zh 或 en（'fr'）",
        "f.yaml:3:7: facility.id: 应为 1 到 32 个字母、数字、- 或 _，以字母或数字开头（'F 1'）",
        "f.yaml:5:10: facility.grade: 应为 1 到 5 的整数（9）",
        "f.yaml:6:14: facility.time_zone: 没有这个时区，应如 Asia/Shanghai（'Asia/Jining'）",
        "f.yaml:10:11: cameras[0].room: 没有这个房间（'R09'）；已有：无",
        "f.yaml:11:11: cameras[0].main: 应为 rtsp://主机[:端口]/路径 或 onvif://主机[:端口]（'http://192.0.2.1/main'）",
        (
            "f.yaml:12:5: cameras[0].fps: 不认识的键，这里可用：id, name, room, main, sub, transport, username, "
            "password_file, record, importance, record_sub, record_sound, count_people, threshold"
        ),
        "f.yaml:13:9: cameras[1].id: 与 cameras[0] 的 id 相同",
        (
            "f.yaml:15:11: cameras[1].main: 应为 rtsp://主机[:端口]/路径 或 onvif://主机[:端口]（'rtsp://***@192.0.2.2/main'）；"
            "地址里不写用户名和密码，请用 username 与 password_file"
        ),
        "f.yaml:18:16: footage.target_days: 应不小于 minimum_days（60）（40）",
        "f.yaml:19:3: footage.segmet_s: 不认识的键，是不是 segment_s？",
    ]


def test_the_same_mistakes_in_english() -> None:
    english = lines(TEN_MISTAKES, "en")
    assert english[0] == "f.yaml:1:11: language: must be zh or en (got 'fr')"
    assert english[2] == "f.yaml:5:10: facility.grade: must be an integer from 1 to 5 (got 9)"
    assert len(english) == len(lines(TEN_MISTAKES))


def test_no_message_holds_a_password() -> None:
    text = changed("    main:", "    password: geheim\n    main:") + "web: {host: 'rtsp://u:geheim@h'}\n"
    error = SettingsError(look(text).mistakes)
    assert error.mistakes
    assert "geheim" not in str(error)
    assert "geheim" not in str(SettingsError(look(TEN_MISTAKES).mistakes))
    assert "password_file" in str(error)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("capacity: 20", "capacity: ^true", "rooms[0].capacity: 应为 1 到 500 的整数（true）"),
        ("capacity: 20", "capacity: ^'20'", "rooms[0].capacity: 应为 1 到 500 的整数（'20'）"),
        ("capacity: 20", "capacity: ^0", "rooms[0].capacity: 应为 1 到 500 的整数（0）"),
        ("name: 东北角", "name: ^12", "cameras[0].name: 应为 1 到 100 个字的文字（12）；请加引号"),
        ("name: 东北角", "^nmae: 东北角", "cameras[0].nmae: 不认识的键，是不是 name？"),
        ("id: C01\n    name: 东北角", "^id: C01", "cameras[0].name: 缺少此项，应为 1 到 100 个字的文字"),
        ("name: 东北角\n", "^name:\n", "cameras[0].name: 缺少此项，应为 1 到 100 个字的文字"),
        (
            "rtsp://192.0.2.1/main",
            "^rtsp://192.0.2.1:70000/main",
            "cameras[0].main: 端口应为 1 到 65535 的整数（70000）",
        ),
        ('"mqtts://police.example"', '^"mqtts://p:0"', "platforms[0].brokers[0]: 端口应为 1 到 65535 的整数（0）"),
        ("bridge: B1", "bridge: ^B2", "zones[0].bridge: 没有这个报警板（'B2'）；已有：B1"),
        ("input: 0", "input: 0, cameras: [C01, ^C7]", "zones[0].cameras[1]: 没有这个摄像机（'C7'）；已有：C01"),
        ("volumes: [/]", "volumes: [/], sync_every_s: ^.nan", "footage.sync_every_s: 应为 1 到 10 的数（'.nan'）"),
        (
            "input: 0}",
            "input: 0}\n  - {id: Z02, name: 门, type: perimeter, bridge: B1, input: ^0}",
            "zones[1].input: 与 zones[0] 用了同一块板的同一路输入",
        ),
        (
            "port: /dev/null}",
            "port: /dev/null}\n  - {id: B2, port: ^/dev/null}",
            "bridges[1].port: 与 bridges[0] 同一串口",
        ),
    ],
)
def test_one_mistake(old: str, new: str, said: str) -> None:
    """`^` marks the place that the message is to name."""
    before, _, after = changed(old, new).partition("^")
    place = f"{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"
    assert lines(before + after) == [f"f.yaml:{place}: {said}"]


@pytest.mark.parametrize(
    ("more", "key"),
    [
        ("web: {host: 0.0.0.0}\n", "web.host"),
        (f"paths: {{runtime: /{'x' * 95}}}\n", "paths.runtime"),
        ("vision: {looks_per_s: 0}\n", "vision.looks_per_s"),
        ("paths: {data: ~/yunjian}\n", "paths.data"),
        ("vision: {looks_per_s: 1e400}\n", "vision.looks_per_s"),
    ],
)
def test_one_mistake_in_another_section(more: str, key: str) -> None:
    assert [mistake.key for mistake in look(RIGHT + more).mistakes] == [key]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "f.yaml: 文件是空的"),
        ("# nothing\n", "f.yaml: 文件是空的"),
        ("- a\n", "f.yaml: 最外层应为 键: 值"),
        ("facility:\n\t- x\n", "f.yaml:2:1: YAML 写法有误：缩进不能用制表符（Tab），请用空格"),
        ("facility: {id: a\n", "f.yaml:2:1: YAML 写法有误：括号没有闭合，或缺逗号"),
        ("facility: 'a\n", "f.yaml:2:1: YAML 写法有误：引号没有闭合"),
        ("a: b: c\n", "f.yaml:1:5: YAML 写法有误：这里不能出现冒号（缺引号，或缩进不对）"),
        ("a: \x07\n", "f.yaml:1:4: 不允许的控制字符 U+0007"),
        ("[" * 20, "f.yaml:1:17: 嵌套超过 16 层"),
    ],
)
def test_what_is_no_settings_file_at_all(text: str, said: str) -> None:
    assert lines(text) == [said]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (RIGHT + "footage: {volumes: [/]}\n", "f.yaml:16:1: footage: 重复的键（第 15 行已有）"),
        (changed("{volumes: [/]}", "&a {volumes: [/]}"), "f.yaml:15:10: 不支持锚点与别名（& 与 *）"),
        (changed("{volumes: [/]}", "!x {volumes: [/]}"), "f.yaml:15:10: 不支持标签（!）"),
        (RIGHT + "---\na: 1\n", "f.yaml:16:1: 只能有一份文档（多余的 ---）"),
        (changed("东北角", '"\\ud800"'), "f.yaml:6:11: 不允许的控制字符 U+D800"),
    ],
)
def test_yaml_that_is_not_wanted_is_told_beside_the_rest(text: str, said: str) -> None:
    assert said in lines(text)


def test_a_bomb_of_aliases_is_refused_before_it_grows() -> None:
    bomb = "a: &a [x, x]\n" + "".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join(['*' + chr(97 + n)] * 9)}]\n" for n in range(20)
    )
    found = lines(bomb)
    assert any("锚点" in line for line in found)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (RIGHT.encode("gbk"), "应为 UTF-8"),
        (RIGHT.encode("utf-16"), "应为 UTF-8"),
        (b"\x7fELF\0\0", "应为 UTF-8"),
        (b"a: " + b"x" * 300_000, "超过 256 KiB"),
    ],
)
def test_other_encodings_and_huge_files(data: bytes, said: str) -> None:
    findings = examine_bytes(data, FILE)
    assert len(findings.mistakes) == 1
    assert said in findings.mistakes[0].text.zh


def test_a_byte_order_mark_is_no_mistake() -> None:
    assert examine_bytes(b"\xef\xbb\xbf" + RIGHT.encode(), FILE).mistakes == []


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    for path in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(SettingsError) as caught:
            load(path)
        assert len(caught.value.mistakes) == 1
    assert examine(tmp_path / "a\0b").mistakes


def test_relative_paths_start_at_the_file(tmp_path: Path) -> None:
    file = tmp_path / "facility.yaml"
    file.write_text(RIGHT.replace("volumes: [/]", "volumes: [footage]") + "paths: {data: data, runtime: run}\n")
    settings = load(file)
    assert settings.footage.volumes == (tmp_path / "footage",)
    assert settings.paths.data == tmp_path / "data"
    assert settings.paths.runtime == tmp_path / "run"


CREDENTIALS = "    username: viewer\n    password_file: secret\n    main:"


def test_a_secret_file_must_be_there_filled_and_closed_to_others(tmp_path: Path) -> None:
    file, secret = tmp_path / "facility.yaml", tmp_path / "secret"
    text = changed("    main:", CREDENTIALS)
    assert lines(text, "en", file) == [f"f.yaml:9:20: cameras[0].password_file: no such file ({secret})"]
    file.write_text(text, encoding="utf-8")
    assert load(file).cameras[0].password_file == secret, "a lost password file must not keep the buttons from starting"
    secret.touch(0o600)
    assert lines(text, "en", file) == [f"f.yaml:9:20: cameras[0].password_file: the file is empty ({secret})"]
    secret.write_text("geheim\n")
    assert lines(text, "en", file) == []
    secret.chmod(0o644)
    assert lines(text, "en", file) == [
        f"f.yaml:9:20: cameras[0].password_file: open to other users ({secret}, mode 0644); run chmod 600 on it"
    ]
    secret.chmod(0o640)
    assert lines(text, "en", file) == []
    secret.unlink()
    secret.mkdir()
    assert lines(text, "en", file) == [f"f.yaml:9:20: cameras[0].password_file: not a regular file ({secret})"]


def test_a_password_needs_a_user_and_a_certificate_its_key(tmp_path: Path) -> None:
    for name in ("secret", "ca", "cert"):
        (tmp_path / name).write_text("x")
        (tmp_path / name).chmod(0o600)
    text = changed("    main:", "    password_file: secret\n    main:")
    text = text.replace('example"]}', 'example"], tls: {ca_file: ca, certificate_file: cert}}')
    assert [mistake.key for mistake in look(text, tmp_path / "f.yaml").mistakes] == [
        "cameras[0].password_file",
        "platforms[0].tls.certificate_file",
    ]


@pytest.mark.parametrize(
    ("old", "new", "key", "said"),
    [
        ("panic_24h", "perimeter", "zones", "there is no panic zone"),
        ("public_security", "smart_cloud", "platforms", "there is no police platform"),
        (", capacity: 20", "", "rooms[0]", "no over-capacity alert"),
        ("    room: R01\n", "", "cameras[0]", "nobody is counted"),
        ("mqtts:", "mqtt:", "platforms[0].brokers[0]", "not encrypted"),
        ("192.0.2.1/main", "192.0.2.1/main?password=x", "cameras[0].main", "a password stands in the address"),
        ("{volumes: [/]}", "{volumes: [/none]}", "footage.volumes[0]", "no such folder"),
        ("/dev/null", "/dev/none", "bridges[0].port", "no such port"),
        (", location: {longitude: 116.5, latitude: 35.4}", "", "facility", "alerts carry no place"),
    ],
)
def test_warnings_do_not_stop_a_start(old: str, new: str, key: str, said: str) -> None:
    findings = look(changed(old, new))
    assert findings.settings is not None
    assert [(warning.key, said in warning.text.en) for warning in findings.warnings] == [(key, True)]
