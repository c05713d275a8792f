import bz2
import gzip
import lzma

import pytest
import zstandard

from prensa.errors import DataError
from prensa.texts.compressed import decompress
from prensa.texts.readers import read_table

CONTENT = b"text,label\na,1\n"
PACKERS = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress, ".zst": zstandard.compress}


@pytest.mark.parametrize("ending", PACKERS)
def test_compressed_files(tmp_path, ending):
    path = tmp_path / f"T.CSV{ending.upper()}"
    path.write_bytes(PACKERS[ending](CONTENT) + PACKERS[ending](b"b,0\n"))
    assert read_table(str(path)).columns == {"text": ["a", "b"], "label": ["1", "0"]}


@pytest.mark.parametrize("ending", PACKERS)
def test_a_file_that_ends_too_early(tmp_path, ending):
    path = tmp_path / f"t.csv{ending}"
    path.write_bytes(PACKERS[ending](CONTENT)[:-5])
    with pytest.raises(DataError, match="compressed, and damaged or cut off"):
        read_table(str(path))


def test_the_bytes_decide(tmp_path):
    path = tmp_path / "t.csv.gz"
    path.write_bytes(CONTENT)  # as browsers leave it
    assert len(read_table(str(path))) == 1
    assert decompress(path, gzip.compress(CONTENT)) == CONTENT
