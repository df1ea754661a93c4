"""Tables of plain columns: what each is, and its way to flat fields and back."""

from gmkit.codecs.tables.codec import TableCodec
from gmkit.codecs.tables.inference import TableConfig

__all__ = ["TableCodec", "TableConfig"]
