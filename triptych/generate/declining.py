"""Whether a translator's reply says that it will not translate, in any of the eight languages.

Not a check of other words: what people in an image cannot do, they may say. The patterns are in the first person, and
the caller sees that the original does not say the same.
"""

from __future__ import annotations

import re

_DECLINES = re.compile(
    r"\b(?:i|we)(?: am|'m| are|'re)? (?:cannot|can't|can not|could not|couldn't|unable to|not able to|won't|will not)"
    r"(?: \w+){0,2}? translat"
    r"|\b(?:sorry|apologi[sz]e)\b[^.!?]{0,40}\b(?:cannot|can't|can not|unable to|not able to)\b[^.!?]{0,20}"
    r"\b(?:help|assist|comply|translat\w+|do that|do this)\b"
    r"|\bas an? (?:\w+ )?(?:ai|language model)\b"
    r"|\b(?:ich (?:kann|darf|werde)|(?:kann|darf|werde) ich)\b[^.!?]{0,40}\bnicht\b[^.!?]{0,40}\bübersetz"
    r"|\b(?:leid|leider|entschuldigung)\b[^.!?]{0,30}\bich\b[^.!?]{0,30}\bnicht\b[^.!?]{0,20}\bhelfen\b"
    r"|\bals (?:ki|sprachmodell)\b"
    r"|\bje (?:ne (?:peux|puis|pourrai|suis)|refuse)\b[^.!?]{0,50}\btradui"
    r"|\bdésolée?\b[^.!?]{0,30}\bje ne (?:peux|puis)\b[^.!?]{0,30}\b(?:aider|traiter)\b"
    r"|\ben tant (?:qu'ia|que modèle)\b"
    r"|\b(?:no puedo|no podemos|no me es posible|soy incapaz de|no soy capaz de)\b[^.!?]{0,40}\btradu[cz]"
    r"|\blo siento\b[^.!?]{0,30}\bno puedo\b[^.!?]{0,30}\bayudar|\bcomo (?:ia|modelo de lenguaje)\b"
    r"|我?(?:无法|無法|不能|没办法)[^。！？]{0,12}(?:翻译|翻譯)|(?:抱歉|对不起)[^。！？]{0,10}(?:无法|不能)[^。！？]{0,10}(?:帮助|协助|提供)"
    r"|(?:翻訳|訳すこと)[^。！？]{0,10}(?:できません|できかねます|いたしかねます)"
    r"|申し訳[^。！？]{0,15}(?:お手伝い|お答え|対応)[^。！？]{0,8}(?:できません|できかねます)"
    r"|번역[^.!?]{0,10}(?:수 없습니다|수 없어요|드릴 수 없)|죄송[^.!?]{0,15}도와드릴 수 없"
    r"|(?:لا أستطيع|لا يمكنني|لا أقدر)[^.!?؟]{0,30}(?:ترجم|مساعد)",
    re.IGNORECASE,
)


def declines(text: str) -> bool:
    """Return whether a text says that whoever wrote it will not, or cannot, translate or help."""
    return _DECLINES.search(text.replace("’", "'")) is not None
