"""Characters as people write them. Browsers print 用 into PDF as the radical ⽤, and fi as ﬁ: a
model and a search know only the first. Pure."""

from __future__ import annotations

import re
import unicodedata

ODD = re.compile("[\u2e80-\u2fdf\ufb00-\ufb06]")
# Simplified radicals that Unicode's own tables do not lead back to the character.
BY_HAND = dict(
    zip(
        "⺟⺠⻁⻄⻅⻆⻉⻋⻓⻔⻘⻙⻚⻛⻜⻝⻢⻣⻤⻥⻦⻨⻩⻬⻮⻰⻳",
        "母民虎西见角贝车长门青韦页风飞食马骨鬼鱼鸟麦黄齐齿龙龟",
        strict=True,
    )
)


def plain(text: str) -> str:
    return ODD.sub(lambda m: BY_HAND.get(m[0]) or unicodedata.normalize("NFKC", m[0]), text)
