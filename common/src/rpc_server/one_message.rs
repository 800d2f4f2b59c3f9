//! A call that takes one message gets one: tonic reads the first and lets others go by, so that whoever looks at a call on its way could
//! be shown another payment than the one that is made.

/// The flag and the length in front of a message ("gRPC over HTTP/2").
const PREFIX_BYTES: usize = 5;

/// How much of the one message has come.
#[derive(Debug, Default)]
pub(super) struct OneMessage {
    prefix: [u8; PREFIX_BYTES],
    seen_bytes: usize,
}

impl OneMessage {
    /// Takes the next bytes of the body; whether they still belong to the message.
    pub(super) fn take(&mut self, bytes: &[u8]) -> bool {
        let missing = self.prefix.get_mut(self.seen_bytes..).unwrap_or_default();
        missing.iter_mut().zip(bytes).for_each(|(place, byte)| *place = *byte);
        self.seen_bytes = self.seen_bytes.saturating_add(bytes.len());
        let [_flag, length @ ..] = self.prefix;
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        self.seen_bytes <= PREFIX_BYTES.saturating_add(length)
    }
}

#[cfg(test)]
mod tests {
    use super::OneMessage;

    #[test]
    fn one_message_is_taken_however_it_is_cut_and_not_a_byte_more() {
        let message = [&[0, 0, 0, 1, 2][..], &[7; 258]].concat();
        for size in 1..=message.len() {
            let mut one = OneMessage::default();
            assert!(message.chunks(size).all(|piece| one.take(piece)), "{size}");
            assert!(one.take(&[]));
            assert!(!one.take(&[0]), "{size}");
        }
        assert!(!OneMessage::default().take(&[message.as_slice(), &[0]].concat()));
        assert!(!OneMessage::default().take(&[0; 6]), "an empty one, and more");
        assert!(OneMessage::default().take(&[0; 5]));
        assert!(OneMessage::default().take(&[0xff; 64]), "4 GiB are still to come");
    }
}
