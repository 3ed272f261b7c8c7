//! Four-letter words: recognised as the very first four bytes of a connection, never later.

/// A word that a server of 3.9 knows, or one of our own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "the names are the words")]
pub enum Word {
    Ruok,
    Srvr,
    Stat,
    Mntr,
    Conf,
    Cons,
    Crst,
    Srst,
    Dump,
    Dirs,
    Envi,
    Wchs,
    Wchc,
    Wchp,
    Isro,
    Gtmk,
    /// With its eight-byte argument.
    Stmk(i64),
    Hash,
    /// Our own: how commits are paced.
    Pace,
    /// The interrupt sequence of a telnet client: closes without a word.
    TelnetClose,
}

impl Word {
    /// Words without an argument.
    const PLAIN: [(&'static [u8; 4], Word); 19] = [
        (b"ruok", Word::Ruok),
        (b"srvr", Word::Srvr),
        (b"stat", Word::Stat),
        (b"mntr", Word::Mntr),
        (b"conf", Word::Conf),
        (b"cons", Word::Cons),
        (b"crst", Word::Crst),
        (b"srst", Word::Srst),
        (b"dump", Word::Dump),
        (b"dirs", Word::Dirs),
        (b"envi", Word::Envi),
        (b"wchs", Word::Wchs),
        (b"wchc", Word::Wchc),
        (b"wchp", Word::Wchp),
        (b"isro", Word::Isro),
        (b"gtmk", Word::Gtmk),
        (b"hash", Word::Hash),
        (b"pace", Word::Pace),
        (b"\xff\xf4\xff\xfd", Word::TelnetClose),
    ];

    /// The word at the start of `bytes`. `None`: these are the first bytes of a frame.
    /// `Some(None)`: a word whose argument has not arrived yet.
    pub fn recognise(bytes: &[u8]) -> Option<Option<Word>> {
        let (first, rest) = bytes.split_first_chunk::<4>()?;
        if first == b"stmk" {
            let argument = rest.first_chunk::<8>();
            return Some(argument.map(|mask| Word::Stmk(i64::from_be_bytes(*mask))));
        }
        Word::PLAIN.iter().find(|(text, _)| *text == first).map(|(_, word)| Some(*word))
    }

    /// The four letters.
    pub fn name(self) -> &'static str {
        match self {
            Word::Stmk(_) => "stmk",
            Word::TelnetClose => "telnet close",
            plain => {
                let row = Word::PLAIN.iter().find(|(_, word)| *word == plain);
                row.and_then(|(text, _)| std::str::from_utf8(*text).ok()).unwrap_or("????")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_lower_case_and_first() {
        assert_eq!(Word::recognise(b"ruok\n"), Some(Some(Word::Ruok)));
        assert_eq!(Word::recognise(b"RUOK"), None);
        assert_eq!(Word::recognise(b"\0\0\0\x2c"), None);
        assert_eq!(Word::recognise(b"stmk\0\0\0"), Some(None));
        assert_eq!(Word::recognise(b"stmk\0\0\0\0\0\0\x01\x32"), Some(Some(Word::Stmk(306))));
    }
}
