import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.footage.chain import (
    ALGORITHMS,
    FIRST,
    UnknownHash,
    algorithm_of,
    available,
    digest_of,
    hash_bytes,
    link,
    new_hash,
)

_CAMERA = "9d3f8f5c-41b2-5c7e-8a6f-0d2b7c9e1a34"


def test_the_documented_form_of_a_link_is_the_one_that_is_used() -> None:
    digest = hashlib.sha256(b"film").hexdigest()
    first = link("sha256", FIRST, _CAMERA, "main", 1, 1_790_000_000_000_000_000, 4, digest)
    text = f'["yunjian-link-1","","{_CAMERA}","main",1,1790000000000000000,4,"{digest}"]'
    assert first == hashlib.sha256(text.encode()).hexdigest()
    second = link("sm3", first, _CAMERA, "sub", 2, 5, 0, hash_bytes("sm3", b""))
    array = ["yunjian-link-1", first, _CAMERA, "sub", 2, 5, 0, "sm3:" + hashlib.new("sm3", b"").hexdigest()]
    assert second == "sm3:" + hashlib.new("sm3", json.dumps(array, separators=(",", ":")).encode()).hexdigest()


def test_sm3_is_the_hash_of_the_standard() -> None:
    """GB/T 32905-2016, appendix A.1: the hash of "abc"."""
    assert hash_bytes("sm3", b"abc") == "sm3:66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_digest_names_its_hash(algorithm: str) -> None:
    fed = new_hash(algorithm)
    fed.update(b"one")
    fed.update(b" file")
    assert digest_of(fed) == hash_bytes(algorithm, b"one file")
    assert algorithm_of(digest_of(fed)) == algorithm


@pytest.mark.parametrize("text", ["", "sm3:", "sha256:" + "0" * 64, "0" * 63, "G" * 64, "A" * 64, "sm3:" + "0" * 65])
def test_what_is_no_digest_is_refused(text: str) -> None:
    with pytest.raises(UnknownHash):
        algorithm_of(text)


def test_another_hash_is_refused() -> None:
    assert not available("md5")
    with pytest.raises(UnknownHash):
        link("md5", FIRST, _CAMERA, "main", 1, 0, 0, "")


_links = st.tuples(
    st.sampled_from(["", "0" * 64]), st.sampled_from(["a", "b", "a-main"]), st.sampled_from(["main", "sub"]),
    st.integers(1, 99), st.integers(0, 2**63 - 1), st.integers(0, 2**40), st.text("0123456789abcdef", max_size=3),
)  # fmt: skip


@given(_links, _links)
def test_two_links_are_the_same_only_for_the_same_segment(
    one: tuple[str, str, str, int, int, int, str], other: tuple[str, str, str, int, int, int, str]
) -> None:
    assert (link("sha256", *one) == link("sha256", *other)) == (one == other)
