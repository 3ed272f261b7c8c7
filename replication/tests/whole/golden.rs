//! What the clients of the golden scripts send, as one stream of bytes per connection.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Every stream of every script in a folder.
pub fn streams(home: &Path) -> Vec<Vec<u8>> {
    let entries = fs::read_dir(home).expect("the golden scripts are there");
    let paths = entries.map(|entry| entry.expect("a directory entry can be read").path());
    let mut paths: Vec<_> =
        paths.filter(|path| path.extension().is_some_and(|e| e == "txt")).collect();
    paths.sort();
    let texts = paths.iter().map(|path| fs::read_to_string(path).expect("a script is text"));
    texts.flat_map(|text| of_script(&text)).collect()
}

/// Fields that the server gives (session ids, passwords) are left zero.
pub fn of_script(text: &str) -> Vec<Vec<u8>> {
    let mut streams: BTreeMap<&str, Vec<u8>> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let line = line.strip_prefix("ringkeeper| ").unwrap_or(line);
        let Some((head, rest)) = line.split_once(' ') else { continue };
        let body = rest.split(';').next().expect("split gives one part at least");
        if let Some(label) = head.strip_suffix(">>") {
            streams.entry(label).or_default().extend(bytes(body));
        } else if let Some(label) = head.strip_suffix('>') {
            let frame = bytes(body);
            let length = u32::try_from(frame.len()).expect("frames are short");
            let stream = streams.entry(label).or_default();
            stream.extend(length.to_be_bytes());
            stream.extend(frame);
        }
    }
    streams.into_values().collect()
}

fn bytes(body: &str) -> Vec<u8> {
    body.split_whitespace().flat_map(token).collect()
}

/// `00ff`, `00*16` or `<name:8>`; anything else is nothing.
fn token(word: &str) -> Vec<u8> {
    let number = |text: &str| text.parse().unwrap_or(0);
    if let Some(inner) = word.strip_prefix('<').and_then(|word| word.strip_suffix('>')) {
        let size = inner.split_once(':').map_or("0", |(_, size)| size);
        return vec![0; number(size)];
    }
    let (digits, times) = word.split_once('*').map_or((word, 1), |(d, times)| (d, number(times)));
    let digits: Option<Vec<u32>> = digits.chars().map(|c| c.to_digit(16)).collect();
    let pairs = digits.unwrap_or_default();
    let once: Vec<u8> = pairs.chunks_exact(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect();
    once.repeat(times)
}

#[test]
fn streams_are_read_off_a_script() {
    let text = "# x\nA open\nA> 0001 <sid:2> ; a\nA< 01\nB>> 7275*2 ; b\nringkeeper| A> 05*2\n";
    let streams = of_script(text);
    assert_eq!(streams, [b"\0\0\0\x04\0\x01\0\0\0\0\0\x02\x05\x05".to_vec(), b"ruru".to_vec()]);
}
