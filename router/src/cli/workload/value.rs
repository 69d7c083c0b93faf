//! What is written: text that says which run wrote it, for which key, and the how-manieth write of that key it is.

use super::{chance::Chance, checker::Number};

/// The beginning of each value: three numbers of eight hexadecimal digits.
pub(crate) const HEAD: usize = 24;

/// Values of one run.
#[derive(Clone, Debug)]
pub(crate) struct Values {
    run: u32,
    length: usize,
    /// What follows the head begins at one of the first few letters, so that values differ in all of their length.
    letters: Vec<u8>,
}

const BEGINNINGS: usize = 64;

impl Values {
    /// Of this length, which is at least that of the head.
    pub(crate) fn new(run: u32, length: usize, chance: &mut Chance) -> Self {
        const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
        let letter = |_| LETTERS[chance.below(32) as usize];
        let letters = (0..length.max(HEAD) - HEAD + BEGINNINGS).map(letter).collect();
        Self { run, length: length.max(HEAD), letters }
    }

    pub(crate) fn write(&self, key: u64, number: Number) -> Vec<u8> {
        let mut value = Vec::with_capacity(self.length);
        for part in [self.run, key as u32, number as u32] {
            // By hand: this stands between the ring and its figures.
            let digits =
                (0..8).rev().map(|digit| b"0123456789abcdef"[(part >> (4 * digit)) as usize % 16]);
            value.extend(digits);
        }
        value.extend_from_slice(self.rest(key, number));
        value
    }

    /// Which write of the key this is; none if no write of this run can have left these bytes.
    pub(crate) fn read(&self, key: u64, value: &[u8]) -> Option<Number> {
        let (head, rest) = value.split_at_checked(HEAD)?;
        let part = |n: usize| {
            let digits = std::str::from_utf8(&head[8 * n..8 * n + 8]).ok()?;
            u32::from_str_radix(digits, 16).ok()
        };
        let number = Number::from(part(2)?);
        let is_ours = part(0)? == self.run && part(1)? == key as u32;
        (is_ours && rest == self.rest(key, number)).then_some(number)
    }

    fn rest(&self, key: u64, number: Number) -> &[u8] {
        let begin = (key.wrapping_mul(31).wrapping_add(number) % BEGINNINGS as u64) as usize;
        &self.letters[begin..begin + self.length - HEAD]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_says_which_write_it_was_and_any_other_byte_is_noticed() {
        for length in [HEAD, 25, 100, 65_536] {
            let values = Values::new(7, length, &mut Chance::new(1));
            let value = values.write(12, 345);
            assert_eq!((value.len(), values.read(12, &value)), (length, Some(345)));
            assert_eq!(values.read(13, &value), None, "of another key");
            let other_run = Values::new(8, length, &mut Chance::new(1));
            assert_eq!(other_run.read(12, &value), None);
            assert_eq!(values.read(12, &value[..length - 1]), None);
            for place in [0, 8, 23, length - 1] {
                let mut changed = value.clone();
                changed[place] ^= 1;
                assert_ne!(values.read(12, &changed), Some(345), "{place}");
            }
        }
    }
}
