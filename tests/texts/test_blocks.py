"""Files line by line: the same lines as of the whole text, wherever the blocks end."""

import gzip
import io
import time

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from prensa.errors import DataError, SettingError
from prensa.texts import blocks
from prensa.texts.blocks import lines_in

LETTERS = st.text(st.sampled_from('aé漢😀\n\r\u2028\x0b,"'), max_size=40)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
@given(text=LETTERS, size=st.integers(1, 9))
def test_lines_are_those_of_the_whole_text(tmp_path_factory, text, size, encoding):
    path = tmp_path_factory.mktemp("lines") / "t.csv"
    path.write_bytes(text.encode(encoding))
    given_encoding = "utf-16-le" if encoding == "utf-16-le" else None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "_BLOCK", size)
        # The mark must be in what is looked at first.
        patch.setattr(blocks, "first_bytes", lambda path: path.read_bytes())
        assert list(lines_in(path, given_encoding)) == io.StringIO(text, newline="").readlines()


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.ZstdCompressor().compress])
def test_compressed_files_of_many_blocks(tmp_path, pack):
    text = "".join(f"{n} é漢\n" for n in range(40_000))
    (tmp_path / "t").write_bytes(pack(text.encode()) + pack(b"one more"))
    lines = list(lines_in(tmp_path / "t"))
    assert len(lines) == 40_001
    assert "".join(lines) == text + "one more"


def test_a_very_long_line_is_put_together_once(tmp_path):
    # With each block after all before it, these eight million characters took ten seconds.
    text = "x" * (8 << 20)
    (tmp_path / "t.jsonl").write_text(f"{text}\r\nnext")
    start = time.process_time()
    assert list(lines_in(tmp_path / "t.jsonl")) == [f"{text}\r\n", "next"]
    assert time.process_time() - start < 3


@pytest.mark.parametrize(
    ("bad", "encoding", "message"),
    [
        (b"caf\xe9\n", None, r"line 50001 is not UTF-8 \(byte 0xe9\); it may be cp1252"),
        (b"\x81\n", "cp1252", "line 50001 is not cp1252"),
        (b"a\0b\n", None, "line 50001 holds a zero byte"),
    ],
)
def test_what_is_wrong_far_behind_is_named_by_its_line(tmp_path, bad, encoding, message):
    (tmp_path / "t.csv").write_bytes(b"a line\n" * 50_000 + bad)
    with pytest.raises(DataError, match=message):
        list(lines_in(tmp_path / "t.csv", encoding))


def test_what_ends_too_early(tmp_path):
    (tmp_path / "t.csv").write_bytes("é".encode()[:1])
    with pytest.raises(DataError, match="is not UTF-8"):
        list(lines_in(tmp_path / "t.csv"))
    with pytest.raises(SettingError, match="no such encoding"):
        list(lines_in(tmp_path / "t.csv", "klingon"))
    with pytest.raises(DataError, match="cannot be read"):
        list(lines_in(tmp_path / "none.csv"))
