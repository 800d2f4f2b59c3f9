//! Values that are wrong in a field of their kind, each with a name.

use harness::names::iban;

/// A value that a field must refuse, and what is wrong with it.
pub type Bad = (&'static str, String);

fn named(values: &[(&'static str, &str)]) -> Vec<Bad> {
    values.iter().map(|(name, value)| (*name, (*value).to_owned())).collect()
}

/// No request id.
pub fn request_ids() -> Vec<Bad> {
    let mut bad = named(&[
        ("empty", ""),
        ("not ASCII", "é"),
        ("a space inside", "a b"),
        ("a space before", " a"),
        ("a space behind", "a "),
        ("a tab", "a\tb"),
        ("a line feed", "a\n"),
        ("a NUL", "a\0"),
        ("a DEL", "a\u{7f}"),
        ("a zero-width space", "a\u{200B}"),
        ("full width", "ＡＢＣ"),
        ("a Cyrillic letter", "rеquest"),
        ("a right-to-left override", "a\u{202E}b"),
        ("an escape", "a\u{1b}[31m"),
        ("SQL with spaces", "'; DROP TABLE payments; --"),
    ]);
    bad.push(("256 characters", "x".repeat(256)));
    bad
}

/// No id with this prefix.
pub fn ids(prefix: &str) -> Vec<Bad> {
    let digits = "0123456789abcdef0123456789abcdef";
    vec![
        ("empty", String::new()),
        ("only the prefix", prefix.to_owned()),
        ("no prefix", digits.to_owned()),
        ("another prefix", format!("xyz_{digits}")),
        ("the nil UUID", format!("{prefix}{}", "0".repeat(32))),
        ("capitals", format!("{prefix}{digits}").to_uppercase()),
        ("capital digits", format!("{prefix}{}", digits.to_uppercase())),
        ("31 digits", format!("{prefix}{}", &digits[1..])),
        ("33 digits", format!("{prefix}{digits}0")),
        ("hyphens", format!("{prefix}01234567-89ab-cdef-0123-456789abcdef")),
        ("a space before", format!(" {prefix}{digits}")),
        ("a line feed behind", format!("{prefix}{digits}\n")),
        ("full-width digits", format!("{prefix}{}", "１".repeat(32))),
        ("SQL", format!("{prefix}' OR '1'='1")),
        ("Arabic digits", format!("{prefix}{}", "٣".repeat(32))),
        ("braces", format!("{prefix}{{{}}}", &digits[2..])),
        ("a sign", format!("{prefix}+{}", &digits[1..])),
        ("a NUL behind", format!("{prefix}{digits}\0")),
        ("twice the prefix", format!("{prefix}{prefix}{digits}")),
        ("the prefix in capitals", format!("{}{digits}", prefix.to_uppercase())),
        ("10 KiB", format!("{prefix}{}", "a".repeat(10_240))),
    ]
}

/// No text for people: the first ones are wrong even where the text may be absent.
pub fn texts() -> Vec<Bad> {
    let mut bad = named(&[
        ("only spaces", "   "),
        ("only a no-break space", "\u{A0}"),
        ("only an ideographic space", "\u{3000}"),
        ("a NUL", "a\0b"),
        ("CR LF", "a\r\nb"),
        ("a tab", "a\tb"),
        ("NEL", "a\u{85}b"),
        ("an escape", "a\u{1b}[31mb"),
        ("a DEL", "a\u{7f}"),
        ("right-to-left override", "a\u{202E}b"),
        ("right-to-left isolate", "a\u{2067}b"),
        ("right-to-left mark", "a\u{200F}b"),
        ("Arabic letter mark", "a\u{61C}b"),
        ("zero-width space", "a\u{200B}b"),
        ("zero-width joiner", "a\u{200D}b"),
        ("word joiner", "a\u{2060}b"),
        ("byte order mark", "\u{FEFF}ab"),
        ("soft hyphen", "a\u{AD}b"),
        ("line separator", "a\u{2028}b"),
        ("paragraph separator", "a\u{2029}b"),
        ("interlinear annotation", "a\u{FFF9}b"),
        ("tag letters", "a\u{E0041}b"),
        ("Hangul filler, which looks like nothing", "\u{3164}"),
        ("half-width Hangul filler", "\u{FFA0}"),
        ("Hangul choseong filler", "a\u{115F}b"),
        ("combining grapheme joiner", "a\u{34F}b"),
        ("invisible times", "a\u{2062}b"),
        ("Mongolian vowel separator", "a\u{180E}b"),
        ("non-character U+FFFE", "a\u{FFFE}"),
        ("non-character U+FFFF", "a\u{FFFF}"),
        ("non-character U+FDD0", "a\u{FDD0}"),
        ("non-character U+10FFFF", "a\u{10FFFF}"),
    ]);
    bad.push(("141 characters", "x".repeat(141)));
    bad.push(("141 characters of four bytes", "😀".repeat(141)));
    bad.push(("1,000 combining marks", format!("e{}", "\u{301}".repeat(1000))));
    bad
}

/// No end-to-end reference.
pub fn references() -> Vec<Bad> {
    let mut bad = named(&[
        ("a slash before", "/A"),
        ("a slash behind", "A/"),
        ("two slashes", "A//B"),
        ("a space before", " A"),
        ("a space behind", "A "),
        ("an umlaut", "Ä"),
        ("an underscore", "A_B"),
        ("a hash", "A#B"),
        ("an ampersand", "A&B"),
        ("a NUL", "A\0"),
        ("a line feed", "A\n"),
        ("an emoji", "😀"),
        ("full width", "Ａ"),
        ("a semicolon", "'; DROP TABLE payments"),
    ]);
    bad.push(("36 characters", "x".repeat(36)));
    bad
}

/// No currency.
pub fn currencies() -> Vec<Bad> {
    named(&[
        ("empty", ""),
        ("two letters", "US"),
        ("four letters", "USDD"),
        ("small letters", "usd"),
        ("a sign", "US$"),
        ("no currency", "XXX"),
        ("for tests", "XTS"),
        ("gold", "XAU"),
        ("unknown", "ZZZ"),
        ("an umlaut", "ÜSD"),
        ("a NUL", "USD\0"),
        ("a space", "EUR "),
        ("full width", "ＵＳＤ"),
        ("Cyrillic", "ЕUR"),
        ("a symbol", "€"),
    ])
}

/// No amount of minor units.
pub const AMOUNTS: [(&str, i64); 6] = [
    ("zero", 0),
    ("minus one", -1),
    ("the smallest number", i64::MIN),
    ("the largest number", i64::MAX),
    ("the limit and one", 10_000_000_000_000),
    ("the smallest number and one", i64::MIN + 1),
];

/// No IBAN. Those of a wrong length or structure have check digits that fit.
pub fn ibans() -> Vec<Bad> {
    let good = "DE89370400440532013000";
    let mut bad = named(&[
        ("empty", ""),
        ("only the country", "DE"),
        ("wrong check digits", "DE88370400440532013000"),
        ("two digits swapped", "DE89370400440532010300"),
        ("a Cyrillic letter", "DE8937040044053201300О"),
        ("a Greek letter in the country", "ΝL91ABNA0417164300"),
        ("full-width digits", "DE８９370400440532013000"),
        ("a tab", "DE89\t370400440532013000"),
        ("a line feed", "DE89370400440532013000\n"),
        ("a no-break space", "DE89\u{A0}370400440532013000"),
        ("hyphens", "DE89-3704-0044-0532-0130-00"),
        ("the word before it", "IBAN DE89370400440532013000"),
        ("a NUL", "DE89370400440532013000\0"),
        ("dotless i", "Dı89370400440532013000"),
    ]);
    // The country's length, less one and plus one, with letters where the country has them.
    for (name, country, bban) in [
        ("Germany", "DE", "370400440532013000"),
        ("United Kingdom", "GB", "NWBK60161331926819"),
        ("France", "FR", "20041010050500013M02606"),
        ("Netherlands", "NL", "ABNA0417164300"),
        ("Norway", "NO", "86011117947"),
        ("Malta", "MT", "MALT011000012345MTLCAST001S"),
        ("Spain", "ES", "21000418450200051332"),
        ("Italy", "IT", "X0542811101000000123456"),
        ("Belgium", "BE", "539007547034"),
        ("Switzerland", "CH", "00762011623852957"),
        ("Saudi Arabia", "SA", "80000000608010167519"),
        ("Brazil", "BR", "00360305000010009795493C1"),
    ] {
        bad.push((name, iban(country, &bban[..bban.len() - 1])));
        bad.push((name, iban(country, &format!("{bban}0"))));
    }
    bad.push(("letters where Germany has digits", iban("DE", "ABCD00440532013000")));
    bad.push(("digits where the Netherlands have letters", iban("NL", "12340417164300")));
    bad.push(("no such country", iban("XX", "370400440532013000")));
    bad.push(("a country without IBANs", iban("US", "370400440532013000")));
    // 97 more or less gives the same remainder: one account must not have two IBANs.
    bad.extend(["00", "01", "99"].map(|digits| ("check digits out of range", same_remainder(digits))));
    bad.push(("behind a good one", format!("{good}{good}")));
    bad.push(("10 KiB", "DE89".repeat(2_560)));
    bad
}

/// A German IBAN whose remainder is right and whose check digits are `digits`, which the standard never makes.
fn same_remainder(digits: &str) -> String {
    let bban = (0_u32..200).map(|number| format!("{:018}", 370_400_440_532_013_000_u64 + u64::from(number)));
    let wanted = match digits {
        "00" => "97",
        "01" => "98",
        _ => "02",
    };
    let found = bban.map(|bban| iban("DE", &bban)).find(|made| &made[2..4] == wanted).unwrap();
    format!("DE{digits}{}", &found[4..])
}

/// No BIC.
pub fn bics() -> Vec<Bad> {
    named(&[
        ("empty", ""),
        ("seven characters", "AURODEF"),
        ("nine characters", "AURODEF0X"),
        ("twelve characters", "AURODEF0XXXX"),
        ("small letters", "aurodef0xxx"),
        ("a digit in the country", "AURO1EF0XXX"),
        ("a space", "AURODEF0 XX"),
        ("Cyrillic", "АURODEF0XXX"),
    ])
}

/// No bank id.
pub fn bank_ids() -> Vec<Bad> {
    let mut bad = named(&[
        ("empty", ""),
        ("one letter", "a"),
        ("a capital", "Aurora"),
        ("an underscore", "au_rora"),
        ("a path", "../aurora"),
        ("a space", "aurora "),
        ("an umlaut", "aürora"),
    ]);
    bad.push(("33 characters", "a".repeat(33)));
    bad
}

/// No account number.
pub fn account_numbers() -> Vec<Bad> {
    let mut bad = named(&[
        ("empty", ""),
        ("a hyphen", "12-34"),
        ("a space", "12 34"),
        ("full width", "１２３"),
        ("a letter with an accent", "12é"),
        ("a NUL", "12\0"),
        ("markup", "<b>1</b>"),
    ]);
    bad.push(("35 characters", "1".repeat(35)));
    bad
}

/// No participant's name.
pub fn participants() -> Vec<Bad> {
    let mut bad = named(&[
        ("empty", ""),
        ("two letters", "ab"),
        ("a capital", "Shop"),
        ("a hyphen before", "-shop"),
        ("a hyphen behind", "shop-"),
        ("a space", "sh op"),
        ("an umlaut", "shöp"),
        ("Cyrillic", "ѕhop"),
        ("a slash", "shop/payments"),
        ("a NUL", "shop\0"),
        ("the owner of the settlement accounts", "rialto-house"),
    ]);
    bad.push(("41 characters", "x".repeat(41)));
    bad
}
