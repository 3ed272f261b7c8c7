//! Damage that keeps some of the sense: what random bytes never reach lies behind valid frames.

use crate::random::Random;

/// Numbers at which readers go wrong.
const EDGES: [i32; 9] = [0, -1, 1, 2, i32::MAX, i32::MIN, 0xf_ffff, 0x10_0000, -2];

/// A few changes: bits, bytes, numbers, pieces.
pub fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..random.below(6) {
        if bytes.is_empty() {
            return;
        }
        let at = random.below(bytes.len());
        let end = at + random.below(40).min(bytes.len() - at);
        match random.below(7) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = random.below(256) as u8,
            2 => {
                let number = random.pick(&EDGES).to_be_bytes();
                let fits = number.len().min(bytes.len() - at);
                bytes[at..at + fits].copy_from_slice(&number[..fits]);
            }
            3 => {
                bytes.drain(at..end);
            }
            4 => {
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
            5 => bytes.truncate(at),
            _ => change_a_frame(bytes, random),
        }
    }
}

/// Damages a frame and corrects its length, so that what follows is still read.
fn change_a_frame(bytes: &mut Vec<u8>, random: &mut Random) {
    let starts = frame_starts(bytes);
    if starts.is_empty() {
        return;
    }
    let start = *random.pick(&starts);
    let length = length_at(bytes, start);
    let mut frame = bytes[start + 4..start + 4 + length].to_vec();
    match random.below(4) {
        0 => frame.truncate(random.below(length + 1)),
        1 => frame.extend((0..random.below(20)).map(|at| at as u8)),
        2 if length >= 8 => {
            frame[4..8].copy_from_slice(&(random.below(120) as i32 - 12).to_be_bytes());
        }
        _ => {
            let at = random.below(frame.len());
            if let Some(byte) = frame.get_mut(at) {
                *byte = random.below(256) as u8;
            }
        }
    }
    let header = (frame.len() as u32).to_be_bytes();
    bytes.splice(start..start + 4 + length, header.into_iter().chain(frame));
}

/// The beginning of one stream, then the frames of another behind its handshake.
pub fn splice(streams: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let one = &streams[random.below(streams.len())];
    let other = &streams[random.below(streams.len())];
    let (ones, others) = (frame_starts(one), frame_starts(other));
    if random.percent(50) || ones.len() < 2 || others.len() < 2 {
        return one.clone();
    }
    let end = ones[1 + random.below(ones.len() - 1)];
    let begin = others[1 + random.below(others.len() - 1)];
    [&one[..end], &other[begin..]].concat()
}

fn length_at(bytes: &[u8], start: usize) -> usize {
    let length = bytes[start..].first_chunk::<4>().map(|length| u32::from_be_bytes(*length));
    length.map_or(0, |length| length as usize).min(bytes.len().saturating_sub(start + 4))
}

/// Where whole frames begin.
fn frame_starts(bytes: &[u8]) -> Vec<usize> {
    let mut starts = Vec::new();
    let mut at = 0;
    while let Some(length) = bytes.get(at..).and_then(|rest| rest.first_chunk::<4>()) {
        let end = (at + 4).saturating_add(u32::from_be_bytes(*length) as usize);
        if end > bytes.len() {
            break;
        }
        starts.push(at);
        at = end;
    }
    starts
}
