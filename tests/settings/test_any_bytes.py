"""Whatever stands in the file, the answer is settings or mistakes."""

import io
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from agent.settings.load import Findings, examine_bytes
from agent.settings.models import Settings
from agent.settings.wording import schema

FILE = Path("facility.yaml")


def check(findings: Findings) -> None:
    assert (findings.settings is None) == bool(findings.mistakes)
    for mistake in findings.mistakes + findings.warnings:
        assert mistake.text.zh
        assert mistake.text.en
        assert "\n" not in mistake.in_language(FILE, "zh")
        assert "\n" not in mistake.in_language(FILE, "en")


@given(st.binary(max_size=300))
@settings(max_examples=300, deadline=None)
def test_any_bytes(data: bytes) -> None:
    check(examine_bytes(data, FILE))


@given(st.text(alphabet="ab:-?[]{}&*!|>'\"%@`,#~ \t\n\r0.é\u2028\x85\ufeff", max_size=120))
@settings(max_examples=600, deadline=None)
def test_any_yaml_like_text(text: str) -> None:
    check(examine_bytes(text.encode(), FILE))


def any_value() -> st.SearchStrategy[Any]:
    plain = st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=8),
        st.sampled_from(["a", "b", "rtsp://u:p@h/x", "mqtt://h:99999", "rtsp://[::1/x?passwd=1", "/etc/passwd", "~"]),
    )
    keys = sorted({name for node in (schema(), *schema()["$defs"].values()) for name in node.get("properties", {})})
    return st.recursive(
        plain,
        lambda below: st.lists(below, max_size=3) | st.dictionaries(st.sampled_from(keys), below, max_size=6),
        max_leaves=20,
    )


@given(st.dictionaries(st.sampled_from(sorted(Settings.model_fields)), any_value(), max_size=10))
@settings(max_examples=400, deadline=None)
def test_known_keys_with_any_value(values: dict[str, Any]) -> None:
    stream = io.BytesIO()
    YAML(typ="safe", pure=True).dump(values, stream)
    check(examine_bytes(stream.getvalue(), FILE))
