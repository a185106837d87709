//! A body as the frames it came in.

use std::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};

/// Bytes in pieces, read as one buffer without being joined.
///
/// Holds some 32 bytes for each piece beside the piece itself; empty pieces are dropped.
///
/// ```
/// use bytes::{Buf, Bytes};
/// use salver_protocol::rope::Rope;
///
/// let mut rope = Rope::default();
/// rope.push(Bytes::from_static(b"split in "));
/// rope.push(Bytes::from_static(b"two"));
/// rope.advance(6);
/// assert_eq!(rope.into_bytes(), "in two");
/// ```
#[derive(Clone, Debug, Default)]
pub struct Rope {
    pieces: VecDeque<Bytes>,
    len: usize,
}

impl Rope {
    /// Appends a piece.
    pub fn push(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.len += piece.len();
            self.pieces.push_back(piece);
        }
    }

    /// Returns everything in one piece; copies unless it is in one already.
    #[must_use]
    pub fn into_bytes(mut self) -> Bytes {
        self.copy_to_bytes(self.len)
    }
}

impl From<Bytes> for Rope {
    fn from(bytes: Bytes) -> Self {
        Self::from_iter([bytes])
    }
}

impl FromIterator<Bytes> for Rope {
    fn from_iter<I: IntoIterator<Item = Bytes>>(pieces: I) -> Self {
        let mut rope = Self::default();
        pieces.into_iter().for_each(|piece| rope.push(piece));
        rope
    }
}

impl Buf for Rope {
    fn remaining(&self) -> usize {
        self.len
    }

    fn chunk(&self) -> &[u8] {
        self.pieces.front().map_or(&[], |piece| piece)
    }

    fn advance(&mut self, mut count: usize) {
        assert!(
            count <= self.len,
            "cannot advance by {count} of {} bytes",
            self.len
        );
        self.len -= count;
        while count > 0 {
            let Some(front) = self.pieces.front_mut() else {
                return;
            };
            if count < front.len() {
                front.advance(count);
                return;
            }
            count -= front.len();
            self.pieces.pop_front();
        }
    }

    /// Shares the memory of a piece that holds all `len` bytes, else joins.
    fn copy_to_bytes(&mut self, len: usize) -> Bytes {
        assert!(len <= self.len, "cannot take {len} of {} bytes", self.len);
        match self.pieces.front_mut() {
            Some(front) if len < front.len() => {
                self.len -= len;
                front.split_to(len)
            }
            Some(front) if len == front.len() => {
                self.len -= len;
                self.pieces.pop_front().unwrap_or_default()
            }
            _ => {
                let mut joined = BytesMut::with_capacity(len);
                let mut missing = len;
                while missing > 0 {
                    let chunk = self.chunk();
                    let count = chunk.len().min(missing);
                    joined.extend_from_slice(&chunk[..count]);
                    self.advance(count);
                    missing -= count;
                }
                joined.freeze()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn reads_like_one_buffer(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..9), 0..9),
            steps in prop::collection::vec((any::<bool>(), 0_usize..12), 0..20),
        ) {
            let mut whole = Bytes::from(pieces.concat());
            let mut rope: Rope = pieces.into_iter().map(Bytes::from).collect();
            for (is_copy, step) in steps {
                let step = step.min(whole.len());
                if is_copy {
                    prop_assert_eq!(rope.copy_to_bytes(step), whole.copy_to_bytes(step));
                } else {
                    rope.advance(step);
                    whole.advance(step);
                }
                prop_assert_eq!(rope.remaining(), whole.len());
                prop_assert_eq!(rope.chunk().is_empty(), whole.is_empty());
            }
            prop_assert_eq!(rope.into_bytes(), whole);
        }
    }

    #[test]
    fn what_lies_in_one_piece_is_shared() {
        let piece = Bytes::from(vec![7; 100]);
        let mut rope = Rope::from(piece.clone());
        assert_eq!(rope.copy_to_bytes(40).as_ptr(), piece.as_ptr());
        assert_eq!(rope.into_bytes().as_ptr(), piece[40..].as_ptr());
    }
}
