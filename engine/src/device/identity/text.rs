//! The identity as text.
//!
//! ```text
//! ringkeeper directory
//! format=1 | 2 | 3 | 4 | 5
//! directory=<16 bytes in hex>
//! server=<id>
//! life=new | live
//! secret=<32 bytes in hex>
//! promised=<epoch>                         from here on only from format 2 on
//! current=<epoch>
//! ensemble=<16 bytes in hex>               where it is known; the secret is the ensemble's then
//! intent=cut <zxid> | install <zxid>       where a change of the log is under way
//! diverged=<zxid>                          from format 3 on: the state is not to be trusted
//! standing=proposed                        in format 4: no quorum is known to have the id
//! java_before=<ms>                         in format 4: sessions from before have ZooKeeper's
//! alone=<zxid>                             in format 5: the end of a history of its own
//! crc32c=<of the lines above>
//! ```
//! A format is written only where the one before cannot say it, so that a version which knows only
//! earlier ones starts from every directory that it understands, and refuses the others. A line
//! that is not listed here is refused.

use super::{
    BadIdentity, DirectoryId, EnsembleId, EnsembleIdentity, Epochs, Identity, Intent, Life,
    Standing,
};
use crate::{Millis, Zxid};

const TITLE: &str = "ringkeeper directory";
const FORMAT_ALONE: u32 = 1;
const FORMAT_MEMBER: u32 = 2;
const FORMAT_DIVERGED: u32 = 3;
const FORMAT_ENSEMBLE: u32 = 4;
const FORMAT_OWN_HISTORY: u32 = 5;
/// The lines that each format adds.
const FIELDS_ALONE: [&str; 5] = ["format", "directory", "server", "life", "secret"];
const FIELDS_MEMBER: [&str; 4] = ["promised", "current", "ensemble", "intent"];
const FIELDS_DIVERGED: [&str; 1] = ["diverged"];
const FIELDS_ENSEMBLE: [&str; 2] = ["standing", "java_before"];
const FIELDS_OWN_HISTORY: [&str; 1] = ["alone"];
const PROPOSED: &str = "proposed";

impl Identity {
    pub(super) fn text(&self) -> String {
        let life = match self.life {
            Life::New => "new",
            Life::Live => "live",
        };
        let format = self.format();
        let mut text = format!(
            "{TITLE}\nformat={format}\ndirectory={}\nserver={}\nlife={life}\nsecret={}\n",
            hex(&self.directory.0),
            self.server,
            hex(&self.secret),
        );
        if format >= FORMAT_MEMBER {
            let Epochs { promised, current } = self.epochs;
            text.push_str(&format!("promised={promised}\ncurrent={current}\n"));
        }
        if let Some(EnsembleIdentity { id, .. }) = self.ensemble {
            text.push_str(&format!("ensemble={id}\n"));
        }
        match self.intent {
            Some(Intent::Cut(zxid)) => text.push_str(&format!("intent=cut {zxid}\n")),
            Some(Intent::Install(zxid)) => text.push_str(&format!("intent=install {zxid}\n")),
            None => {}
        }
        if let Some(zxid) = self.diverged {
            text.push_str(&format!("diverged={zxid}\n"));
        }
        if let Some(EnsembleIdentity { standing, java_before, .. }) = self.ensemble {
            if standing == Standing::Proposed {
                text.push_str(&format!("standing={PROPOSED}\n"));
            }
            if java_before != Millis(0) {
                text.push_str(&format!("java_before={}\n", java_before.0));
            }
        }
        if let Some(end) = self.alone {
            text.push_str(&format!("alone={end}\n"));
        }
        let sum = crc_fast::crc32_iscsi(text.as_bytes());
        text.push_str(&format!("crc32c={sum:08x}\n"));
        text
    }

    fn format(&self) -> u32 {
        let is_plain = |ensemble: &EnsembleIdentity| {
            ensemble.standing == Standing::Confirmed && ensemble.java_before == Millis(0)
        };
        match () {
            () if self.alone.is_some() => FORMAT_OWN_HISTORY,
            () if !self.ensemble.as_ref().is_none_or(is_plain) => FORMAT_ENSEMBLE,
            () if self.diverged.is_some() => FORMAT_DIVERGED,
            () if self.is_member() || self.intent.is_some() => FORMAT_MEMBER,
            () => FORMAT_ALONE,
        }
    }

    pub(super) fn parse(bytes: &[u8], file: &str) -> Result<Identity, BadIdentity> {
        let damaged = |what| BadIdentity::Damaged { file: file.to_owned(), what };
        let text = std::str::from_utf8(bytes).map_err(|_| damaged("it is no text"))?;
        let (fields, sum) = text.rsplit_once("crc32c=").ok_or(damaged("its end is missing"))?;
        let expected = format!("{:08x}\n", crc_fast::crc32_iscsi(fields.as_bytes()));
        if sum != expected || !fields.starts_with(TITLE) {
            return Err(damaged("its checksum is wrong"));
        }
        let optional =
            |name: &str| fields.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        let field = |name: &str| optional(name).ok_or(damaged("a line is missing"));
        let epoch = |name: &str| field(name)?.parse().map_err(|_| damaged("a bad number"));
        let format = field("format")?.parse().map_err(|_| damaged("its format is no number"))?;
        let mut identity = Identity {
            directory: DirectoryId(unhex(field("directory")?).ok_or(damaged("a bad number"))?),
            server: field("server")?.parse().map_err(|_| damaged("a bad number"))?,
            life: match field("life")? {
                "new" => Life::New,
                "live" => Life::Live,
                _ => return Err(damaged("a bad word")),
            },
            secret: unhex(field("secret")?).ok_or(damaged("a bad number"))?,
            epochs: Epochs::default(),
            ensemble: None,
            intent: None,
            diverged: None,
            alone: None,
        };
        check_fields(fields, format).map_err(damaged)?;
        match format {
            FORMAT_ALONE => Ok(identity),
            FORMAT_MEMBER | FORMAT_DIVERGED | FORMAT_ENSEMBLE | FORMAT_OWN_HISTORY => {
                identity.epochs =
                    Epochs { promised: epoch("promised")?, current: epoch("current")? };
                let ensemble = parse_ensemble(&optional, identity.secret);
                identity.ensemble = ensemble.map_err(damaged)?;
                if let Some(intent) = optional("intent") {
                    identity.intent = Some(parse_intent(intent).ok_or(damaged("a bad intent"))?);
                }
                if format == FORMAT_DIVERGED {
                    field("diverged")?;
                }
                let zxid = |name: &str| {
                    let zxid =
                        optional(name).map(|it| parse_zxid(it).ok_or(damaged("a bad number")));
                    zxid.transpose()
                };
                identity.diverged = zxid("diverged")?;
                identity.alone = zxid("alone")?;
                Ok(identity)
            }
            format => Err(BadIdentity::Version { file: file.to_owned(), format }),
        }
    }
}

/// A later format may have any lines; its number says that it is one.
fn check_fields(fields: &str, format: u32) -> Result<(), &'static str> {
    // Each format has the lines of those before.
    let all: [&[&str]; 5] =
        [&FIELDS_ALONE, &FIELDS_MEMBER, &FIELDS_DIVERGED, &FIELDS_ENSEMBLE, &FIELDS_OWN_HISTORY];
    let is_known = |name: &str| match all.get(..format as usize) {
        Some(lines) => format == 0 || lines.iter().any(|it| it.contains(&name)),
        None => true,
    };
    let mut names = fields.lines().skip(1).map(|line| line.split('=').next().unwrap_or_default());
    if names.all(is_known) { Ok(()) } else { Err("a line that is not known") }
}

fn parse_ensemble<'a>(
    field: &impl Fn(&str) -> Option<&'a str>,
    secret: [u8; 32],
) -> Result<Option<EnsembleIdentity>, &'static str> {
    let standing = match field("standing") {
        None => Standing::Confirmed,
        Some(PROPOSED) => Standing::Proposed,
        Some(_) => return Err("a bad word"),
    };
    let java_before = field("java_before").unwrap_or("0").parse().map_err(|_| "a bad number")?;
    let Some(id) = field("ensemble") else { return Ok(None) };
    let id = EnsembleId(unhex(id).ok_or("a bad number")?);
    Ok(Some(EnsembleIdentity { id, secret, java_before: Millis(java_before), standing }))
}

fn parse_zxid(text: &str) -> Option<Zxid> {
    u64::from_str_radix(text.strip_prefix("0x")?, 16).ok().map(Zxid)
}

fn parse_intent(text: &str) -> Option<Intent> {
    let (word, zxid) = text.split_once(' ')?;
    let zxid = parse_zxid(zxid)?;
    match word {
        "cut" => Some(Intent::Cut(zxid)),
        "install" => Some(Intent::Install(zxid)),
        _ => None,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if text.len() != 2 * N {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alone() -> Identity {
        Identity {
            directory: DirectoryId([0xab; 16]),
            server: 3,
            life: Life::Live,
            secret: [0x0c; 32],
            epochs: Epochs::default(),
            ensemble: None,
            intent: None,
            diverged: None,
            alone: None,
        }
    }

    fn signed(fields: &str) -> String {
        format!("{fields}crc32c={:08x}\n", crc_fast::crc32_iscsi(fields.as_bytes()))
    }

    /// Byte for byte what versions without ensembles write and read.
    #[test]
    fn identity_of_a_standalone_server_is_format_1() {
        let fields = format!(
            "ringkeeper directory\nformat=1\ndirectory={}\nserver=3\nlife=live\nsecret={}\n",
            "ab".repeat(16),
            "0c".repeat(32)
        );
        assert_eq!(alone().text(), signed(&fields));
        assert_eq!(Identity::parse(alone().text().as_bytes(), "meta").unwrap(), alone());
    }

    #[test]
    fn every_identity_is_read_as_it_was_written() {
        let intents =
            [None, Some(Intent::Cut(Zxid::new(1, 0xab))), Some(Intent::Install(Zxid::ZERO))];
        let ensemble = |standing, java_before| EnsembleIdentity {
            id: EnsembleId([7; 16]),
            secret: alone().secret,
            java_before: Millis(java_before),
            standing,
        };
        let ensembles = [
            None,
            Some(ensemble(Standing::Confirmed, 0)),
            Some(ensemble(Standing::Proposed, 0)),
            Some(ensemble(Standing::Confirmed, 1_790_000_000_000)),
        ];
        for intent in intents {
            for ensemble in ensembles {
                for (promised, current) in [(0, 0), (4, 0), (u32::MAX, 7)] {
                    let epochs = Epochs { promised, current };
                    let identity = Identity { epochs, ensemble, intent, ..alone() };
                    let text = identity.text();
                    assert_eq!(text.contains("format=1\n"), identity == alone(), "{text}");
                    assert_eq!(Identity::parse(text.as_bytes(), "meta").unwrap(), identity);
                }
            }
        }
        let diverged = Identity { diverged: Some(Zxid::new(2, 0x1f)), ..alone() };
        assert!(diverged.text().contains("\ndiverged=0x20000001f\n"), "{}", diverged.text());
        assert_eq!(Identity::parse(diverged.text().as_bytes(), "meta").unwrap(), diverged);
        let alone_until = Identity { alone: Some(Zxid::new(5, 0x64)), ..alone() };
        let text = alone_until.text();
        assert!(text.contains("\nalone=0x500000064\n") && text.contains("format=5\n"), "{text}");
        assert_eq!(Identity::parse(text.as_bytes(), "meta").unwrap(), alone_until);
        let cut = Identity { intent: Some(Intent::Cut(Zxid::new(1, 0xab))), ..alone() };
        assert!(cut.text().contains("\nintent=cut 0x1000000ab\n"), "{}", cut.text());
    }

    #[test]
    fn later_format_or_bad_line_is_refused() {
        let member = Identity { epochs: Epochs { promised: 4, current: 3 }, ..alone() };
        let (fields, _) = member
            .text()
            .rsplit_once("crc32c=")
            .map(|(a, b)| (a.to_owned(), b.to_owned()))
            .unwrap();
        let parse = |fields: String| Identity::parse(signed(&fields).as_bytes(), "meta");
        assert_eq!(parse(fields.clone()).unwrap(), member);
        let unknown = fields.replace("format=2\n", "format=6\nvote=7\n");
        let later = parse(unknown).unwrap_err();
        assert!(matches!(later, BadIdentity::Version { format: 6, .. }), "{later}");
        assert!(later.to_string().contains("later version of Ringkeeper (format 6)"), "{later}");
        for (good, bad) in [
            ("promised=4\n", ""),
            ("current=3\n", "current=-3\n"),
            ("current=3\n", "current=3\nintent=cut\n"),
            ("current=3\n", "current=3\nintent=cut 0x\n"),
            ("current=3\n", "current=3\nintent=paste 0x1\n"),
            ("current=3\n", "current=3\nensemble=77\n"),
            ("life=live\n", "life=long\n"),
            ("current=3\n", "current=3\nvote=7\n"),
            ("current=3\n", "current=3\ndiverged=0x1\n"),
            ("current=3\n", "current=3\nstanding=proposed\n"),
            ("current=3\n", "current=3\njava_before=7\n"),
            ("format=2\n", "format=4\nstanding=maybe\n"),
            ("format=2\n", "format=4\njava_before=then\n"),
            ("format=2\n", "format=5\nalone=all\n"),
            ("current=3\n", "current=3\nalone=0x1\n"),
            ("format=2\n", "format=3\n"),
            ("format=2\n", "format=1\n"),
        ] {
            let refused = parse(fields.replace(good, bad)).unwrap_err();
            assert!(matches!(refused, BadIdentity::Damaged { .. }), "{bad}: {refused}");
        }
    }
}
