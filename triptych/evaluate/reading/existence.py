"""What "There is no dog in it" says to "Is there a dog in the image?": no, though no word of it is "no" alone.

Not the reading of options (``choices``), which knows no question. Only questions that ask whether there is a thing, and
replies whose first sentence says of just this thing that it is there, or is not: "There is a cat" and "There is a hot
dog" say nothing of a dog. What is denied is told by the clause of the thing alone: "There is no cat, but there is a
dog" denies no dog, nor does "There is no doubt that there is a dog".
"""

from __future__ import annotations

import re
from itertools import islice

from triptych.evaluate.reading.phrases import DECLINES

_PLACE = r"(?:image|picture|photo|photograph|scene)"
_ASKED = re.compile(
    r"\W*(?:is|are) there (?:(?:a|an|any|some) )?(.+?)(?: (?:in|on|at|visible|present|here|shown)\b|\?|$)", re.I
)
_SAYS = re.compile(
    rf"\W*(?:(?:in|on|from|based on) (?:the|this|that) {_PLACE},? +)?"
    r"(?:there (?:is|are|isn't|aren't|does|do|appears?|seems?)\b|there's\b"
    rf"|(?:the|this) {_PLACE} (?:does|doesn't|shows?|contains?|has|includes?|features?)\b"
    r"|i (?:(?:can|could|do|did) (?:not )?|don't |didn't |cannot |can't |couldn't )?(?:see|find|spot)\b"
    r"|i (?:(?:do not|don't|did not|didn't) )?(?:think|believe) (?:that )?there (?:is|are)\b"
    r"|(?P<thing_first>(?:no|a|an)\b))",
    re.I,
)
"""How a sentence begins that says what there is."""
_DENIES = re.compile(
    r"\b(?:no|not|none of|cannot|without|never|neither|nor|instead of|rather than|anything but"
    r"|(?:hardly|barely|scarcely)(?= (?:any|an?|one|even)\b))\b"
    r"|n't\b",
    re.I,
)
_NO_DENIAL = re.compile(
    r"\b(?:there(?: is|'s| can be) no|without(?: any| a)?) (?:doubt|question|denying|mistaking)\b(?! of\b)", re.I
)
"""What makes sure of what follows it."""
_DOUBTS = re.compile(
    r"\b(?:if|whether|might|may|could be|perhaps|maybe|(?<!for )sure|tell|determine|say|unclear|possibly)\b", re.I
)
_COUNTED = r"(?:is|are|a|an|the|no|any|some|single|or|nor|one|two|three|four|five|several|many|multiple|\d+)"
_CLAUSE = re.compile(
    r";|\b(?<!anything )but\b|\b(?:however|though|although|while|whereas)\b|, yet\b"
    rf"|(?<!even )(?<!of )(?<!than )\b(?:only|just|merely)\b(?=\s*$| (?:of|on|in|there|{_COUNTED})\b)"
    r"|(?:not|n't) (?:only|just|merely)\b"
    rf"|(?:,? and|\s*[,:—–])(?= (?:there(?: is| are|'s)|(?:i|it|the {_PLACE}) (?:can |do |does |only |just |also )*"
    r"(?:see|find|spot|shows?|has|contains?))\b)",
    re.I,
)
"""Where a denial ends."""
_ON = (
    *("not", "cannot", "that", "and", "but", "is", "are", "be", "has", "have", "show", "shows", "contain", "contains"),
    *("include", "includes", "feature", "features", "see", "find", "spot"),
)
_UNENDED = "(?:(?<=n't)|" + "|".join(rf"(?<=\b{word})" for word in _ON) + ")"
_ASIDE = re.compile(
    rf"{_UNENDED}"
    r"\s*[,(—–]\s*(?:(?P<denial>by no means|in no way|never|not at all)|[^,()—–]{1,60})[,)—–]"
    r"|(?:(?<=not)|(?<=n't)),? (?:however|though)\b(?! (?:there|i|it|the)\b)"
    r"|\s*[,—–] ?(?:however|though)\s*[,—–](?= (?:of|that|for|like|with|or|nor)\b)",
    re.I,
)
"""What is put between commas where neither a thing nor a clause has ended: "does not, however, show"."""
_IN_PLACE_OF = re.compile(
    r"\b(?:instead of|rather than) (?:an?|the|any|some|one|two)"
    r"(?: (?!(?:and|or|nor|of|with|like|for|near|in|on)\b)[\w-]+){1,3}(?:, and)? $",
    re.I,
)
"""What a thing right behind it takes the place of: "rather than a bird a dog"."""
_ANNOUNCED = re.compile(
    r"\b(?:following|objects?|items?|things?|animals?|creatures?|these|those|this|what)\b[^,;:—–]{0,40}[:—–]"
    rf"|{_UNENDED}\s*[:—–]",
    re.I,
)
"""What names nothing before a colon: what stands behind it is denied with it."""
_SAID_THERE = re.compile(r"\b(?:there (?:is|are)|there's|i see|i can see)\b", re.I)
_EXCEPT = re.compile(r"\b(?:except(?: for)?|besides|other than|apart from|aside from)\s*$", re.I)
_NOT_OF_IT = re.compile(r"\b(?:like|resembl\w+|similar to|remind\w* \w+ of|for)\s*$", re.I)
"""Before a thing that something else is only compared with, or meant for."""
_LISTED = re.compile(r"(?:[,:—–]|\band)\s*$", re.I)
_LIST_GOES_ON = re.compile(r"\s*,?\s*(?:(?:an?|any|the) \w+\s*,\s*){0,9}(?:or|nor)\b", re.I)
_OR = re.compile(r"\bor\s*$", re.I)
_OR_ELSE = re.compile(r"\s+or\b(?! (?:two|so|more)\b)", re.I)
_AFTER = (
    r"(?=\W*$|\s*[,;:]|\s+(?:in|on|at|and|or|with|near|next|behind|under|is|are|can|cannot|can't|visible|present"
    r"|here|there|but|that|which|\w+ing)\b)"
)
_THERE = re.compile(
    r"\W*(?:(?:is|are|can be|appears?)\b(?P<denied> (?:not|nowhere)\b| (?:absent|missing)(?=\W*$| from\b)|n't)?"
    r"|(?P<unseen>(?:cannot|can not|can't) be (?:seen|found|spotted)\b))",
    re.I,
)
_REASON = re.compile(r"\b(?:because|since|as|due to|until|unless)\b", re.I)
_PICTURES = r"(?:images?|pictures?|photos?|photographs?|files?|attachments?)"
_LOOKS = r"(?:see|find|spot|notice|observe|detect|make out|look(?:ed)?|search(?:ed)?|checked|think|believe|say)"
_GOT = r"(?:attached|sent|provided|uploaded|shared|given|loaded|load|opened|open|available|displayed|rendered)"
_REFUSES = re.compile(
    r"\bplease\b(?! note\b)"
    rf"|\b(?:no|without|missing) (?:(?:an?|the|any|your) )?(?:\w+ )?{_PICTURES}\b(?! (?:of|on|with)\b)"
    r"|\b(?:(?:upload|attach|send|resend|need|supply)(?:ing)?|(?:provid|shar)(?:e|ing))"
    rf" (?:(?!(?:in|on|of|from|with)\b)\w+ ){{0,4}}{_PICTURES}\b|\b{_PICTURES}(?: \w+){{0,3}}?"
    r"(?: missing\b(?! an?\b)| (?:blank|unavailable|corrupt\w*)\b"
    rf"|(?: not| never| failed to|n't)(?: be| been| get| \w+ly)* (?:{_GOT}|there)\b)"
    rf"|\bnothing (?:(?:is|was|has|been|got|to be) )*{_GOT}\b"
    r"|\btoo (?:dark|blurry|blurred|grainy|pixelated)\b|\blanguage model\b|\btext[- ](?:only|based)\b|\ban ai\b"
    rf"|(?:not|n't) (?:see|view|open|access|load|process) (?:the|any|an|your|this|that) {_PICTURES}\b"
    r"|\bi(?:'m|'ve| (?!(?:(?:can|could|cannot|can't|couldn't|do|did|don't|didn't|would|not|only|also|just|instead"
    rf"|clearly|still) )*{_LOOKS}\b))",
    re.I,
)
"""What speaks of a picture that was not there to be looked at, or of the one who looks."""
_MOST = 20
"""Times that a thing is weighed: a reply may say the same a thousand times."""
_FAR = 500
"""Characters before a thing in which its clause is looked for."""
_END = re.compile(r"[.!?\n]")


def says_there_is(question: str, reply: str) -> bool | None:
    """Return whether a reply says that there is what a question asks for; None: it asks or says nothing of the kind.

    >>> says_there_is("Is there a dog in the image?", "There is no dog in the picture.")
    False
    >>> says_there_is("Is there a dog in the image?", "There is a cat.")
    """
    asked, first = _ASKED.match(question), _first_sentence(reply)
    says = _SAYS.match(first)
    if asked is None or says is None or _DOUBTS.search(first):
        return None
    pattern = rf"\b(?P<count>{_COUNTED}) {re.escape(asked[1].strip())}(?:e?s)?{_AFTER}"
    named = list(islice(re.finditer(pattern, first, re.I), _MOST))
    alone = bool(says["thing_first"])
    found = [(said, thing) for thing in named if (said := _said(first, thing, alone=alone)) is not None]
    if not found or found[0][0]:
        return found[0][0] if found else None
    later = [_clause(first[: thing.start()]) for said, thing in found if said]
    return None if later and not any(map(_SAID_THERE.search, later)) else bool(later)


def only_sight_declines(reply: str) -> bool:
    """Return whether nothing but the first sentence declines, for no reason: "I cannot see any dog" says what is there.

    "I cannot see a dog because no picture was sent" does not, nor does what goes on with "I cannot view images" or
    "Please upload the image".
    """
    reply = reply.strip().replace("’", "'")
    _, *rest = _END.split(reply, maxsplit=1)
    declines = _REASON.search(_first_sentence(reply)) or DECLINES.search("".join(rest))
    return not (declines or _REFUSES.search(" ".join(reply.split())))


def _first_sentence(reply: str) -> str:
    return " ".join(_END.split(reply.strip(), maxsplit=1)[0].replace("’", "'").split())


def _said(first: str, thing: re.Match[str], *, alone: bool) -> bool | None:
    """Return whether a thing is said to be there in its clause; ``alone``: the sentence begins with a thing."""
    behind = _THERE.match(first, thing.end())
    if alone and behind is None:  # "A dog" alone says nothing
        return None
    before, count = _clause(first[: thing.start()]), thing["count"].lower()
    denied = _DENIES.search(f"{before}{count}")
    if _EXCEPT.search(before):
        return True if denied else None
    if behind and (behind["denied"] or behind["unseen"]):
        return False
    if not denied:
        either = count in ("or", "nor") or _OR.search(before) or _OR_ELSE.match(first, thing.end())
        return None if either or _NOT_OF_IT.search(before) else True
    announced = _ANNOUNCED.search(before, denied.end()) and not behind
    goes_on = _LIST_GOES_ON.match(first, thing.end())  # "no cat, a dog or a bird"
    if count not in ("no", "any") and _LISTED.search(before) and not announced and not goes_on:  # "no cat, a dog"
        return True if behind else None
    return False


def _clause(before: str) -> str:
    """Return what stands before a thing in its own clause."""
    near = _ASIDE.sub(lambda aside: " not" if aside["denial"] else "", _NO_DENIAL.sub(" ", before[-_FAR:]))
    return _CLAUSE.split(_IN_PLACE_OF.sub("", near))[-1]
