"""Personal data between words of the eight languages, with blanks around it and without; and numbers that are none."""

from __future__ import annotations

import pytest

from triptych.generate.kit.personal import mask_personal

MASKED = [
    # Mail addresses.
    ("My mail is anna@b.com, please.", "My mail is [mail address], please."),
    ("我的邮箱是anna@b.com很好", "我的邮箱是[mail address]很好"),
    ("请写信给anna.lee+x@mail.example.org。", "请写信给[mail address]。"),
    ("anna@b.com和bob@c.org都在图2里", "[mail address]和[mail address]都在图2里"),
    ("連絡先はanna@b.comです。", "連絡先は[mail address]です。"),
    ("メール：anna_b@c.co.jpまで", "メール：[mail address]まで"),
    ("이메일은 anna@b.com입니다", "이메일은 [mail address]입니다"),
    ("anna-b@c.kr로 보내세요", "[mail address]로 보내세요"),
    ("بريدي anna@b.com فقط", "بريدي [mail address] فقط"),
    ("اكتب إلىanna@b.comالآن", "اكتب إلى[mail address]الآن"),
    ("Escribe a ana.muñoz@correo.es hoy", "Escribe a [mail address] hoy"),
    ("Écrivez à zoé@exemple.fr.", "Écrivez à [mail address]."),
    ("Schreib an jörg@müller.de!", "Schreib an [mail address]!"),
    ("Пиши на иван@почта.рф завтра", "Пиши на [mail address] завтра"),
    # Phone numbers.
    ("Call +44 20 7946 0958 now.", "Call [phone number] now."),
    ("请拨打+8613812345678联系我", "请拨打[phone number]联系我"),
    ("电话+86 138 1234 5678吧", "电话[phone number]吧"),
    ("电话：010-6552-9988。", "电话：[phone number]。"),
    ("请打010-6552-9988找她", "请打[phone number]找她"),
    ("电话（010）6552-9988在墙上", "电话[phone number]在墙上"),
    ("電話は03-1234-5678です", "電話は[phone number]です"),
    ("番号は+81-90-1234-5678でした", "番号は[phone number]でした"),
    ("전화 +82 10 1234 5678로", "전화 [phone number]로"),
    ("010-1234-5678로 전화하세요", "[phone number]로 전화하세요"),
    ("اتصل بـ +٢٠١٢٣٤٥٦٧٨٩٠", "اتصل بـ [phone number]"),
    ("رقمي+201234567890فقط", "رقمي[phone number]فقط"),
    ("Llama al +34 612 345 678.", "Llama al [phone number]."),
    ("Appelez le 01 42 68 53 00 !", "Appelez le [phone number] !"),
    ("Ruf an: 030 9018 2099.", "Ruf an: [phone number]."),
    # Card, account and national numbers.
    ("The card 4111 1111 1111 1111 lies there.", "The card [card number] lies there."),
    ("卡号4111111111111111有效", "卡号[card number]有效"),
    ("カード番号は5500-0000-0000-0004です", "カード番号は[card number]です"),
    ("카드 4111 1111 1111 1111을 보세요", "카드 [card number]을 보세요"),
    ("بطاقة٤١١١١١١١١١١١١١١١هنا", "بطاقة[card number]هنا"),
    ("IBANはDE89370400440532013000です", "IBANは[account number]です"),
    ("账户GB82 WEST 1234 5698 7654 32的主人", "账户[account number]的主人"),
    ("계좌는 DE89 3704 0044 0532 0130 00입니다", "계좌는 [account number]입니다"),
    ("Le compte FR14 2004 1010 0505 0001 3M02 606 est là.", "Le compte [account number] est là."),
    ("社会安全号码219-09-9999在卡上", "社会安全号码[national number]在卡上"),
    ("Her number is 219-09-9999.", "Her number is [national number]."),
    # Internet and home addresses.
    ("The camera at 192.168.17.4 saw it.", "The camera at [internet address] saw it."),
    ("IPは192.168.0.17です", "IPは[internet address]です"),
    ("摄像头192.168.0.17和192.168.0.18都坏了", "摄像头[internet address]和[internet address]都坏了"),
    ("서버 192.168.0.17에서", "서버 [internet address]에서"),
    ("الخادم 192.168.0.17 معطل", "الخادم [internet address] معطل"),
    ("他住在221 Baker Street附近", "他住在[home address]附近"),
    ("家はGoethestraße 7です", "家は[home address]です"),
]

NOTHING = [
    *("图2和图3里有12只狗", "2024年5月10日拍的", "2019-2020-2021年的照片", "价格是1,234.50元", "屏幕1920x1080像素"),
    *("版本1.2.3.4已发布", "第1.2.3.4节讲的是什么", "共1234567890个像素", "尺寸100-200-3000毫米", "比分是3-2-1"),
    *("文件icon@2x.png在哪里", "卡号4111111111111112无效", "编号A123-4567-8901的零件", "图2 Main Street是什么"),
    *("2024.05.10に撮影", "バージョン1.2.3.4です", "画像1と画像2", "価格は12,345,678円です", "番組は12:30からです"),
    *("2024-05-10에 찍은 사진", "버전 1.2.3.4입니다", "이미지 1과 이미지 2", "가격은 1.234.567원입니다"),
    *("الصورة ١ والصورة ٢", "في عام 2024 كان هنا 500 شخص", "السعر 1,234.56 ريال", "الإصدار 1.2.3.4 جديد"),
    *("Las imágenes 1, 2 y 3 son de 2019.", "Cuesta 1.234.567,89 euros.", "Mide 120 x 80 x 75 cm."),
    *("L'image 2 date du 31.12.2020.", "Version 1.2.3.4 du logiciel", "Il y a 1 234 567 habitants."),
    *("Das Bild 2 zeigt 1.000.000 Sterne.", "Am 05.10.2024 um 12:30 Uhr", "Die Version 1.2.3.4 ist neu."),
    *("Section 1.2.3.4 of the manual", "image 12 Wall Street", "a ratio of 16:9", "999.1.2.3", "v1.2.3.4"),
    *("They won 3-2 in 2019-20.", "DE89 3704 0044 0532 0130 02", "ISBN 978-3-16-148410-0"),
]


@pytest.mark.parametrize(("text", "masked"), MASKED)
def test_personal_data_are_masked_and_the_words_beside_them_stay(text: str, masked: str) -> None:
    assert mask_personal(text) == masked


@pytest.mark.parametrize("text", NOTHING)
def test_years_prices_sizes_versions_and_image_numbers_are_no_personal_data(text: str) -> None:
    assert mask_personal(text) == text
