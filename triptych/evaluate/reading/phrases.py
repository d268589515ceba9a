"""What people say around an answer, in a dozen languages: patterns and tables, no logic.

Not how they are used: ``choices`` has the rules, ``mentions`` finds the options. English is read closely; of other
languages the plain statement of an answer ("答案是B", "La respuesta es B"), yes, no, left, right, true and false, and
the common ways of declining. A pattern here never names an option.
"""

from __future__ import annotations

import re

_I = re.IGNORECASE

DESCRIPTION = re.compile(r"<(summary|caption)>.*?</\1>", _I | re.DOTALL)
"""What some models say of the task and the pictures, marked as such, before they answer: no answer. Thinking, which is
no reply either, is ``core/thinking``'s."""

MARKS = re.compile(
    r"<(?:answer|ans|final|final_answer|choice|conclusion)>(.*?)</(?:answer|ans|final|final_answer|choice|conclusion)>"
    r"|<\|begin_of_box\|>(.*?)<\|end_of_box\|>"
    r"|\\boxed\s*\{((?:[^{}]|\{[^{}]*\})*)\}"
    r"|[\"'](?:final[_ ]?answer|correct[_ ](?:answer|option)|answer|choice|option|selected[_ ]option|prediction)"
    r"[\"']\s*:\s*(?:(?P<items>\[\s*(?:\"[^\"\n]*\"|'[^'\n]*'|[^\s\[\],\"']+)\s*,[^\[\]]*\]?)"
    r"|\[?\s*(?:\"([^\"\n]*)\"|'([^'\n]*)'|([A-Za-z0-9.]+)))",
    _I | re.DOTALL,
)
"""Marks that programs read: answer tags, boxes, the answer of a JSON object. One group each; ``items``: a JSON list."""

TOKENS = re.compile(r"</?s>|<\|[^|>]*\|>|<pad>|<unk>|</?answer>|\\\(|\\\)|\\\[|\\\]", _I)
"""Tokens of tokenizers and brackets of formulas: no words."""

NEXT_TURN = re.compile(
    r"(?<=\w)\W*(?:(?:</s>|<\|(?:im_end|endoftext|eot_id|end|eom_id)\|>|<end_of_(?:utterance|turn)>|<eos>)"
    r"|\n\s*(?:question|user|human|### ?(?:human|instruction|question))\s*:).*\Z",
    _I | re.DOTALL,
)
"""Where a model goes on with somebody else's turn."""

COURTESY = re.compile(
    r"(?:\A|(?<=[.!?\n]))\s*(?:"
    r"(?:sure(?: thing)?|certainly|of course|absolutely|okay|ok|great question|good question|thanks?(?: you)?|hello|hi)"
    r"(?:[.!]|,(?=\s))"
    r"|(?:i'd be|i would be|i'm|i am) (?:happy|glad|pleased) to (?:help|assist)[^.!?\n]*[.!?]*"
    r"|(?:i hope (?:this|that|it) helps|(?:please )?(?:let me know|feel free)|is there anything else"
    r"|have a (?:nice|great)|thank(?:s| you)|you're welcome)\b[^.!?\n]*(?:[.!?]+|\Z|(?=\n)))",
    _I,
)
"""Politeness, which answers nothing."""

LAST_WORDS = (
    "in conclusion|in summary|to conclude|to sum up|in short|overall|as a result|because of (?:this|that)|finally"
    "|definitely|clearly|certainly|surely|obviously|undoubtedly"
)
"""How somebody leads to a letter who says no more: "Overall, B"."""

SAYS = re.compile(
    r"\b(?:answer|choice|option|selection|guess|assessment|conclusion|verdict)\s*"
    r"(?:to (?:this|the) question\s*)?(?:here\s*)?"
    r"(?:is|would be|should be|must be|will be|seems to be|appears to be|:|=)+\s*:?"
    r"|\b(?:ans(?:wer)?\s?[.:]|(?:result|prediction|output|response|solution|decision)\s*:)"
    r"|\b(?:i|we)(?:'d|'ll| would| will| should| must| might| may| can| could)? (?:(?:\w+ly|have to|go ahead and) )?"
    r"(?:choose|select|pick|go (?:with|for)|opt for|vote(?: for)?|lean towards?|prefer|say)\b:?"
    r"|\b(?:slight )?preference for"
    r"|\b(?:ich wähle|je choisis|elijo|escolho|scelgo|ik kies|wybieram|я выбираю|tôi chọn)\b:?"
    r"|\b(?:best|correct|right|final|most (?:likely|similar|accurate|suitable|appropriate))"
    r"(?: (?:one|answer|choice|option|match|image|picture|point|box))? (?:is|would be|:)"
    r"|(?:(?<![\u4e00-\u9fff])|(?<=所以)|(?<=因此)|(?<=故)|(?<=[则則])|(?<=即)|(?<=最终)|(?<=最終)"
    r"|(?:(?<=答案)|(?<=[对對][应應]))(?<![没沒]有..)(?<![没沒无無不]..))(?:选项|選項)\s*"
    r"[应應]?(?:(?:为|為|是|:)\s*(?=\(?[A-Z])|(?=\(?[A-Z]\)?\s*是?正[确確]))"
    r"|(?:答案|正[确確]选项|正確選項|正确的选项|正解|答え|回答|解答)\s*(?:应该|應該|应当|应|應)?\s*(?:是|为|為|は|:)\s*:?"
    r"|(?<![不别未])(?:应选|應選|故选|故選|我选择?|我選擇?|选择|選擇|选|選)\s*:?(?=\W*[A-Z])"
    r"|(?:정답|답변|답)\s*(?:은|는|:)"
    r"|\b(?:respuesta|risposta|opción correcta|opção correta)(?: (?!n[oã]|non)\w+){0,2}\s*(?:es|sería|é|è|:)(?!\w)"
    r"|\bresposta(?: (?!não)\w+){0,2}\s*(?:é|:)(?!\w)"
    r"|\bréponse(?: \w+){0,2}\s*(?:est|:)(?!\w)"
    r"|\b(?:antwort|lösung)(?: \w+){0,2}\s*(?:ist|lautet|wäre|:)(?!\w)"
    r"|\b(?:odpowiedź|odpověď|svar|svaret|antwoord|vastaus|válasz)(?: \w+){0,2}\s*(?:to|je|är|er|is|on|:)(?!\w)"
    r"|\b(?:câu trả lời|trả lời)(?: \w+){0,2}\s*(?:là|:)|\bαπάντηση\s*:|תשובה\s*:|ค(?:ำ|ํา)ตอบ\s*(?:คือ|:)"
    r"|\bответ\s*(?:[:=—–-]|это)"
    r"|(?:الإجابة|الاجابة|الجواب|إجابة)(?: \w+){0,2}\s*(?:هي|هو|:)"
    r"|उत्तर\s*:?|\bcevap\s*:?|\bđáp án(?: \w+)?\s*(?:là|:)|\bjawaban(?:nya)?(?: \w+){0,2}\s*(?:adalah|:)",
    _I,
)
"""After this stands the answer."""

_ARTICLE = r"[ao](?=\s+(?:\w{2}|-?\d))|(?-i:[ao])(?=\s+[\"'(\[]*(?-i:[A-Z])\b)"
"""Not the letter of "A B", "a & b" or "AB"."""
LEADS = re.compile(
    rf"[\W_]*(?:that|it's|it is|this is|the|to be|probably|likely|most likely|definitely|clearly|either|both"
    rf"|{_ARTICLE}|option|choice|letter|answer|number|image|picture|photo|point|box|figure"
    r"|la|el|le|l'|lo|il|die|der|das|opción|opção|opzione|letra|lettre|alternativa|réponse|antwort|buchstabe|вариант"
    r"|选项|選項|选择|選択肢|보기|선택지|الخيار|विकल्प)(?:\b|(?<=[\u0600-\uffff])|(?=(?-i:[A-Z])|\())"
    r"[\W_]*?(?=[\w(\[<>≤≥≠√±]|[-+](?=[\w.(]))",
    _I,
)
"""What may stand between that and the answer."""

FOLLOWS_A = (
    r"because|since|as|is|and|for|with|based|due|or|rather|not|instead"
    r"|porque|weil|denn|parce|car|perché|पर|है|ist|es|est|é"
)
"""Words after a capital A that is a letter, no article."""

CONCLUDES = re.compile(
    r"\b(?:(?:correct|right|best|final|most likely|likely|appropriate|my|the) +(?:\w+ +)?"
    r"(?:answer|choice|option|selection)"
    r"|answer(?: +is|:| +would)|(?:option|choice) +(?:is|would be)"
    r"|(?:i|we) +(?:would|will|'d|'ll|can)? *(?:\w+ +)?(?:choose|select|pick|go with|conclude|say)"
    r"|(?:correct|best|most (?:likely|similar|accurate\w*|appropriate|suitable))\b[^.;]{0,80}?(?:\bis\b|\bwould be\b|:)"
    r"|(?:seems?|appears?|looks|is|has|have) (?:to be |to have )?(?:the )?(?:most|best|more likely|closest)"
    r"|(?:based on|given|considering) (?:this|these|that|those|the|my) (?:\w+ )?"
    r"(?:observation|analys|comparison|detail|factor|reason|consideration|finding|difference|similarit|assessment)\w*"
    r"|the (?:corresponding|matching|missing|remaining)\b[^.;]{0,60}?\b(?:is|would be)"
    r"|best guess|therefore|thus|hence|in conclusion|in summary|to conclude|overall|so,? +(?:the|it|i|my|we)\b"
    r"|that leaves\b)"
    r"|^\W*since\b",
    _I,
)
"""A sentence that concludes."""

FOLLOWS = re.compile(r"\W*(?:so|therefore|thus|hence|in conclusion|in summary|to conclude|overall)\b", _I)
"""How a last word begins."""

SO = re.compile(
    r"[,;] *(?:and )?(?:so|therefore|thus|hence)\b|(?<=[\d ])=|[,;] *but\b[^.;]{0,20}?"
    r"\b(?:actually|really|in fact|most likely|more likely|on closer|after all|rather|instead)\b",
    _I,
)
"""After this stands, in one sentence, what follows from the rest, or what is true in spite of it."""

RETRACTS = re.compile(
    r"(?:^|(?<=[.!?\n]))\W*(?:(?:hmm+|oh|oops|sorry|no|but|hold on)\b\W*)*"
    r"(?:wait\b|correction\b|scratch that|on second thoughts?\b|upon (?:closer|further|re-?)"
    r"|let me (?:re-?(?:consider|check|think|examine|read)|correct)|i (?:made|was) (?:a mistake|mistaken|wrong)"
    r"|actually,|no,)",
    _I,
)
"""How somebody begins who takes back what was said before."""

COMPARES = re.compile(r"\b(?:more|most|better|best|closer|closest|nearer|nearest)\b", _I)
"""A sentence that weighs, where a listing only describes."""

REASONS = re.compile(r"\bbecause\b|\bsince\b|, as\b|\bdue to\b|\bgiven that\b", _I)
"""After this stands why, not what."""

OTHERWISE = re.compile(r"^\W*(?:or )?(?:otherwise|else)\b", _I)
"""How a sentence begins about what would be if what was supposed before is not so."""

_IF = r"\bif (?!i\b|we\b|you\b|forced|pressed|asked|one\b)[^.]{0,200}"
SUPPOSES = re.compile(rf"{_IF}\b(?:then|were)\b|^\W*{_IF},", _I)
"""A sentence about what would be."""

CONDITION = re.compile(rf"(?:^|[,;:(]|\b(?:and|but|so|then)\b)\W*(?:{_IF}|(?:or )?(?:otherwise|else)\b)", _I)
"""Before "the answer is": it is so only if something else is."""

TURNS = re.compile(r";|, ?(?:but|so|however|since|yet)\b", _I)
"""Where a sentence goes on from what holds in one case to what is so."""

OTHER_CASE = re.compile(
    r"\b(?:if|otherwise|else|when(?:ever)?|unless|in (?:that|the other|this|any) case|provided)\b", _I
)
"""Beside an answer: it holds in one case only."""

UNREAL = re.compile(rf"{_IF}\b(?:were|had|would)\b", _I)
"""Supposed, and known not to be so."""

CONSEQUENCE = re.compile(
    r"^\W*if\b(?! (?:possible|needed|necessary|required|available|anything|so)\b)"
    r"(?![^,]*(?:\bnot\b|n't\b|\bcannot\b|\bno\b|\bwere\b|\bhad\b))[^,]*,(?!.*\b(?:would|otherwise|else)\b)",
    _I,
)
"""The condition of a sentence that says what comes of it: "If the sun sets, ..."."""

ASKS_OR_HEDGES = re.compile(r"\b(?:could|might|may|can|please|whether|upload|provide|let me know)\b", _I)
"""What asks for something, or says what may be: nothing comes of a condition."""

STRONGLY = re.compile(
    r"\b(?:correct|best|most (?:likely|similar|accurate\w*|appropriate|suitable))\b[^.;]{0,80}?"
    r"(?:\bis\b|\bwould be\b|\bshould be\b|:)"
    r"|\b(?:answer|choice|option|selection)\b[^.;]{0,40}?(?:\bis\b|\bwould be\b|\bshould be\b|:|=)|best guess"
    r"|\b(?:choose|select|pick|go with)\b",
    _I,
)
"""A sentence that says which answer is the right one, not only what follows from something."""

DECLINES = re.compile(
    r"\b(?:can ?not|can't|could not|couldn't|unable|not able|not possible|impossible|insufficient|no way"
    r"|not enough(?! (?:food|water|money|to (?:eat|drink|live|survive|spend|pay|buy))\b)"
    r"|no idea|no clue|not (?:sure|certain)|not provide enough|not have (?:the ability|access"
    r"|enough(?! (?:food|water|money|to (?:eat|drink|live|survive|spend|pay|buy))\b))"
    r"|(?:i'?m|i am) sorry"
    r"|neither|none of the|(?:answer|option|choice)s? (?:is|are) not (?:listed|among|present|given|provided|available)"
    r"|indeterminable|undeterminable|inconclusive|do not know|don't know|(?:difficult|hard|challenging|tough) to"
    r"|not clear|unclear"
    r"|no puedo|no se puede|no es posible|je ne peux pas|impossible de|kann nicht|nicht möglich|não posso"
    r"|não é possível|non posso|не могу|невозможно)\b"
    r"|无法|無法|不能|不确定|不確定|抱歉|わかりません|分かりません|できません|알 수 없|수 없습니다|لا أستطيع|لا يمكن",
    _I,
)
"""A sentence that does not answer."""

NOT_ABLE = re.compile(
    r"\b(?:can ?not|can't|could not|couldn't|unable to|not able to|(?:difficult|hard|challenging|tough) to) "
    r"(?!(?:\w+ly )?(?:be (?:\w+ly )?(?:told|said|sure|certain|determined|answered|decided|known|given|identified)"
    r"|tell|say|determine|answer|decide|know|judge|choose|select|pick|conclude|verify|confirm|help|assist|access|view"
    r"|provide|give|(?:see|find|open|process) (?:\w+ )?(?:image|picture|photo)s?)\b)\w+",
    _I,
)
"""Not to be able to do something else than to answer: "I cannot make out the ears"."""

DENIES = re.compile(
    r"\b(?:rather than|instead of|compared (?:to|with)|as opposed to|in contrast (?:to|with)|unlike|than"
    r"|not(?! only| just)|(?:al)?though|despite|in spite of|can(?:not|'t| not)|couldn't"
    r"|isn't|aren't|doesn't|don't|didn't|won't|wouldn't|nor|neither|without|whereas|while|except"
    r"|unlikely (?:to|that)|anything but|exclud(?:e|es|ing)|ruled? out|ruling out|eliminat(?:e|es|ed|ing)"
    r"|nicht|n'est pas|no es|não é|non è|не)\b"
    r"|不是|而非|并非|ではなく|아니라|ليست?\s",
    _I,
)
"""What stands after this is denied, or only compared with."""

JUST_DENIED = re.compile(
    r"\b(?:no|(?:nor|neither)(?:\s+\w+){0,2}|anything but"
    r"|(?:wrong|incorrect)\s+(?:one|answer|option|choice)s?\s*(?:(?:is|are|was|would be)\b:?|:))\s+(?:the\s+)?$",
    _I,
)
"""What denies the words right after it, whatever else is said before."""

NAMES_IT = re.compile(r"\A(?:(?:option|choice|answer|letter)(?:\s+is|:)?|is|but)\s+", _I)
"""How a mention may begin, before its letter."""

LIKEWISE = re.compile(r"\b(?:so|as) (?:is|are|was|were|do|does|can|would) (?:the |option )?$", _I)
"""What says of the words after it what is said of those before it: "B is wrong, and so is A"."""

WRONGLY = re.compile(r"\b(?:wrong|incorrect)\W*$", _I)
"""Before "answer is": it is none."""

CLAUSE_ENDS = re.compile(
    r";|(?<!anything )\bbut(?! not\b)|\bhowever\b"
    r"|, ?(?:it|it's|this|that|so|therefore|thus|hence|i|we|my|then)\b|[—–]| - ",
    _I,
)
"""Where a denial ends."""

_RULED_OUT = "ruled out|excluded|eliminated|discarded|dismissed|rejected"
_NOT_IT = (
    r"(?: \w+ly)? (?:the |an? )?(?:only |most )?(?:\w+ly )?"
    rf"(?:incorrect|wrong|false|unlikely|out(?! of\b)|{_RULED_OUT})"
)
_ARE_WRONG = (
    rf"(?:(?:are|were|would be|must be|(?:seem|appear|look)(?: to be)?){_NOT_IT}"
    rf"|(?:can|could|may|should|must|have)(?: \w+ly)? (?:be|been)(?: \w+ly)? (?:{_RULED_OUT}))"
)
IS_WRONG = (
    rf"(?:(?:is|was|(?:seems|appears|looks)(?: to be)?){_NOT_IT}|has(?: \w+ly)? been(?: \w+ly)? (?:{_RULED_OUT})"
    rf"|{_ARE_WRONG})"
)
_NO_CLAUSE = r"(?!(?:because|since|as|while|whereas|but|so|although|though|after|once|if|when|given)\b)"
IS_DENIED = re.compile(
    r"\)?\s*(?:选项|選項)?\s*是?(?:[错錯][误誤]|[错錯]|不正[确確]|不[对對])"
    r"|[\s\"')\]]*(?:, (?:which|who|that|with|an?|the)\b[^,.]{0,150},)?\s*"
    rf"(?:(?:{_NO_CLAUSE}(?!(?:and|or)\b)\w+\s+){{0,5}}?{IS_WRONG}\b|(?:{_NO_CLAUSE}\w+\s+){{0,5}}?"
    r"(?:(?:is|are|was|were|does|do|did|would|could|can|has|have|seems?|appears?|looks?) ?(?:not(?! only)|n't)"
    r"|cannot|can't|isn't|aren't|wasn't|doesn't|don't|wouldn't|appears? less|seems? less"
    rf"|{_ARE_WRONG}|(?:is|are) (?:less|out(?! of\b)|further|farther)"
    r"|nicht|no es|n'est pas)\b)"
    r"|[^.;]{0,150}?\b(?:which|that|and|so it) (?:is|are|does|do) not"
    r" (?:(?:the )?(?:correct|right|same|match)|correspond|share)",
    _I,
)
"""What denies the words that stand before it."""

WORDS = {
    "yes": "yes|yeah|yep|はい|是的|是|对的|对|sí|si|oui|ja|예|네|نعم|да|sim|sì|हाँ|हां|evet|có|ya|tak|ναι|igen|כן|ہاں|ใช่",
    "no": "no|nope|いいえ|不是|不对|不|否|没有|non|nein|아니요|아니오|لا|нет|não|नहीं|hayır|không|tidak"
    "|nie|nee|nej|όχι|nem|לא|نہیں|ไม่ใช่|ไม่",
    "true": "true|真|正确|正確|正しい|verdadero|verdadera|vrai|wahr|richtig|참|صحيح|верно|verdadeiro|vero",
    "false": "false|假|错误|錯誤|偽|間違い|falso|falsa|faux|falsch|거짓|خطأ|неверно",
    "left": "left|左边|左邊|左侧|左側|左|izquierda|gauche|links|왼쪽|يسار|اليسار|слева|налево|esquerda|sinistra|trái",
    "right": "right|右边|右邊|右侧|右側|右|derecha|droite|rechts|오른쪽|يمين|اليمين|справа|направо|direita|destra|phải",
}
"""Options that are one of these words, in other languages."""

ALONE = {
    "yes": "y(?! */)|correct|true|indeed|absolutely|certainly|definitely|of course|sure|i (?:think|believe) so"
    "|(?:it|that|this)(?: is|'s) (?:true|correct|right)",
    "no": "n(?! */)|incorrect|false|not? really|(?:definitely|absolutely|certainly|of course) not|it (?:is|does) not"
    "|it isn't|i (?:do not|don't) (?:think|believe) so"
    "|(?:it|that|this)(?: is|'s) (?:not (?:true|correct)|false|incorrect|wrong)",
    "true": "yes|yeah|correct",
    "false": "no|nope|incorrect|wrong|not really",
}
"""What means the same where a reply begins with it, and nothing goes on: "Correct." is yes, and true."""

_IT_IS = r"(?:statement|sentence|claim|caption|description|that|this|it)(?: is|'s)"
ELSEWHERE = {
    "true": rf"{_IT_IS} (?:entirely |indeed )?(?:correct|accurate)",
    "false": rf"untrue|(?:not|n't) (?:\w+ )?true|{_IT_IS} (?:incorrect|inaccurate|wrong|not (?:correct|accurate))",
}
"""What says the same in a sentence."""

RIGHT = (
    r"(?:is|was|must be|would be|should be|will be|seems(?: to be)?|appears(?: to be)?|looks)(?: \w+ly)? "
    r"(?:the |my )?(?:\w+ly )?(?:correct|right|best|final|only|answer|most)"
)
WRONG = rf"(?:{IS_WRONG}|(?:is|are|was|were|would|seems|appears|looks) not|isn't|wasn't|cannot be|can't be)"
"""After a letter: it names an option, which is said to be right, or wrong."""

VERDICT = re.compile(
    r"\W*(?:(?:this|that|it|the)(?: (?:option|choice|answer|one|statement))? )?(?:is )?"
    r"(?:(?P<right>(?:correct|right|yes|true|matches)\b|[✓✔✅☑])"
    r"|(?:not (?:correct|right|true)|incorrect|wrong|no|false|does not match)\b|[✗✘❌✕✖])",
    _I,
)
"""What an item of a listing says of its option, right behind it."""

ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
