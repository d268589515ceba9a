"""Personal data in words: mail and internet addresses, phone and card numbers, accounts, national numbers, homes.

Patterns with the checks that such numbers carry (Luhn 1960 for cards, ISO 13616 modulo 97 for accounts), so that a
count or a year is no phone number. Not names of people: "a photograph of Ada Lovelace" harms nobody.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Personal:
    """Words [start, stop) of a text that are personal data."""

    start: int
    stop: int
    kind: str
    """mail address, phone number, card number, account number, national number, internet address, home address."""


_STREET = (
    r"(?:street|st\.?|road|rd\.?|avenue|ave\.?|lane|ln\.?|boulevard|blvd\.?|drive|dr\.?|court|ct\.?|square|way|place)"
)


_APART = (
    r"\u0620-\u065f\u066e-\u06ef\u06fa-\u06ff\u3005-\u3007\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff"
    r"\ufb50-\ufdff\ufe70-\ufefc\uff66-\uff9f"
)
"""Letters of Chinese, Japanese, Korean and Arabic, which stand beside a number or an address without a blank."""
_SIGN = rf"[^\W{_APART}]"
"""A letter of any other script, a digit or an underscore: beside one of these a number is a part of something else."""
_STARTS = rf"(?<!{_SIGN})"
_ENDS = rf"(?!{_SIGN})"
_LATIN = "A-Za-zÀ-ÖØ-öø-ɏ"
_NO_FILE = r"(?!(?:png|jpe?g|gif|webp|svg)(?![A-Za-z0-9_]))"
_VERSION = "".join(
    rf"(?<!(?i:{word}))(?<!(?i:{word}) )"
    for word in ("version", "versión", "release", "section", "版本", "バージョン", "버전", "الإصدار", "第", "제")
)
_VERSION_AFTER = r"(?!\s?(?:版|节|節|章|バージョン|버전|절))"
_COUNTED = "(?![元円圆圓年个個枚米毫厘件원년개])"
"""Not before what is counted, as in "100-200-3000毫米"."""


_NATIONAL = ("334", "1334")
"""Lengths of the groups of a number of North America, without and with the country's."""


def _always(said: str) -> bool:
    return True


def _is_card(said: str) -> bool:
    digits = [int(character) for character in said if character.isdecimal()]
    # No network's cards begin otherwise: 978 and 979 are books.
    if not 13 <= len(digits) <= 19 or len(set(digits)) == 1 or not 2 <= digits[0] <= 6:
        return False
    doubled = [digit * 2 - 9 * (digit > 4) if at % 2 else digit for at, digit in enumerate(reversed(digits))]
    return sum(doubled) % 10 == 0


def _is_account(said: str) -> bool:
    """Return whether an IBAN's check digits are right."""
    plain = said.replace(" ", "").upper()
    if not 15 <= len(plain) <= 34:
        return False
    return int("".join(str(int(character, 36)) for character in plain[4:] + plain[:4])) % 97 == 1


def _is_phone(said: str) -> bool:
    """Return whether digits in groups are one that can be called: with + or a bracket, from 0 or 1 on, or as 3-3-4."""
    digits = sum(character.isdecimal() for character in said)
    groups = re.findall(r"\d+", said)
    bare = said[0] not in "+＋(（" and not said.startswith("0") and "".join(map(str, map(len, groups))) not in _NATIONAL
    return (
        not bare
        and 9 <= digits <= 15
        and not re.fullmatch(r"\d{4}[-./]\d{1,2}[-./]\d{1,2}|\d{1,2}[-./]\d{1,2}[-./]\d{4}", said.strip())
    )


def _is_internet(said: str) -> bool:
    try:
        return not ipaddress.ip_address(said).is_unspecified
    except ValueError:
        return False


_PATTERNS: tuple[tuple[str, re.Pattern[str], Callable[[str], bool]], ...] = (
    (
        "mail address",
        re.compile(
            rf"(?<![{_LATIN}0-9_.+-])[{_LATIN}0-9_.+-]{{1,64}}@[{_LATIN}0-9_-]{{1,63}}(?:\.[{_LATIN}0-9_-]{{1,63}}){{0,3}}"
            rf"\.{_NO_FILE}[{_LATIN}]{{2,24}}(?![{_LATIN}0-9_@-])"
        ),
        _always,
    ),
    (
        "mail address",  # in other letters
        re.compile(
            rf"(?<![\w.+-])[\w.+-]{{1,64}}@[\w-]{{1,63}}(?:\.[\w-]{{1,63}}){{0,3}}\.{_NO_FILE}[^\W\d_]{{2,24}}(?![\w@-])"
        ),
        _always,
    ),
    (
        "account number",
        re.compile(rf"{_STARTS}[A-Z]{{2}}\d{{2}}(?: ?[A-Z0-9]{{4}}){{2,7}}(?: ?[A-Z0-9]{{1,4}})?{_ENDS}"),
        _is_account,
    ),
    ("card number", re.compile(rf"{_STARTS}(?<!\.)\d(?:[ -]?\d){{12,18}}{_ENDS}"), _is_card),
    (
        "national number",
        re.compile(rf"{_STARTS}(?<!-)(?!000|666|9)\d{{3}}-(?!00)\d{{2}}-(?!0000)\d{{4}}{_ENDS}(?!-)"),
        _always,
    ),
    (
        "internet address",
        re.compile(rf"{_STARTS}(?<!\.){_VERSION}\d{{1,3}}(?:\.\d{{1,3}}){{3}}(?!(?:{_SIGN}|\.)*\d){_VERSION_AFTER}"),
        _is_internet,
    ),
    (
        "phone number",
        re.compile(
            rf"{_STARTS}(?<!\.)[+＋]\d{{1,3}}[ .-]?(?:\(\d{{1,4}}\)[ .-]?)?\d{{2,8}}(?:[ .-]\d{{2,8}}){{1,4}}{_ENDS}"
            rf"|{_STARTS}(?<!\.)[(（]\d{{2,4}}[)）][ .-]?\d{{2,4}}(?:[ .-]\d{{2,4}}){{1,4}}{_ENDS}"
            rf"|{_STARTS}(?<!\.)(?:1[ .-])?\d{{2,4}}(?:[ .-]\d{{2,6}}){{2,4}}{_ENDS}{_COUNTED}"
            rf"|{_STARTS}[+＋]\d{{9,14}}{_ENDS}"
        ),
        _is_phone,
    ),
    (
        "home address",
        re.compile(
            rf"{_STARTS}(?<!(?i:image) )(?<!(?i:box) )(?<!(?i:in) )(?<![图圖片张張像画真第])\d{{1,5}}[a-z]?\s"
            rf"(?:[A-Z][\w'’-]{{1,20}}\s){{1,3}}(?i:{_STREET}){_ENDS}"
            rf"|{_STARTS}[A-ZÄÖÜ][\wäöüß-]{{2,24}}(?:straße|strasse|weg|platz|gasse|allee)\s\d{{1,4}}[a-z]?{_ENDS}"
        ),
        _always,
    ),
)


def find_personal(text: str) -> Iterator[Personal]:
    """Yield what is personal data, in reading order, each place once."""
    found: list[Personal] = []
    for kind, pattern, is_one in _PATTERNS:
        for match in pattern.finditer(text):
            taken = any(each.start < match.end() and match.start() < each.stop for each in found)
            if not taken and is_one(match.group()):
                found.append(Personal(match.start(), match.end(), kind))
    yield from sorted(found, key=lambda each: each.start)


def mask_personal(text: str) -> str:
    """Return the text with ``[mail address]`` and the like in the place of personal data."""
    for each in reversed(list(find_personal(text))):
        text = f"{text[: each.start]}[{each.kind}]{text[each.stop :]}"
    return text
