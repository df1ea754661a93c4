"""The text of ``--where``."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gmkit.codecs.where import parse_where, wanted, written
from gmkit.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("label=7", {"label": "7"}),
        ("label=7,qed=0.9", {"label": "7", "qed": "0.9"}),
        (" label = 7 , qed = 0.9 ", {"label": "7", "qed": "0.9"}),
        ("income=>50K", {"income": ">50K"}),
        ("income=<=50K", {"income": "<=50K"}),
        ('name="a, b=c"', {"name": "a, b=c"}),
        ('"x,y"="say ""no"""', {"x,y": 'say "no"'}),
        ("who='it''s'", {"who": "it's"}),
        ("who=O'Brien", {"who": "O'Brien"}),
        ("marital status=never married", {"marital status": "never married"}),
        ('empty=""', {"empty": ""}),
    ],
)
def test_meaning(text: str, meaning: dict[str, str]) -> None:
    assert parse_where(text) == meaning


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not name=value"),
        ("label", "'label' is not name=value"),
        ("=7", "is not name=value"),
        ("label=", "'label=' has no value"),
        ("label=7,", "ends in a comma"),
        ("label=7,,qed=1", "',qed=1' is not name=value"),
        ("a=1,a=2", "gives 'a' twice"),
        ("a=b=c", "is not name=value"),
        ("label==7", "is not name=value"),
        ('a="x', "is not name=value"),
        ('a="x"y', "is not name=value"),
        ("qed>0.8", "'qed>0.8' compares"),
        ("label=1,qed<=0.8", "'qed<=0.8' compares"),
        ("qed >= 0.8", "'qed >= 0.8' compares"),
        ("qed!=0.8", "compares"),
    ],
)
def test_what_cannot_be_read_is_told(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as told:
        parse_where(text)
    assert message in told.value.message
    assert told.value.hint


@given(st.dictionaries(st.text(min_size=1), st.text(), min_size=1, max_size=4))
def test_what_is_written_is_read(where: dict[str, str]) -> None:
    assert parse_where(written(where)) == where


@given(st.text(alphabet="ab=,\"' <>!", max_size=12))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        found = parse_where(text)
    except ConfigError:
        return
    assert found
    assert parse_where(written(found)) == found


def test_one_table_of_all() -> None:
    assert wanted(None) == {}
    assert wanted({"qed": 0.9}) == {"qed": 0.9}
    assert wanted("a=1") == {"a": "1"}
    assert wanted(["a=1", "b=2"]) == {"a": "1", "b": "2"}
    with pytest.raises(ConfigError, match="gives 'a' twice"):
        wanted(["a=1", "a=2"])
