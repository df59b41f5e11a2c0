//! How long a recording is, about: for an estimate where a provider charges by the second and does
//! not say how many there were.

/// What compressed speech takes a millisecond, about: 64 kbit/s.
const BYTES_PER_MILLISECOND: u64 = 8;

/// The length of a file of sound, in milliseconds: as its head says, where it is a WAV file, else by
/// its size.
pub(crate) fn milliseconds(file: &[u8]) -> u64 {
    wave(file).unwrap_or(file.len() as u64 / BYTES_PER_MILLISECOND)
}

/// RIFF: chunks of a name, a length and so many bytes; `fmt ` says how many bytes a second has.
fn wave(file: &[u8]) -> Option<u64> {
    if file.get(..4)? != b"RIFF" || file.get(8..12)? != b"WAVE" {
        return None;
    }
    let number = |at: usize| {
        let bytes = file.get(at..at.checked_add(4)?)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    };
    let mut at = 12_usize;
    let mut bytes_per_second = None;
    loop {
        let name = file.get(at..at.checked_add(4)?)?;
        let length = number(at + 4)?;
        let body = at + 8;
        match name {
            b"fmt " => {
                let rate = u64::from(number(body + 4)?);
                let frame = file.get(body + 12..body + 14)?;
                let frame = u16::from_le_bytes(frame.try_into().ok()?);
                bytes_per_second = Some(rate * u64::from(frame)).filter(|rate| *rate > 0);
            }
            b"data" => {
                // one that is written while it is recorded does not know its length yet
                let there = (file.len() - body.min(file.len())) as u64;
                return Some(u64::from(length).min(there) * 1000 / bytes_per_second?);
            }
            _ => {}
        }
        // chunks begin at even places
        let length = usize::try_from(length).ok()?;
        at = body.checked_add(length)?.checked_add(length % 2)?;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wav(rate: u32, frame: u16, data: usize) -> Vec<u8> {
        let mut file = b"RIFF\0\0\0\0WAVELIST\x03\0\0\0abc\0fmt \x10\0\0\0\x01\0\x01\0".to_vec();
        file.extend(rate.to_le_bytes());
        file.extend((rate * u32::from(frame)).to_le_bytes());
        file.extend(frame.to_le_bytes());
        file.extend(16_u16.to_le_bytes());
        file.extend(b"data\xff\xff\xff\xff");
        file.resize(file.len() + data, 0);
        file
    }

    #[test]
    fn a_wav_file_says_how_long_it_is() {
        assert_eq!(milliseconds(&wav(16_000, 2, 48_000)), 1_500);
    }

    #[test]
    fn others_are_taken_for_compressed_speech() {
        assert_eq!(milliseconds(&[0xff; 80_000]), 10_000);
        assert_eq!(
            milliseconds(&wav(0, 0, 800)),
            wav(0, 0, 800).len() as u64 / 8
        );
        assert_eq!(milliseconds(b""), 0);
    }

    proptest! {
        #[test]
        fn no_bytes_break_it(mut bytes in proptest::collection::vec(any::<u8>(), 0..200), at in 0_usize..200) {
            milliseconds(&bytes);
            let head = wav(8_000, 1, 20);
            bytes.splice(0..0, head.iter().copied().take(at));
            milliseconds(&bytes);
        }
    }
}
