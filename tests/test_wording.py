import pytest

from prensa.wording import megabytes, milliseconds, number, percent, score, signed


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (megabytes(1234567), "1.23 MB"),
        (percent(1, 8), "12.5 %"),
        (percent(1, 0), "–"),
        (milliseconds(0.0123456), "12.3 ms"),
        (milliseconds(0.000123456), "0.123 ms"),
        (milliseconds(1.5), "1,500 ms"),
        (score(0.91754, is_share=True), "91.75 %"),
        (score(0.92075, is_share=True), "92.08 %"),
        (score(0.92025, is_share=True), "92.03 %"),
        (score(0.91754, is_share=False), "0.9175"),
        (score(1234.5, is_share=False), "1,234"),
        (score(0.00001234, is_share=False), "0.00001234"),
        (score(1.5e-12, is_share=False), "1.500e−12"),
        (score(0, is_share=False), "0"),
        (score(-0.5, is_share=False), "−0.5000"),
        (signed(-0.0005, is_share=True), "−0.05"),
        (signed(0.003, is_share=True), "+0.30"),
        (signed(-0.00001, is_share=True), "0.00"),
        (signed(0.25, is_share=False), "+0.2500"),
        (number(-0.001), "0.00"),
        (number(-1.5), "−1.50"),
    ],
)
def test_numbers_as_people_read_them(found, expected):
    assert found == expected
