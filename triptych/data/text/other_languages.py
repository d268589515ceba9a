"""Words of other languages that mean an image by its number or place: "第二张图", "Bild 2", "la première image".

Found, never rewritten: they are doubts. Not words that only count images or say "image" ("两张图片", "drei Bilder").
Languages: those of MIMIC-IT (arXiv:2306.05425): Chinese, Japanese, Korean, Spanish, French, German, Arabic.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_HAN = "[0-9０-９一二三四五六七八九十]"
_PICTURE = "(?:[图圖](?![书書案形])|画像|畫像|照片|相片|写真)"
_COUNTS_NOTHING = "(?![0-9０-９一二三四五六七八九十共起些样樣定般个個张張枚只隻]|人(?!物))"
_BETWEEN = r"\s{0,3}(?:n[.ºo°]{0,2}|nr\.?|numéro|número|nummer)?\s{0,3}"
_FRENCH = r"(?:premi[eè]re?|deuxi[eè]me|seconde|troisi[eè]me|quatri[eè]me|cinqui[eè]me|sixi[eè]me|derni[eè]re?)s?"
_SPANISH = r"(?:primer[ao]?|segund[ao]|tercer[ao]?|cuart[ao]|quint[ao]|sext[ao]|[uú]ltim[ao])s?"
_GERMAN = r"(?:erste|zweite|dritte|vierte|fünfte|sechste|letzte)[nmrs]?"
_ROMANCE_ENDS = r"(?=\s{0,3}(?:[.,;:?!)]|$)|\s{1,3}(?:es|est|son|sont|muestra|montre|tiene|contient|y|et|o|ou|que)\b)"
_GERMAN_ENDS = r"(?=\s{0,3}(?:[.,;:?!)]|$)|\s{1,3}(?:ist|sind|zeigt|hat|und|oder|als|wirkt|war)\b)"
_ARABIC_ORDINAL = (
    "ال(?:[أا]ولى|[أا]ول|ثاني[ةه]?|ثالث[ةه]?|رابع[ةه]?|خامس[ةه]?|سادس[ةه]?|[أا]خير[ةه]?|يمنى|يسرى|سابق[ةه]|تالي[ةه])"
)

_OF_OTHER_SCRIPTS = (
    # Chinese and Japanese
    re.compile(
        rf"{_PICTURE}(?:片|像|象)?\s{{0,3}}(?:[#＃(（]\s{{0,3}})?(?:{_HAN}{{1,3}}{_COUNTS_NOTHING}|[A-Z](?![A-Za-z]))"
    ),
    re.compile(rf"第\s{{0,3}}{_HAN}{{1,3}}\s{{0,3}}(?:[张張幅个個枚番帧幀]|{_PICTURE})"),
    re.compile(rf"{_HAN}{{1,3}}\s{{0,3}}(?:枚目|番目|つ目|つめ|号{_PICTURE}|號{_PICTURE})"),
    re.compile(
        rf"(?:[左右前后後]{{1,2}}|[左右上下]{{1,2}}(?=[边邊侧側面方]))(?:[边邊侧側面方]|の|的){{0,3}}(?:一?[张張幅])?{_PICTURE}"
    ),
    re.compile(rf"(?:最初|最後|次|前|最后|後)(?:の|一?[张張幅个個])(?:の|的)?{_PICTURE}?|[前后後]者"),
    # Korean
    re.compile(r"(?:이미지|사진|그림)\s{0,3}(?:#|\(|번호)?\s{0,3}(?:\d|[A-Z](?![A-Za-z]))"),
    re.compile(r"(?:첫|두|세|네|다섯|여섯|\d{1,2})\s{0,3}번\s{0,3}째|\d{1,2}\s{0,3}번\s{0,3}(?:이미지|사진|그림)"),
    re.compile(r"(?:마지막|왼쪽|오른쪽|이전|다음)\s{0,3}(?:의\s{0,3})?(?:이미지|사진|그림)|[전후]자(?:는|가|와|의)"),
    # Arabic
    re.compile(rf"صور(?:[ةه]|تان|تين|تي)?\s{{0,3}}(?:رقم\s{{0,3}})?[0-9٠-٩]|{_ARABIC_ORDINAL}(?!\w)"),
    # An English noun with its number, and right behind it words of another script
    re.compile(
        r"(?i)(?<![A-Za-z])(?:images?|pictures?|photos?|img)\s{0,3}#?\d{1,3}\s{0,3}[\u0600-\u06ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]"
    ),
)
_OF_LATIN = (
    # German
    re.compile(
        rf"\b(?:Bild(?:e?[sr]|ern)?|Fotos?|Abbildung(?:en)?|Aufnahmen?){_BETWEEN}(?:\d{{1,3}}(?!\d)|[A-Z](?!\w))"
    ),
    re.compile(rf"(?i)\b{_GERMAN}\s{{1,3}}(?:\w{{1,20}}\s{{1,3}})?(?:Bild|Foto|Abbildung|Aufnahme)"),
    re.compile(rf"(?i)\b(?:das|dem|des|die|der|im|vom|am)\s{{1,3}}{_GERMAN}{_GERMAN_ENDS}"),
    re.compile(
        r"(?i)\b(?:linke|rechte|obere|untere|vorige|nächste|mittlere)[nmrs]?\s{1,3}(?:Bild|Foto|Abbildung|Aufnahme)"
    ),
    # Spanish and French
    re.compile(rf"(?i)\b(?:im[aá]gen(?:es)?|fotos?|fotograf[ií]as?|photographies?){_BETWEEN}\d{{1,3}}(?!\d)"),
    re.compile(
        rf"(?i)\b(?:{_FRENCH}|{_SPANISH})\s{{1,3}}(?:de\s{{1,3}})?(?:im[aá]gen(?:es)?|fotos?|fotograf[ií]as?|images?"
        r"|photos?|photographies?|vues?)\b"
    ),
    re.compile(rf"(?i)\b(?:la|las|los|el|le|les)\s{{1,3}}(?:{_FRENCH}|{_SPANISH}){_ROMANCE_ENDS}"),
    re.compile(
        r"(?i)\b(?:imagen|foto|fotograf[ií]a|image|photo)\s{1,3}(?:de\s{1,3}(?:la\s{1,3})?|à\s{1,3})"
        r"(?:izquierda|derecha|gauche|droite|arriba|abajo|haut)\b"
    ),
)
_LINKED = re.compile(
    r"(?i)\b(?:images?|photos?)\s{1,3}(?:n[°o]\s{0,3})?\d{1,2}\s{0,3}(?:et|ou|und|oder|y|e|o|mit|avec|con)\s{1,3}"
    r"(?:l['’])?(?:(?:image|photo)\s{1,3})?\d{1,2}\b"
)
"""English nouns, and links of another language."""
_OTHER_SCRIPT = re.compile("[\u0600-\u06ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_STEMS = (
    *("bild", "foto", "aufnahme", "imagen", "imágen", "photographie", "premi", "deuxi", "seconde"),
    *("troisi", "quatri", "cinqui", "sixi", "derni", "primer", "segund", "terc", "cuart"),
    *("quint", "sext", "ltim", "erste", "zweite", "dritte", "vierte", "fünfte", "sechste"),
    *("letzte", "linke", "rechte", "obere", "untere", "vorige", "nächste", "mittlere", "gauche"),
    *("droite", "izquierda", "derecha", "arriba", "abajo", "haut"),
)
"""One of these is in what the patterns of German, Spanish and French find, in lower case, and in few English texts."""


def find_foreign(text: str) -> Iterator[str]:
    """Yield words of other languages that mean an image by its number or place."""
    lower = text.lower()
    patterns = (
        *(_OF_OTHER_SCRIPTS if _OTHER_SCRIPT.search(text) else ()),
        *(_OF_LATIN if any(stem in lower for stem in _STEMS) else ()),
        _LINKED,
    )
    for words in patterns:
        if found := words.search(text):
            yield found.group().strip()
