"""Text as it travels: alphabets, counting, cutting into segments, putting back together.

Pure: octets and strings in, values out. What a segment costs is in `credit/`, how it is put
into a PDU in `smpp/`.
"""
