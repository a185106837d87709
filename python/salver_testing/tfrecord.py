"""TFRecord files without TensorFlow."""

import struct
from collections.abc import Iterable, Iterator

# Castagnoli's polynomial, its bits reversed.
POLYNOMIAL = 0x82F63B78
MASK_DELTA = 0xA282EAD8


def _table() -> list[int]:
    table = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = value >> 1 ^ (POLYNOMIAL if value & 1 else 0)
        table.append(value)
    return table


TABLE = _table()


def masked_crc32c(data: bytes) -> int:
    """Returns the checksum that TFRecord keeps."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + MASK_DELTA) & 0xFFFFFFFF


def encode(records: Iterable[bytes]) -> bytes:
    """Returns a file of these records."""
    parts = []
    for record in records:
        length = struct.pack("<Q", len(record))
        parts += [length, struct.pack("<I", masked_crc32c(length)), record, struct.pack("<I", masked_crc32c(record))]
    return b"".join(parts)


def decode(file: bytes) -> Iterator[bytes]:
    """Returns the records of a file, whose checksums have to be right."""
    while file:
        (length,) = struct.unpack_from("<Q", file)
        record = file[12 : 12 + length]
        assert encode([record]) == file[: 16 + length], "a record is damaged"
        yield record
        file = file[16 + length :]
