//! How an input becomes another one: bytes that change, parts that move, come twice or go, and parts of other inputs.

use rand::{RngExt, rngs::StdRng};

/// No input is longer: a little more than the longest that any reader takes.
const MAX_BYTES: usize = 70 << 10;
/// Bytes that readers treat in a way of their own.
const TELLING: [u8; 24] = *b"\0\t\n\r\"#%&'+,-./:;<=>[\\\x7F\x80\xFF";
/// Texts that readers get wrong: confusables, overlong forms, marks, numbers at the edge.
const TROUBLE: [&[u8]; 30] = [
    b"\xC0\x80",
    b"\xED\xA0\x80",
    b"\xEF\xBB\xBF",
    b"\xF4\x90\x80\x80",
    "\u{202E}".as_bytes(),
    "\u{200B}".as_bytes(),
    "\u{301}".as_bytes(),
    "\u{FFFE}".as_bytes(),
    "А".as_bytes(),
    "０".as_bytes(),
    "٣".as_bytes(),
    "é".as_bytes(),
    b"9223372036854775807",
    b"9223372036854775808",
    b"-9223372036854775808",
    b"9999999999999",
    b"10000000000000",
    b"1e3",
    b"0x10",
    b"NaN",
    b"-0",
    b"00",
    b"\r\n",
    b"\x1b[31m",
    b"'; DROP TABLE payments; --",
    b"../",
    b"<!---->",
    b"<![CDATA[]]>",
    b"&#0;",
    b"&amp;",
];

/// What an input is made of, as far as changes should know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Text: a change keeps to words and elements where it can.
    Text,
    /// A byte that chooses, and a protobuf message: a change keeps the lengths right where it can.
    Message,
}

/// Makes inputs out of others.
#[derive(Debug)]
pub struct Mutator {
    /// What inputs are made of.
    pub form: Form,
    /// Words of the input's language.
    pub words: Vec<Vec<u8>>,
}

impl Mutator {
    /// A changed `input`, perhaps with parts of `other`.
    pub fn mutated(&self, random: &mut StdRng, input: &[u8], other: &[u8]) -> Vec<u8> {
        let mut bytes = input.to_vec();
        loop {
            match random.random_range(0..10) {
                0..4 => self.form_change(random, &mut bytes, other),
                4..7 => self.byte_change(random, &mut bytes),
                _ => part_change(random, &mut bytes, other),
            }
            bytes.truncate(MAX_BYTES);
            if random.random_ratio(2, 5) {
                return bytes;
            }
        }
    }

    fn form_change(&self, random: &mut StdRng, bytes: &mut Vec<u8>, other: &[u8]) {
        match self.form {
            Form::Text => element_change(random, bytes),
            Form::Message => {
                if let (Some((choice, message)), Some((_, other))) =
                    (bytes.split_first(), other.split_first())
                {
                    let changed = message_change(random, message, other, self, 0);
                    *bytes = [&[*choice], changed.as_slice()].concat();
                }
            }
        }
    }

    fn byte_change(&self, random: &mut StdRng, bytes: &mut Vec<u8>) {
        let at = random.random_range(0..=bytes.len());
        match random.random_range(0..6) {
            0 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << random.random_range(0..8);
                }
            }
            1 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = TELLING[random.random_range(0..TELLING.len())];
                }
            }
            2 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = random.random();
                }
            }
            3 => {
                let digit = bytes.iter().skip(at).position(u8::is_ascii_digit).map(|behind| at + behind);
                if let Some(byte) = digit.and_then(|digit| bytes.get_mut(digit)) {
                    *byte = random.random_range(b'0'..=b'9');
                }
            }
            4 => insert(bytes, at, TROUBLE[random.random_range(0..TROUBLE.len())]),
            _ => {
                if let Some(word) = pick(random, &self.words) {
                    insert(bytes, at, word);
                }
            }
        }
    }
}

fn pick<'a, T>(random: &mut StdRng, among: &'a [T]) -> Option<&'a T> {
    (!among.is_empty()).then(|| &among[random.random_range(0..among.len())])
}

fn insert(bytes: &mut Vec<u8>, at: usize, what: &[u8]) {
    drop(bytes.splice(at..at, what.iter().copied()));
}

/// Somewhere in something of that length, seldom much of it.
fn stretch(random: &mut StdRng, length: usize) -> std::ops::Range<usize> {
    let from = random.random_range(0..=length);
    let most = if random.random_ratio(1, 8) { length - from } else { (length - from).min(24) };
    from..from + random.random_range(0..=most)
}

/// A part that goes, comes twice, many times, from elsewhere, or all behind it goes.
fn part_change(random: &mut StdRng, bytes: &mut Vec<u8>, other: &[u8]) {
    let part = stretch(random, bytes.len());
    let copy = bytes[part.clone()].to_vec();
    match random.random_range(0..8) {
        0 | 1 => drop(bytes.drain(part)),
        2 => insert(bytes, part.end, &copy),
        3 if random.random_ratio(1, 4) => {
            let times = random.random_range(2..2_000_usize).min(MAX_BYTES / copy.len().max(1));
            insert(bytes, part.end, &copy.repeat(times));
        }
        4 => bytes.truncate(part.start),
        5 => {
            let from = stretch(random, other.len());
            drop(bytes.splice(part, other[from].iter().copied()));
        }
        6 => {
            let at = random.random_range(0..=bytes.len());
            insert(bytes, at, &copy);
        }
        _ => {
            let at = random.random_range(0..=other.len());
            bytes.truncate(part.start);
            bytes.extend_from_slice(&other[at..]);
        }
    }
}

/// An element of mark-up, or a word between two signs, that goes, comes twice, or takes another's place.
fn element_change(random: &mut StdRng, bytes: &mut Vec<u8>) {
    let element = element(random, bytes).or_else(|| word(random, bytes));
    let Some(element) = element else { return };
    let copy = bytes[element.clone()].to_vec();
    match random.random_range(0..4) {
        0 => drop(bytes.drain(element)),
        1 => insert(bytes, element.end, &copy),
        2 => {
            let other = self::element(random, bytes).or_else(|| word(random, bytes));
            drop(bytes.splice(other.unwrap_or(element), copy));
        }
        _ => {
            let others = word(random, bytes).map(|other| bytes[other].to_vec());
            let own = word(random, &copy).map(|own| own.start + element.start..own.end + element.start);
            if let (Some(own), Some(other)) = (own, others) {
                drop(bytes.splice(own, other));
            }
        }
    }
}

/// From a `<name` to the end of its `</name>`.
fn element(random: &mut StdRng, bytes: &[u8]) -> Option<std::ops::Range<usize>> {
    let from = random.random_range(0..=bytes.len());
    let start = from + bytes[from..].iter().position(|byte| *byte == b'<')?;
    let name: Vec<u8> = bytes[start + 1..].iter().copied().take_while(u8::is_ascii_alphanumeric).collect();
    let end = [b"</".as_slice(), &name, b">"].concat();
    let behind = bytes[start..].windows(end.len()).position(|window| window == end)?;
    Some(start..start + behind + end.len())
}

/// Letters, digits and the like between two other signs.
fn word(random: &mut StdRng, bytes: &[u8]) -> Option<std::ops::Range<usize>> {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || !byte.is_ascii() || b"_-".contains(byte);
    let from = random.random_range(0..=bytes.len());
    let start = from + bytes[from..].iter().position(is_part)?;
    let length = bytes[start..].iter().position(|byte| !is_part(byte)).unwrap_or(bytes.len() - start);
    Some(start..start + length)
}

/// Fields of a message that go, come twice, in another order, from elsewhere, or with another content.
fn message_change(
    random: &mut StdRng,
    message: &[u8],
    other: &[u8],
    mutator: &Mutator,
    depth: u32,
) -> Vec<u8> {
    let mut fields = fields(message);
    let others = self::fields(other);
    let at = random.random_range(0..=fields.len());
    match random.random_range(0..8) {
        0 if at < fields.len() => drop(fields.remove(at)),
        1 if at < fields.len() => fields.insert(at, fields[at]),
        2 if at < fields.len() => {
            let field = fields.remove(at);
            fields.insert(random.random_range(0..=fields.len()), field);
        }
        3 => {
            if let Some(field) = pick(random, &others) {
                fields.insert(at, *field);
            }
        }
        _ => {
            let at = at.min(fields.len().saturating_sub(1));
            let changed = fields.get(at).map(|field| content_change(random, field, other, mutator, depth));
            let changed = changed.unwrap_or_default();
            let whole: Vec<u8> = fields.iter().enumerate().fold(Vec::new(), |mut whole, (number, field)| {
                whole.extend_from_slice(if number == at { &changed } else { field });
                whole
            });
            return whole;
        }
    }
    fields.concat()
}

/// The field with another content: a number of its own, or bytes of the right length, which may be a message as well.
fn content_change(random: &mut StdRng, field: &[u8], other: &[u8], mutator: &Mutator, depth: u32) -> Vec<u8> {
    let tag_length = field.iter().take_while(|byte| **byte >= 0x80).count() + 1;
    let (tag, content) = field.split_at(tag_length.min(field.len()));
    let mut bytes = tag.to_vec();
    match tag.first().map(|first| first & 7) {
        Some(0) => {
            let edges = [
                0,
                1,
                2,
                7,
                u64::MAX,
                1 << 31,
                1 << 63,
                (1 << 63) - 1,
                9_999_999_999_999,
                10_000_000_000_000,
            ];
            let number = if random.random_ratio(1, 4) {
                random.random()
            } else {
                edges[random.random_range(0..edges.len())]
            };
            prost::encoding::encode_varint(number, &mut bytes);
        }
        Some(2) => {
            let head = content.iter().take_while(|byte| **byte >= 0x80).count() + 1;
            let mut inside = content.get(head..).unwrap_or_default().to_vec();
            if depth < 4 && random.random_ratio(3, 4) && !fields(&inside).is_empty() {
                inside = message_change(random, &inside, other, mutator, depth + 1);
            } else if random.random() {
                mutator.byte_change(random, &mut inside);
            } else {
                part_change(random, &mut inside, other);
            }
            prost::encoding::encode_varint(u64::try_from(inside.len()).unwrap_or_default(), &mut bytes);
            bytes.extend_from_slice(&inside);
        }
        _ => bytes.extend_from_slice(content),
    }
    bytes
}

/// The fields of what may be a message, each with its tag; none if it is not one.
fn fields(message: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    let mut rest = message;
    while !rest.is_empty() {
        let mut behind = rest;
        let Ok(tag) = prost::encoding::decode_varint(&mut behind) else { return Vec::new() };
        let length = match tag & 7 {
            0 => prost::encoding::decode_varint(&mut behind).ok().map(|_| 0),
            1 => Some(8),
            2 => prost::encoding::decode_varint(&mut behind)
                .ok()
                .and_then(|length| usize::try_from(length).ok()),
            5 => Some(4),
            _ => None,
        };
        let Some(behind) = length.and_then(|length| behind.get(length..)) else { return Vec::new() };
        let (field, next) = rest.split_at(rest.len() - behind.len());
        found.push(field);
        rest = next;
    }
    found
}
