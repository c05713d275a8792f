import pytest

from prensa.errors import DataError, SettingError
from prensa.texts.readers import read_table

FRENCH, RUSSIAN = "le thé à la française est très bon", "привет как дела"


def read(tmp_path, data, encoding=None):
    path = tmp_path / "t.csv"
    path.write_bytes(data)
    return read_table(str(path), encoding=encoding)


@pytest.mark.parametrize(
    ("written", "note"),
    [
        ("utf-8", ()),
        ("utf-8-sig", ()),
        ("utf-16", ("encoding UTF-16 by its byte-order mark",)),
        ("utf-32", ("encoding UTF-32 by its byte-order mark",)),
    ],
)
def test_a_byte_order_mark_decides(tmp_path, written, note):
    table = read(tmp_path, f"text\n{FRENCH}\n".encode(written), "cp1252" if note else None)
    assert table.columns == {"text": [FRENCH]}
    assert table.notes == note


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "utf-16-le"])
def test_an_encoding_that_is_given(tmp_path, encoding):
    table = read(tmp_path, f"text\n{FRENCH}\n".encode(encoding), encoding)
    assert table.columns == {"text": [FRENCH]}
    assert table.notes == (f"encoding {encoding}",)


def test_an_encoding_beside_utf8_is_said(tmp_path):
    assert read(tmp_path, f"text\n{FRENCH}\n".encode(), "cp1252").notes == (
        "encoding cp1252, though it is valid UTF-8",
    )


@pytest.mark.parametrize(
    ("text", "written"),
    [
        (FRENCH, "cp1252"),
        ("“Oui” – c’est ça", "cp1252"),
        (FRENCH, "mac_roman"),
        (FRENCH, "cp850"),
        ("zażółć gęślą jaźń", "cp1250"),
        ("güzel bir şey değil mi", "cp1254"),
        (RUSSIAN, "cp1251"),
        (RUSSIAN, "koi8_r"),
        ("αυτό είναι ένα κείμενο", "cp1253"),
        ("これはテストです", "cp932"),
        ("이것은 시험입니다", "euc_kr"),
        ("这是一个很好的电影", "gb18030"),
    ],
)
def test_a_likely_encoding_is_named_and_shown_but_not_taken(tmp_path, text, written):
    with pytest.raises(DataError, match="line 3 is not UTF-8") as refused:
        read(tmp_path, f"text\nplain\n{text}\n".encode(written))
    assert f"may be {written}, then it says “{text[:10]}" in str(refused.value)
    assert f"give `encoding={written}`" in str(refused.value)


@pytest.mark.parametrize(
    ("data", "encoding", "message"),
    [
        ("text\nplain words\n".encode("utf-16-le"), None, "give `encoding=utf-16-le`"),
        ("text\nplain words\n".encode("utf-16-be"), None, "give `encoding=utf-16-be`"),
        (f"text\n{FRENCH}\n".encode() + b"b\xe9\n", None, "line 3 .* the rest mostly is: 1 bytes are broken"),
        (b"text\na\0b\n", None, "line 2 holds a zero byte"),
        (b"text\n\xe9\n", "ascii", "line 2 is not ascii"),
        (b"version https://git-lfs.github.com/spec/v1\n", None, "run git lfs pull"),
        (b"PK\x03\x04", None, "expected .csv, found a zip archive or an Excel workbook"),
    ],
)
def test_bytes_that_are_no_text(tmp_path, data, encoding, message):
    with pytest.raises(DataError, match=message):
        read(tmp_path, data, encoding)


@pytest.mark.parametrize("encoding", ["klingon", "base64"])
def test_an_encoding_that_does_not_exist(tmp_path, encoding):
    with pytest.raises(SettingError, match=f"`encoding` {encoding}: no such encoding of texts"):
        read(tmp_path, b"text\na\n", encoding)
