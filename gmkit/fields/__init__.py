"""Fields: kinds of value with a shape, and the verbs by which every family uses them."""

from gmkit.fields.categorical import GOES_ON, Categorical
from gmkit.fields.field import LAYOUTS, Field, Layout
from gmkit.fields.process import Process
from gmkit.fields.real import Real
from gmkit.fields.space import FieldScores, Space

__all__ = [
    "GOES_ON",
    "LAYOUTS",
    "Categorical",
    "Field",
    "FieldScores",
    "Layout",
    "Process",
    "Real",
    "Space",
]
