//! A text that comes in pieces and is told once more when it is whole.

/// Bytes of a block, but for one whose only piece is larger.
const BLOCK: usize = 1024;

/// A text in blocks of one size. A string that doubles leaves room behind, of every size that it had
/// and of what it does not fill, and a gateway holds thousands of them half-way.
#[derive(Debug, Default)]
pub(super) struct GrowingText {
    blocks: Vec<String>,
}

impl GrowingText {
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// Nothing has come, or only whitespace.
    pub fn is_blank(&self) -> bool {
        self.blocks.iter().all(|block| block.trim().is_empty())
    }

    pub fn push_str(&mut self, piece: &str) {
        let room = |block: &String| block.capacity() - block.len();
        let fits = piece.floor_char_boundary(self.blocks.last().map_or(0, room));
        let (now, rest) = piece.split_at(fits);
        if let Some(block) = self.blocks.last_mut() {
            block.push_str(now);
        }
        if !rest.is_empty() {
            let mut block = String::with_capacity(BLOCK.max(rest.len()));
            block.push_str(rest);
            self.blocks.push(block);
        }
    }

    /// Unicode characters, by which annotations count.
    pub fn characters(&self) -> u64 {
        let blocks = self.blocks.iter();
        blocks.map(|block| block.chars().count() as u64).sum()
    }

    pub fn whole(&self) -> String {
        self.blocks.concat()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{BLOCK, GrowingText};

    proptest! {
        #[test]
        fn a_text_is_its_pieces_one_after_the_other(
            pieces in prop::collection::vec(prop_oneof!["\\PC{0,40}", "[aé€😀]{300,1500}"], 0..30),
        ) {
            let mut text = GrowingText::default();
            for piece in &pieces {
                text.push_str(piece);
            }
            let whole = pieces.concat();
            prop_assert_eq!(text.is_empty(), whole.is_empty());
            prop_assert_eq!(text.characters(), whole.chars().count() as u64);
            prop_assert_eq!(text.whole(), whole);
        }
    }

    #[test]
    fn a_text_takes_little_more_room_than_it_has_bytes() {
        let mut text = GrowingText::default();
        for _ in 0..640 {
            text.push_str("twenty-five bytes of text");
        }
        let room: usize = text.blocks.iter().map(String::capacity).sum();
        assert!(room <= 640 * 25 + BLOCK, "{room}");
    }
}
