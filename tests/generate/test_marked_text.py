"""What a translation must keep, in languages that write no blanks around it: ids, addresses, tags and numbers."""

from __future__ import annotations

import time

import pytest

from triptych.generate.marked_text import numbers_in, what_was_lost

KEPT = [
    # Ids.
    ("What is LA_00_IMG_7?", "zh", "LA_00_IMG_7是什么？"),
    ("A man sits in LA_00_IMG_7.", "zh", "在LA_00_IMG_7中坐着一个男人。"),
    ("A man sits in LA_00_IMG_7.", "ja", "LA_00_IMG_7では男性が座っています。"),
    ("A man sits in LA_00_IMG_7.", "ko", "LA_00_IMG_7에는 남자가 앉아 있습니다."),
    ("A man sits in LA_00_IMG_7.", "ar", "في LA_00_IMG_7 يجلس رجل."),
    ("A man sits in LA_00_IMG_7.", "de", "In LA_00_IMG_7 sitzt ein Mann."),
    ("The word snake_case is on the screen.", "zh", "屏幕上有snake_case单词。"),
    ("The word snake_case is on the screen.", "ja", "画面にsnake_caseという単語があります。"),
    ("Compare COCO_0012-b and COCO_0012-c.", "ja", "COCO_0012-bとCOCO_0012-cを比べてください。"),
    ("Compare COCO_0012-b and COCO_0012-c.", "fr", "Comparez COCO_0012-b et COCO_0012-c."),
    ("Its name is img_3.", "ko", "이름은 img_3입니다."),
    # Addresses.
    ("See https://a.b/c.", "zh", "见https://a.b/c。"),
    ("See https://a.b/c.", "ja", "https://a.b/cを見て。"),
    ("See https://a.b/c.", "ko", "https://a.b/c를 보세요."),
    ("See https://a.b/c.", "ar", "انظر https://a.b/c، من فضلك."),
    ("See https://a.b/c, please.", "es", "Vea https://a.b/c."),
    ("Is it at https://a.b/c?", "zh", "它在https://a.b/c吗？"),
    ("Is it at https://a.b/c?d=1&e=2?", "zh", "它在https://a.b/c?d=1&e=2吗？"),
    ("The sign (https://a.b/c/) is red.", "zh", "牌子（https://a.b/c/）是红的。"),
    ("It says 'https://a.b/c'.", "fr", "Il est écrit « https://a.b/c »."),
    ("Compare https://a.b/1,https://a.b/2.", "zh", "比较https://a.b/1、https://a.b/2。"),
    ("Look at https://a.b/x_y-z.png now.", "ja", "https://a.b/x_y-z.pngを今見て。"),
    ("Read https://a.b/wiki/日本.", "zh", "请读https://a.b/wiki/日本。"),
    ("Read https://a.b/wiki/日本_2020年 (or not).", "ja", "https://a.b/wiki/日本_2020年 を読んで。"),
    ("Read https://a.b/Größe.", "ko", "https://a.b/Größe를 읽으세요."),
    ("Read 'https://a.b/O'Neil'.", "ja", "'https://a.b/O'Neil'を読んで。"),
    ("Read https://a.b/日本_(国)/c.", "zh", "请读(https://a.b/日本_(国)/c)。"),
    ("Read file_größe_x.", "zh", "请读file_größe_x吧。"),
    # Tags, marks and slots.
    ("What is in <image 1> and <image 2>?", "zh", "<image 1>和<image 2>里有什么？"),
    ("Is [[1]] like [[2]]?", "ja", "[[1]]は[[2]]に似ていますか。"),
    ("Is [[1]] like [[2]]?", "ar", "هل [[1]] مثل [[2]]؟"),
    ("What is in <image 1> and <image 2>?", "ko", "<image 1>과 <image 2>에 무엇이 있나요?"),
    ("Where is {object}?", "zh", "{object}在哪里？"),
    ("A <b>red</b> bus.", "fr", "Un bus <b>rouge</b>."),
    # Numbers beside each other, and lists of them.
    ("In 2024 500 people came.", "fr", "En 2024, 500 personnes sont venues."),
    ("In 2024 500 people came.", "zh", "2024年来了500人。"),
    ("In 200 500 people came.", "de", "Im Jahr 200 kamen, so heißt es, 500 Leute."),
    ("Image 2 500 people show it.", "zh", "图2有500人展示。"),
    ("Images 1,2 and 3 are red.", "zh", "图1、2和3是红的。"),
    ("Images 1,2 and 3 are red.", "ja", "画像1、2、3は赤いです。"),
    ("Images 1,2,3 are red.", "fr", "Les images 1, 2 et 3 sont rouges."),
    ("Images 1, 2 and 3 are red.", "zh", "图1,2和3是红的。"),
    ("Images 1, 2 and 3 are red.", "ar", "الصور ١،٢ و٣ حمراء."),
    ("Rows 100,200 and 300.", "zh", "第100、200和300行。"),
    ("Images 1,2 and 3 are red.", "zh", "图1,2,3是红的。"),
    ("Images 1,2, and 3 are red.", "zh", "图1、2和3是红的。"),
    ("The box is (100,200).", "de", "Die Box ist (100, 200)."),
    ("The box is (100, 200, 300).", "de", "Die Box ist (100,200,300)."),
    ("It is 1024,768 wide.", "de", "Es ist 1024 mal 768 breit."),
    # Thousands and decimals.
    ("It costs 1,234.56 euros.", "de", "Es kostet 1.234,56 Euro."),
    ("It costs 1,234.56 euros.", "fr", "Cela coûte 1\u202f234,56 euros."),
    ("It costs 12,345,678 euros.", "es", "Cuesta 12 345 678 euros."),
    ("It costs 1,00,000 rupees.", "de", "Es kostet 100.000 Rupien."),
    ("It costs 10,000 yen.", "ja", "値段は10000円です。"),
    ("It costs 2000 won.", "ko", "가격은 2,000원입니다."),
    ("It is 0,5 metres.", "en", "The length is 0.5 metres."),
    ("It is 3.14159 metres.", "de", "Es sind 3,14159 Meter."),
    ("It is 1234.5 metres.", "fr", "C'est long de 1 234,5 mètres."),
    # Dates, times, versions.
    ("It was on 5/3/2024.", "de", "Es war am 5.3.2024."),
    ("It was on 2024-05-03.", "zh", "那是2024年05月03日。"),
    ("It was on 5.3.2024, at 12:30.", "fr", "C'était le 5/3/2024, à 12h30."),
    ("Version 1.2.3 is on 192.168.0.17.", "ja", "バージョン1.2.3は192.168.0.17にあります。"),
    ("The 1st of 3 cars, 25% of 12.", "de", "Das 1. von 3 Autos, 25 % von 12."),
    ("From 5.3.2024 on, 2 days.", "ja", "5.3.2024から2日間。"),
    ("Between 1990-1995 it grew by 7.", "zh", "1990至1995年间它长了7。"),
]

LOST = [
    ("What is LA_00_IMG_7?", "zh", "LA_00_IMG_8是什么？", "mark lost"),
    ("What is LA_00_IMG_7?", "ja", "LA-00-IMG-7は何ですか。", "mark lost"),
    ("See https://a.b/c.", "ja", "https://a.b/dを見て。", "mark lost"),
    ("See https://a.b/c and https://a.b/d.", "zh", "见https://a.b/c。", "mark lost"),
    ("Read https://a.b/wiki/Größe now.", "de", "Lies jetzt https://a.b/wiki/Größen.", "mark lost"),
    ("Read https://a.b/wiki/日本 now.", "de", "Lies jetzt https://a.b/wiki/中国.", "mark lost"),
    ("Read https://日本.b/c now.", "de", "Lies jetzt https://中国.b/c.", "mark lost"),
    ("Read https://a.b/日本の2020年/c now.", "de", "Lies jetzt https://a.b/日本の2020月/c.", "mark lost"),
    ("Read https://a.b/हिन्दी now.", "de", "Lies jetzt https://a.b/हिन्दू.", "mark lost"),
    ("Read https://a.b/O'Neil now.", "de", "Lies jetzt https://a.b/O'Neal.", "mark lost"),
    ("Read file_größe now.", "de", "Lies jetzt file_größen.", "mark lost"),
    ("Read été_2 now.", "de", "Lies jetzt ete_2.", "mark lost"),
    ("What is in <image 1>?", "zh", "<image 2>里有什么？", "mark lost"),
    ("Where is {object}?", "zh", "物体在哪里？", "mark lost"),
    ("In 2024 500 people came.", "zh", "2024年来了人。", "number lost"),
    ("Images 1,2 and 3 are red.", "zh", "图1和3是红的。", "number lost"),
    ("Images 1,2 and 3 are red.", "zh", "图12和3是红的。", "number lost"),
    ("It costs 1,234.56 euros.", "de", "Es kostet 1.234,65 Euro.", "number lost"),
    ("It costs 1,000 euros.", "de", "Es kostet 1 Euro.", "number lost"),
    ("It is 3.5 metres.", "de", "Es sind 3 oder 5 Meter.", "number lost"),
    ("It is 3.5 metres.", "de", "Es sind 35 Meter.", "number lost"),
    ("It is 0.5 metres.", "fr", "C'est 5 mètres.", "number lost"),
    ("Version 1.2.3.", "fr", "La version 1.2.", "number lost"),
    ("It was in 2024.", "ja", "それは2023年でした。", "number lost"),
    # The same digits, but other numbers.
    ("Il pèse 3,7 kg.", "de", "Es wiegt 7,3 kg.", "number lost"),
    ("Il pèse 3,7 kg.", "de", "Es wiegt 3 und 7 kg.", "number lost"),
    ("Il pèse 3,7 kg et 10 g.", "de", "Es wiegt 3 und 7 kg und 10 g.", "number lost"),
    ("Il pèse 13,57 ou 20 kg.", "de", "Es wiegt 57,13 oder 20 kg.", "number lost"),
    ("Cela coûte 13,57 €.", "de", "Das kostet 57,13 €.", "number lost"),
    ("Cela coûte 13,57 €.", "de", "Das kostet 13 und 57 €.", "number lost"),
    ("They cost 13 and 57 euros.", "de", "Sie kosten 13,57 Euro.", "number lost"),
    ("C'est 3,14159.", "de", "Es ist 3 und 14159.", "number lost"),
    ("C'est 1 234,5 m.", "de", "Es sind 1 und 234 und 5 m.", "number lost"),
    ("There are 4,321 cats.", "de", "Es gibt 321 Katzen, am 4. gezählt.", "number lost"),
    ("At (300,150) it is red.", "de", "Bei (150,300) ist es rot.", "number lost"),
    ("At (300,150) it is red.", "de", "Bei (150, 300) ist es rot.", "number lost"),
    ("At (10,20,30) it is red.", "de", "Bei (30,20,10) ist es rot.", "number lost"),
    ("At (1,2,1,3,1) it is red.", "de", "Bei (1,3,1,2,1) ist es rot.", "number lost"),
    ("It was on 7.4.2023.", "de", "Es war am 4.7.2023.", "number lost"),
    ("It was on 7/4/2023.", "de", "Es war am 4.7.2023.", "number lost"),
    ("It was on 7.4.2023.", "zh", "那是2023年4月7日。", "number lost"),
    ("It was on 7.4.2023.", "de", "Es war am 7. April 2023.", "number lost"),
    ("It is version 1.2.3.", "de", "Es ist Version 3.2.1.", "number lost"),
]


@pytest.mark.parametrize(("before", "language", "after"), KEPT)
def test_a_true_translation_keeps_its_ids_addresses_tags_and_numbers(before: str, language: str, after: str) -> None:
    assert what_was_lost(before, after, language=language) is None


@pytest.mark.parametrize(("before", "language", "after", "reason"), LOST)
def test_what_is_missing_or_another_one_is_named(before: str, language: str, after: str, reason: str) -> None:
    lost = what_was_lost(before, after, language=language)
    assert lost is not None
    assert lost[0] == reason


@pytest.mark.parametrize(
    "piece",
    [
        "a",
        "1",
        "1,",
        ",",
        "/",
        "1,2 ",
        "1,2,3 ",
        "100,200 ",
        "(",
        "https://",
        "https://(",
        "/日",
        "日(",
        "a_",
        "_-",
        "é",
    ],
)
@pytest.mark.parametrize("start", ["", "https://a.b/日"])
def test_a_long_text_is_read_in_a_time_that_grows_with_it(start: str, piece: str) -> None:
    text = start + piece * (100_000 // len(piece))
    begun = time.process_time()
    what_was_lost(f"{text} x", f"{text} y", language="de")
    assert time.process_time() - begun < 5


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("2024 500", ["2024", "500"]),
        ("1,2,3", ["1", "2", "3"]),
        ("1,000,000", ["1000000"]),
        ("1.234,56", ["1234.56"]),
        ("1 234,5", ["1234.5"]),
        ("12 345 6789", ["12345", "6789"]),
        ("5.3.2024", ["5", "3", "2024"]),
        ("1,00,000", ["100000"]),
        ("٣٫٥", ["3.5"]),
        ("3,5.", ["3.5"]),
    ],
)
def test_a_mark_between_digits_is_of_thousands_before_three_of_them_and_of_decimals_once(
    text: str, numbers: list[str]
) -> None:
    assert numbers_in(text) == numbers
