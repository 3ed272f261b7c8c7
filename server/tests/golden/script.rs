//! A golden script: its settings and its steps, read from the format of `FORMAT.md`.

use crate::pattern::Pattern;

/// Which of two answers a deliberate difference asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Apache,
    Ringkeeper,
}

/// One script, reduced to the lines that hold for one side.
#[derive(Debug)]
pub(crate) struct Script {
    pub(crate) config: Vec<(String, String)>,
    pub(crate) lines: Vec<Line>,
}

/// One step, and where it stands.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) number: usize,
    pub(crate) label: String,
    pub(crate) step: Step,
    pub(crate) comment: String,
}

/// What one line asks to do, or expects.
#[derive(Debug)]
pub(crate) enum Step {
    Open,
    Close,
    Closed,
    /// Closed by the server, whatever it sends before.
    Ended,
    Quiet {
        duration_ms: u64,
    },
    Send(Vec<Token>),
    SendRaw(Vec<Token>),
    Expect(Vec<Token>),
    Text(Vec<Pattern>),
    TextHolds(Vec<Pattern>),
    Mark,
    Elapsed {
        from_ms: u64,
        to_ms: u64,
    },
}

/// A part of a frame.
#[derive(Clone, Debug)]
pub(crate) enum Token {
    Bytes(Vec<u8>),
    /// A field that differs from run to run: bound on first sight, compared from then on.
    Name(String, usize),
    /// Members a server may give in any order.
    AnyOrder(Vec<Vec<Token>>),
}

impl Script {
    pub(crate) fn parse(text: &str, side: Side) -> Result<Self, String> {
        let mut script = Self { config: Vec::new(), lines: Vec::new() };
        for (index, line) in text.lines().enumerate() {
            let number = index + 1;
            let Some(line) = for_side(line, side) else { continue };
            script.add(number, line).map_err(|why| format!("{number}: {why}: {line}"))?;
        }
        Ok(script)
    }

    fn add(&mut self, number: usize, line: &str) -> Result<(), String> {
        if let Some(setting) = line.strip_prefix("config ") {
            let (key, value) = setting.split_once('=').ok_or("a setting without `=`")?;
            self.config.push((key.into(), value.into()));
            return Ok(());
        }
        let (head, rest) = line.split_once(' ').ok_or("a line of one word")?;
        if let Some(label) = head.strip_suffix("<~").or_else(|| head.strip_suffix("<?")) {
            return self.add_text(number, label, rest, head.ends_with('?'));
        }
        let (body, comment) = rest.split_once(';').unwrap_or((rest, ""));
        let (label, step) = step(head, body.trim())?;
        let comment = comment.trim().into();
        self.lines.push(Line { number, label, step, comment });
        Ok(())
    }

    /// Lines of one text answer become one step, because the text is read as a whole.
    fn add_text(
        &mut self,
        number: usize,
        label: &str,
        quoted: &str,
        any: bool,
    ) -> Result<(), String> {
        let pattern = Pattern::parse(quoted)?;
        let last = self.lines.last_mut().filter(|last| last.label == label);
        match (last.map(|last| &mut last.step), any) {
            (Some(Step::Text(all)), false) | (Some(Step::TextHolds(all)), true) => {
                all.push(pattern);
            }
            (Some(_) | None, _) => {
                let all = vec![pattern];
                let step = if any { Step::TextHolds(all) } else { Step::Text(all) };
                let (label, comment) = (label.into(), String::new());
                self.lines.push(Line { number, label, step, comment });
            }
        }
        Ok(())
    }
}

/// The part of a line that holds for a side; nothing for comments and for the other side's lines.
fn for_side(line: &str, side: Side) -> Option<&str> {
    if line.is_empty() || line.starts_with('#') || line.starts_with("differs:") {
        return None;
    }
    let (own, other) = match side {
        Side::Apache => ("apache| ", "ringkeeper| "),
        Side::Ringkeeper => ("ringkeeper| ", "apache| "),
    };
    if line.starts_with(other) { None } else { Some(line.strip_prefix(own).unwrap_or(line)) }
}

fn step(head: &str, body: &str) -> Result<(String, Step), String> {
    for (mark, build) in
        [(">>", Step::SendRaw as fn(Vec<Token>) -> Step), (">", Step::Send), ("<", Step::Expect)]
    {
        if let Some(label) = head.strip_suffix(mark) {
            return Ok((label.into(), build(tokens(body)?)));
        }
    }
    let words: Vec<&str> = body.split_whitespace().collect();
    Ok(match (head, words.as_slice()) {
        ("mark", [name]) => (name.to_string(), Step::Mark),
        ("elapsed", [name, range]) => (name.to_string(), elapsed(range)?),
        (label, ["open"]) => (label.into(), Step::Open),
        (label, ["close"]) => (label.into(), Step::Close),
        (label, ["closed"]) => (label.into(), Step::Closed),
        (label, ["ended"]) => (label.into(), Step::Ended),
        (label, ["quiet", ms]) => (label.into(), Step::Quiet { duration_ms: number(ms)? }),
        _ => return Err("an unknown step".into()),
    })
}

fn elapsed(range: &str) -> Result<Step, String> {
    let (from, to) = range.split_once("..").ok_or("a range without `..`")?;
    Ok(Step::Elapsed { from_ms: number(from)?, to_ms: number(to)? })
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("`{text}` is no number"))
}

fn tokens(body: &str) -> Result<Vec<Token>, String> {
    let mut words = body.split_whitespace();
    let mut found = Vec::new();
    while let Some(word) = words.next() {
        let token = if word == "{" { any_order(&mut words)? } else { token(word)? };
        found.push(token);
    }
    Ok(found)
}

fn any_order<'a>(words: &mut impl Iterator<Item = &'a str>) -> Result<Token, String> {
    let mut members = vec![Vec::new()];
    for word in words {
        match word {
            "}" => return Ok(Token::AnyOrder(members)),
            "|" => members.push(Vec::new()),
            _ => members.last_mut().expect("it starts with one member").push(token(word)?),
        }
    }
    Err("a `{` without `}`".into())
}

fn token(word: &str) -> Result<Token, String> {
    if let Some(inner) = word.strip_prefix('<').and_then(|w| w.strip_suffix('>')) {
        let (name, size) = inner.split_once(':').ok_or("a placeholder without a length")?;
        return Ok(Token::Name(name.into(), number(size)? as usize));
    }
    if let Some((byte, count)) = word.split_once('*') {
        let byte = hex(byte)?;
        return Ok(Token::Bytes(byte.repeat(number(count)? as usize)));
    }
    Ok(Token::Bytes(hex(word)?))
}

fn hex(text: &str) -> Result<Vec<u8>, String> {
    let digits: Option<Vec<u32>> = text.chars().map(|c| c.to_digit(16)).collect();
    let digits = digits.filter(|d| d.len() % 2 == 0).ok_or(format!("`{text}` is no hex"))?;
    Ok(digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect())
}

#[test]
fn sides_are_kept_apart() {
    let text = "apache| A closed\nringkeeper| A open\n# note\nA> 00*3 <t:8> { 01 | 02 } ; x\n";
    let steps = |side| Script::parse(text, side).expect("it parses").lines;
    assert!(matches!(steps(Side::Apache)[0].step, Step::Closed));
    assert!(matches!(steps(Side::Ringkeeper)[0].step, Step::Open));
    assert!(matches!(&steps(Side::Apache)[1].step, Step::Send(tokens) if tokens.len() == 3));
    for bad in ["A", "A> 0", "A> zz", "A> { 00", "A jump", "config x", "A> <x>"] {
        assert!(Script::parse(bad, Side::Apache).is_err(), "{bad}");
    }
}
