"""The command `yunjian`, from the command line to the exit status, against real sockets."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.access.control import not_allowed
from agent.access.manual import PAGES
from agent.cli import main
from agent.wire import Server, WireError
from tests.fakes.processes import EVENTS, NOON_NS, STATUSES, Sockets, sockets

HOUR_NS = 3600 * 1_000_000_000


@pytest.fixture(autouse=True)
def _chinese(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("YUNJIAN_RUNTIME", "LC_ALL", "LC_MESSAGES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    monkeypatch.setenv("YUNJIAN_LANG", "zh")
    monkeypatch.setenv("COLUMNS", "100")


@pytest.fixture
def agent() -> Iterator[Sockets]:
    with sockets(*STATUSES) as running:
        yield running


class Ran:
    """What one run of the command gave."""

    def __init__(self, capsys: pytest.CaptureFixture[str], *arguments: str) -> None:
        try:
            self.status = main(arguments)
        except SystemExit as leaving:
            self.status = leaving.code if isinstance(leaving.code, int) else 1
        self.out, self.errors = capsys.readouterr()


def test_status_tells_what_is_wrong(agent: Sockets, capsys: pytest.CaptureFixture[str]) -> None:
    ran = Ran(capsys, "status", "--runtime", str(agent.runtime))
    assert ran.status == 1
    assert "! 1 起警情未复位" in ran.out
    assert "! 走廊 B：摄像机无画面" in ran.out
    assert "\x1b" not in ran.out


def test_status_for_programs(agent: Sockets, capsys: pytest.CaptureFixture[str]) -> None:
    ran = Ran(capsys, "--runtime", str(agent.runtime), "status", "--json")
    answer = json.loads(ran.out)
    assert answer["ok"] is False
    assert answer["processes"] == STATUSES
    assert {"subject", "alarm", "zh", "en"} == set(answer["problems"][0])


def test_a_dead_process_is_shown_and_nothing_at_all_is_another_status(
    agent: Sockets, capsys: pytest.CaptureFixture[str]
) -> None:
    agent.stop("vision")
    assert "进程 vision（计数）没有应答" in Ran(capsys, "status", "--runtime", str(agent.runtime)).out
    agent.stop("record")
    ran = Ran(capsys, "footage", "find", "--runtime", str(agent.runtime))
    assert (ran.status, "没有在运行的进程：record、vision；" in ran.errors) == (3, True)
    agent.stop_all()
    ran = Ran(capsys, "status", "--runtime", str(agent.runtime))
    assert (ran.status, "没有在运行" in ran.out) == (3, True)
    ran = Ran(capsys, "events", "--runtime", str(agent.runtime))
    assert (ran.status, ran.out) == (3, "")
    assert "没有在运行" in ran.errors
    assert "make run" in ran.errors


@pytest.mark.parametrize("language", ["zh", "en"])
def test_a_command_with_commands_below_it_runs_in_both_languages(
    agent: Sockets, language: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ran = Ran(capsys, "--lang", language, "incidents", "--runtime", str(agent.runtime))
    assert (ran.status, "3f2a0000" in ran.out, ran.errors) == (1, True, "")


@pytest.mark.parametrize(
    ("typed", "zh", "en"),
    [
        ("", "缺少 命令（status、events", "command is missing (status, events"),
        ("footage", "缺少 命令（find、", "a command is missing (find, "),
        ("stats", "没有命令 stats，可用：status、", "no command stats, there are: status, "),
        ("door ajar", "open|close 应为 open 或 close（ajar）", "open|close must be open or close (got ajar)"),
        ("press --hold x", "--hold 应为数（'x'）", "--hold must be a number (got 'x')"),
        ("press --input x", "--input 应为整数（'x'）", "--input must be whole (got 'x')"),
        ("events -n 0", "--limit/-n 应为 1..1000（'0'）", "--limit/-n must be 1..1000 (got '0')"),
        ("run --seconds -3", "--seconds 应为 > 0（'-3'）", "--seconds must be > 0 (got '-3')"),
        ("incidents reset 3f2a", "缺少 --why", "--why is missing"),
        ("status --wach", "不认识的参数：--wach", "unknown: --wach"),
        ("footage find -c", "--camera/-c 后面要有一个值", "--camera/-c needs a value after it"),
        ("status --watch=3", "--watch 不带值（'3'）", "--watch takes no value ('3')"),
    ],
)
def test_a_slip_on_the_command_line_is_told_in_one_language(
    typed: str, zh: str, en: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for language, told in (("zh", zh), ("en", en)):
        with pytest.raises(SystemExit) as left:
            main(["--lang", language, *typed.split()])
        assert left.value.code == 2
        errors = capsys.readouterr().err
        assert told in errors
        assert "--help" in errors
        assert "process" not in errors  # a command that nobody types by hand


def test_who_may_not_ask_is_told_so(capsys: pytest.CaptureFixture[str]) -> None:
    with sockets() as agent:
        server = Server(agent.runtime / "alarm.sock", {"status": lambda _, reply: reply.done({})}, lambda *_: False)
        server.start()
        ran = Ran(capsys, "status", "--runtime", str(agent.runtime), "--lang", "en")
        server.stop()
    assert (ran.status, "may not status" in ran.errors) == (4, True)
    denied = WireError("denied")
    denied.__cause__ = PermissionError()
    assert not_allowed(agent.runtime, denied) is not None
    assert not_allowed(agent.runtime, WireError("gone")) is None


def test_events(agent: Sockets, capsys: pytest.CaptureFixture[str]) -> None:
    ran = Ran(capsys, "events", "-n", "1", "--runtime", str(agent.runtime), "--lang", "en")
    assert (ran.status, ran.out) == (
        0,
        "2026-11-19 12:00:00  panic button: class 1  police receipt 0.18 s JJ-17\n",
    )
    ran = Ran(capsys, "events", "--json", "--runtime", str(agent.runtime))
    assert [json.loads(line) for line in ran.out.splitlines()] == EVENTS


def test_incidents_are_listed_acknowledged_and_reset(agent: Sockets, capsys: pytest.CaptureFixture[str]) -> None:
    runtime = ("--runtime", str(agent.runtime))
    ran = Ran(capsys, "incidents", *runtime)
    assert (ran.status, ran.out.count("\n")) == (1, 1)
    assert Ran(capsys, "incidents", "--all", *runtime).out.count("\n") == 2
    ran = Ran(capsys, "incidents", "ack", "3f2a0000-a", *runtime)
    assert (ran.status, ran.out) == (0, "3f2a0000  一键报警  已确认\n")
    ran = Ran(capsys, "incidents", "reset", "3f2a0000-a", "--why", "误按", *runtime, "--lang", "en")
    assert (ran.status, ran.out) == (0, "3f2a0000  一键报警  reset\n")
    verb, asked = agent.asked[-1]
    assert (verb, asked["why"]) == ("reset", "误按")
    assert asked["who"].endswith(f"/{os.environ.get('SUDO_UID', os.getuid())}")


def test_a_refusal_has_its_own_exit_status(agent: Sockets, capsys: pytest.CaptureFixture[str]) -> None:
    runtime = ("--runtime", str(agent.runtime))
    ran = Ran(capsys, "incidents", "ack", "zzz", *runtime)
    assert (ran.status, ran.errors) == (4, "yunjian: 没有这个警情；编号见 yunjian incidents --all\n")
    ran = Ran(capsys, "incidents", "ack", "3f2a", *runtime, "--lang", "en")
    assert (ran.status, ran.errors) == (4, "yunjian: the id is too short; yunjian incidents lists the ids\n")


def test_the_demonstration_is_acted_on_and_says_that_it_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    with sockets("board") as agent:
        runtime = ("--runtime", str(agent.runtime))
        assert "演示" in Ran(capsys, "press", *runtime).out
        assert "demonstration" in Ran(capsys, "door", "open", *runtime, "--lang", "en").out
        assert agent.asked == [("press", {"input": 0, "hold_s": 0.5}), ("door", {"open": True})]
        assert Ran(capsys, "door", "close", *runtime).status == 0


def test_without_a_simulated_board_there_is_nothing_to_press(
    agent: Sockets, capsys: pytest.CaptureFixture[str]
) -> None:
    ran = Ran(capsys, "press", "--runtime", str(agent.runtime))
    assert (ran.status, "只用于演示" in ran.errors) == (3, True)


def serve_footage(agent: Sockets) -> None:
    spans = [{"from_ns": NOON_NS, "to_ns": NOON_NS + HOUR_NS}]
    gaps = [
        {
            "from_ns": NOON_NS + HOUR_NS,
            "to_ns": NOON_NS + HOUR_NS + 90_000_000_000,
            "reason": "camera_silent",
            "detail": "",
        }
    ]
    agent.stop("record")
    agent.start("record", spans=agent.answer({"spans": spans, "gaps": gaps, "next_ns": None}))


def test_footage_is_found_and_its_gaps_told(agent: Sockets, capsys: pytest.CaptureFixture[str]) -> None:
    serve_footage(agent)
    asked = ("--from", "2026-11-19 12:00", "--to", "+2h", "--runtime", str(agent.runtime))
    ran = Ran(capsys, "footage", "find", "--camera", "C01", *asked)
    assert ran.status == 0
    assert ran.out == (
        "2026-11-19 12:00:00 – 2026-11-19 14:00:00\n"
        "C01  录像 1 小时，中断 1 分 30 秒\n"
        "  2026-11-19 12:00:00 – 13:00:00  1 小时      录像\n"
        "  2026-11-19 13:00:00 – 13:01:30  1 分 30 秒  中断：摄像机无画面\n"
    )
    answer = json.loads(Ran(capsys, "footage", "find", "--json", *asked).out)
    assert [camera["camera_id"] for camera in answer["cameras"]] == ["C01", "C02"]
    assert answer["from_ns"] == NOON_NS


def test_bad_times_are_told_without_asking_anybody(agent: Sockets, capsys: pytest.CaptureFixture[str]) -> None:
    runtime = ("--runtime", str(agent.runtime))
    ran = Ran(capsys, "footage", "find", "--from", "never", *runtime)
    assert (ran.status, "看不懂的时间 'never'" in ran.errors) == (2, True)
    ran = Ran(capsys, "footage", "find", "--from", "10m", "--to", "20m", *runtime, "--lang", "en")
    assert (ran.status, "is not after the beginning" in ran.errors) == (2, True)


def test_the_runtime_folder_is_found(
    agent: Sockets, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("YUNJIAN_RUNTIME", str(agent.runtime))
    assert Ran(capsys, "status").status == 1
    monkeypatch.delenv("YUNJIAN_RUNTIME")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "run").symlink_to(agent.runtime)
    assert "阳光托育园" in Ran(capsys, "status").out


def commands() -> list[list[str]]:
    return [name.split() for name in PAGES if name != "process"]


@pytest.mark.parametrize("command", [*commands(), ["process"]], ids=" ".join)
@pytest.mark.parametrize(("language", "word"), [("zh", "例："), ("en", "examples:")])
def test_every_command_has_help_with_an_example(
    command: list[str], language: str, word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ran = Ran(capsys, "--lang", language, *command, "--help")
    assert ran.status == 0
    assert f"{word}\n  yunjian {' '.join(command)}".rstrip() in ran.out
    assert all(ord(letter) < 0x3000 for letter in ran.out.partition("examples:")[0]) == (language == "en")


def test_the_exit_statuses_are_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    out = Ran(capsys, "--help", "--lang", "en").out
    assert all(f"\n  {number} " in out for number in (0, 1, 2, 3, 4, 78, 130, 141))


@pytest.mark.parametrize(
    "arguments", [[], ["footage"], ["incidents", "reset", "x"], ["events", "-n", "0"], ["nonsense"], ["status", "--js"]]
)  # fmt: skip
def test_wrong_usage_is_told_with_a_hint(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    ran = Ran(capsys, *arguments)
    assert ran.status == 2
    assert "命令写法有误" in ran.errors
    assert "--help" in ran.errors


def config(tmp_path: Path, text: str) -> str:
    (tmp_path / "facility.yaml").write_text(text, encoding="utf-8")
    return str(tmp_path / "facility.yaml")


RIGHT = """\
facility: {id: F1, name: 阳光托育, location: {longitude: 116.5, latitude: 35.4}}
cameras:
  - {id: C01, name: 东北角, main: "rtsp://192.0.2.1/main", count_people: false}
footage: {volumes: [.]}
"""


def test_config_check_tells_every_mistake(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = config(tmp_path, "facility: {id: F 1, name: 12, grade: 9}\ncamras: []\nlanguage: fr\nweb: {port: x}\n")
    ran = Ran(capsys, "config", "check", file, "--lang", "en")
    lines = ran.out.splitlines()
    assert ran.status == 1
    assert [line.split(": ")[1] for line in lines[:6]] == [
        "facility.id", "facility.name", "facility.grade", "camras", "language", "web.port",
    ]  # fmt: skip
    assert lines[-1].endswith(f"6 mistakes, {len(lines) - 7} warnings")
    answer = json.loads(Ran(capsys, "config", "check", file, "--json").out)
    assert (answer["ok"], len(answer["mistakes"])) == (False, 6)
    assert answer["mistakes"][0] | {"zh": "", "en": ""} == {
        "line": 1, "column": 16, "key": "facility.id", "zh": "", "en": "",
    }  # fmt: skip


def test_config_check_tells_how_long_the_disk_lasts(
    agent: Sockets, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, runtime = config(tmp_path, RIGHT), ("--runtime", str(agent.runtime))
    answer = json.loads(Ran(capsys, "config", "check", file, "--json", *runtime).out)
    assert answer["ok"] is True
    assert (answer["footage"]["source"], answer["footage"]["kbit_s"]) == ("measured", 3900.5)
    assert answer["footage"]["days"] > 0
    assert "（给定）" in Ran(capsys, "config", "check", file, "--bitrate", "1e9", *runtime).out
    agent.stop_all()
    ran = Ran(capsys, "config", "check", file, *runtime)
    assert (ran.status, "4.0 Mbit/s（估计）" in ran.out) == (0, True)


def test_folders_that_cannot_be_made_are_told_at_the_start(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    paths = "paths: {data: file/data, runtime: file/run}\n"
    ran = Ran(capsys, "run", "--config", config(tmp_path, RIGHT + paths), "--lang", "en")
    assert (ran.status, ran.out) == (78, "")
    assert "cannot make the folder" in ran.errors
    assert "paths.runtime" in ran.errors


def test_wrong_settings_keep_a_process_from_starting(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ran = Ran(capsys, "process", "web", "--config", config(tmp_path, "facility: {}\n"), "--lang", "en")
    assert ran.status == 78
    assert "facility.id: is missing" in ran.errors


def test_wrong_settings_are_told_before_anything_is_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ran = Ran(capsys, "run", "--config", config(tmp_path, "facility: {id: F1}\n"))
    assert (ran.status, ran.out) == (78, "")
    assert ran.errors.count("facility.name: 缺少此项") == 1
    assert Ran(capsys, "run", "--config", str(tmp_path / "none.yaml")).status == 78


def test_a_volume_is_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = config(tmp_path, RIGHT)
    ran = Ran(capsys, "footage", "volume", "create", str(tmp_path / "footage"), "--config", file)
    assert (ran.status, (tmp_path / "footage" / "VOLUME.json").is_file()) == (0, True)
    other = config(tmp_path, RIGHT.replace("F1", "F2"))
    assert Ran(capsys, "footage", "volume", "create", str(tmp_path / "footage"), "--config", other).status == 1


def run(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "agent", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8", env={**os.environ, **environment},
    )  # fmt: skip


def test_the_quick_commands_load_nothing_heavy(agent: Sockets) -> None:
    program = (
        "import sys; from agent.cli import main\n"
        "for command in ('status', 'events', 'incidents', 'footage find'):\n"
        f"    main([*command.split(), '--runtime', {str(agent.runtime)!r}])\n"
        "print('|'.join(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, encoding="utf-8")
    loaded = set(done.stdout.splitlines()[-1].split("|"))
    assert loaded.isdisjoint(
        {"pydantic", "ruamel", "ruamel.yaml", "av", "numpy", "cv2", "onnxruntime", "paho", "sqlite3"}
    )


def test_following_ends_with_its_reader(agent: Sockets) -> None:
    with run("events", "--follow", "--runtime", str(agent.runtime)) as following:
        assert following.stdout is not None
        assert following.stdout.readline()
        following.stdout.close()
        assert following.wait(10) == 141


def test_following_goes_on_until_ctrl_c(agent: Sockets) -> None:
    with run("events", "--follow", "--json", "--runtime", str(agent.runtime)) as following:
        assert following.stdout is not None
        assert [json.loads(following.stdout.readline())["seq"] for _ in EVENTS] == [7, 8]
        agent.events += [{**EVENTS[0], "seq": 9, "id": "e9"}, {**EVENTS[0], "seq": 6, "id": "late"}]
        assert [json.loads(following.stdout.readline())["id"] for _ in range(2)] == ["e9", "late"]
        agent.stop("alarm")
        assert following.stderr is not None
        assert "等它回来" in following.stderr.readline()
        agent.start("alarm")
        agent.events.append({**EVENTS[0], "seq": 10, "id": "e10"})
        assert json.loads(following.stdout.readline())["id"] == "e10"
        following.send_signal(2)
        assert following.wait(10) == 0
        assert "Traceback" not in following.stderr.read()


def test_a_reader_that_goes_away_is_no_error_to_shout_about(agent: Sockets) -> None:
    agent.events = [{**EVENTS[0], "seq": seq, "id": str(seq), "summary_zh": "长" * 300} for seq in range(1, 50)]
    shell = f"{sys.executable} -m agent events -n 49 --runtime {agent.runtime} | head -n 1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=True, encoding="utf-8")
    assert "Traceback" not in done.stderr
    assert done.stdout.splitlines()[-1] in ("0", "141")


def test_a_terminal_in_a_c_locale_gets_chinese_all_the_same(agent: Sockets) -> None:
    with run("status", "--runtime", str(agent.runtime), LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0") as status:
        out, errors = status.communicate(timeout=20)
    assert errors == ""
    assert "阳光托育园" in out
