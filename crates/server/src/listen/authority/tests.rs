use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// A field as a client may write it: its first bytes, its name unless it is known by number, its value.
#[derive(Clone, Debug)]
struct Field {
    first: Vec<u8>,
    name: Option<String>,
    value: String,
}

impl Field {
    fn is_authority(&self) -> bool {
        match &self.name {
            Some(name) => name == ":authority",
            None => matches!(self.first[..], [0x01 | 0x11 | 0x41]),
        }
    }

    fn encode(&self, block: &mut Vec<u8>, change: impl Fn(&str) -> String) {
        block.extend(&self.first);
        let value = match self.is_authority() {
            true => change(&self.value),
            false => self.value.clone(),
        };
        for text in self.name.iter().chain([&value]) {
            match text.len() {
                0..127 => block.push(text.len() as u8),
                len => block.extend([
                    127,
                    ((len - 127) & 0x7f) as u8 | 0x80,
                    ((len - 127) >> 7) as u8,
                ]),
            }
            block.extend(text.bytes());
        }
    }
}

fn fields() -> impl Strategy<Value = Vec<Field>> {
    let name = prop_oneof![
        Just(":authority".to_owned()),
        Just(":authority-x".to_owned()),
        "[a-z%]{0,12}"
    ];
    let named = (prop_oneof![Just(0x00), Just(0x10), Just(0x40)], name)
        .prop_map(|(first, name)| (vec![first], Some(name)));
    let first = prop_oneof![
        Just(vec![0x41]),
        Just(vec![0x01]),
        Just(vec![0x11]),
        Just(vec![0x44]),
        // Numbers 63 and 15 and more have bytes of their own.
        Just(vec![0x7f, 0x00]),
        Just(vec![0x0f, 0x81, 0x00]),
    ];
    let numbered = first.prop_map(|first| (first, None));
    let value = prop_oneof!["[a-z%]{0,20}", "%{120,400}"];
    let field = (prop_oneof![named, numbered], value).prop_map(|((first, name), value)| Field {
        first,
        name,
        value,
    });
    vec(field, 0..6)
}

/// How a block is put into frames.
#[derive(Clone, Debug)]
struct Framing {
    padding: Option<u8>,
    has_priority: bool,
    /// Where the second frame begins.
    split: usize,
}

fn framing() -> impl Strategy<Value = Framing> {
    (any::<Option<u8>>(), any::<bool>(), 0..600_usize).prop_map(|(padding, has_priority, split)| {
        Framing {
            padding,
            has_priority,
            split,
        }
    })
}

fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags, 0, 0, 0, 1]);
    frame.extend(payload);
    frame
}

/// Returns a connection's bytes: other frames, the block in two, other frames.
fn connection(
    fields: &[Field],
    framing: &Framing,
    change: impl Fn(&str) -> String + Copy,
) -> Vec<u8> {
    // An indexed field and a change of the table's size go before and behind.
    let mut block = vec![0x82, 0x3f, 0xe1, 0x1f];
    fields
        .iter()
        .for_each(|field| field.encode(&mut block, change));
    block.extend([0xff, 0x03]);
    let (first, second) = block.split_at(framing.split.min(block.len()));
    let mut payload = Vec::new();
    let mut flags = 0;
    if let Some(padding) = framing.padding {
        payload.push(padding);
        flags |= PADDED;
    }
    if framing.has_priority {
        payload.extend(b"A%%%%");
        flags |= PRIORITY;
    }
    payload.extend(first);
    payload.extend(vec![b'%'; framing.padding.unwrap_or(0).into()]);
    let mut bytes = PREFACE.to_vec();
    bytes.extend(frame(4, 0, b""));
    bytes.extend(frame(HEADERS, flags, &payload));
    bytes.extend(frame(CONTINUATION, 4, second));
    bytes.extend(frame(0, 1, b"A\x05%%%%%"));
    bytes
}

fn scan(mut bytes: Vec<u8>, chunk: usize) -> Vec<u8> {
    let mut scanner = Scanner::default();
    bytes
        .chunks_mut(chunk.max(1))
        .for_each(|chunk| scanner.scan(chunk));
    bytes
}

proptest! {
    #[test]
    fn percent_signs_of_the_authority_and_no_others_become_hyphens(
        fields in fields(),
        framing in framing(),
        chunk in 1..700_usize,
    ) {
        let sent = connection(&fields, &framing, str::to_owned);
        let expected = connection(&fields, &framing, |value| value.replace('%', "-"));
        prop_assert_eq!(scan(sent, chunk), expected);
    }

    #[test]
    fn any_bytes_come_through_whole(bytes in vec(any::<u8>(), 0..300), chunk in 1..300_usize) {
        let mut sent = PREFACE.to_vec();
        sent.extend(&bytes);
        let (whole, pieces) = (scan(sent.clone(), usize::MAX), scan(sent.clone(), chunk));
        prop_assert_eq!(&whole, &pieces);
        let same = sent.iter().zip(&whole).all(|(before, after)| before == after || (*before, *after) == (b'%', b'-'));
        prop_assert!(same);
    }
}

#[test]
fn http_1_is_left_alone() {
    let request = b"PRI /%2F HTTP/1.1\r\nHost: tmp%2Fsocket\r\n\r\n".to_vec();
    assert_eq!(scan(request.clone(), 7), request);
}
