//! `ringkeeper.meta`: whose directory this is.
//!
//! ```text
//! ringkeeper directory
//! format=1
//! directory=<16 bytes in hex>
//! server=<id>
//! life=new | live
//! secret=<32 bytes in hex>
//! crc32c=<of the lines above>
//! ```

use super::{Directory, DiskError, ReadAt, Sink, Source};

const NAME: &str = "ringkeeper.meta";
const NEW: &str = "ringkeeper.meta.tmp";
const TITLE: &str = "ringkeeper directory";
const FORMAT: u32 = 1;
/// Far more than the file ever takes; what is larger is something else.
const BYTES_MAX: u64 = 4_096;

/// Random number of a directory: a segment or snapshot that strayed in from another one is found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DirectoryId(pub [u8; 16]);

/// Whether the log has been started. A directory that is live and has no log has lost it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Life {
    /// Not yet.
    New,
    /// It has.
    Live,
}

/// Whose directory it is, and the secret behind its sessions' passwords.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    /// The directory.
    pub directory: DirectoryId,
    /// The server (`myid`; 0 where there is none).
    pub server: u64,
    /// Whether the log has been started.
    pub life: Life,
    /// Key of the session passwords. It must survive restarts, or no session would.
    pub secret: [u8; 32],
}

/// The secret stays out of every message.
impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity")
            .field("directory", &self.directory)
            .field("server", &self.server)
            .field("life", &self.life)
            .finish_non_exhaustive()
    }
}

/// Why a directory is not taken.
#[derive(Debug, thiserror::Error)]
pub enum BadIdentity {
    /// The disk failed.
    #[error("{0}{advice}", advice = .0.advice().map(|it| format!("; {it}")).unwrap_or_default())]
    Disk(#[from] DiskError),
    /// The file is damaged, or is no such file.
    #[error(
        "{file} is damaged ({what}); bring it back from a backup. Without it the passwords of all \
         sessions are lost, and the log cannot be told from a stranger's"
    )]
    Damaged {
        /// The file.
        file: String,
        /// What is wrong.
        what: &'static str,
    },
    /// The directory holds data but nothing that says whose.
    #[error(
        "{file} is missing, but there are logs or snapshots beside it; bring it back from a \
         backup, or start on an empty directory"
    )]
    Missing {
        /// The file.
        file: String,
    },
    /// A later version wrote it.
    #[error(
        "{file} was written by a later version of Ringkeeper (format {format}); start that one"
    )]
    Version {
        /// The file.
        file: String,
        /// Its format.
        format: u32,
    },
    /// It is another server's.
    #[error(
        "{file} says that this directory belongs to server {owner}, but this is server {server}; \
         correct myid, or name this server's own directory"
    )]
    OtherServer {
        /// The file.
        file: String,
        /// The server that it belongs to.
        owner: u64,
        /// The server that wants it.
        server: u64,
    },
}

impl Identity {
    /// Reads the identity of a directory, or gives a new one to a directory that has none.
    pub fn open<D: Directory>(dir: &D, server: u64) -> Result<Identity, BadIdentity> {
        match Identity::read(dir)? {
            None => Identity::create(dir, server),
            Some(identity) if identity.server == server => Ok(identity),
            Some(Identity { server: owner, .. }) => {
                Err(BadIdentity::OtherServer { file: dir.path_of(NAME), owner, server })
            }
        }
    }

    /// Reads the identity of a directory, whosever it is; nothing where there is none yet.
    pub fn read<D: Directory>(dir: &D) -> Result<Option<Identity>, BadIdentity> {
        let file = dir.path_of(NAME);
        let entries = dir.list()?;
        let Some(entry) = entries.iter().find(|entry| entry.name == NAME) else {
            let used = |name: &str| name.starts_with("log.") || name.starts_with("snapshot.");
            return match entries.iter().any(|entry| used(&entry.name)) {
                true => Err(BadIdentity::Missing { file }),
                false => Ok(None),
            };
        };
        if entry.bytes > BYTES_MAX {
            return Err(BadIdentity::Damaged { file, what: "it is far too long" });
        }
        let bytes = dir.read(NAME, Source::Cached)?.read_at(0, entry.bytes as usize)?;
        Identity::parse(&bytes, &file).map(Some)
    }

    fn create<D: Directory>(dir: &D, server: u64) -> Result<Identity, BadIdentity> {
        let identity = Identity::fresh(dir, server)?;
        identity.save(dir)?;
        Ok(identity)
    }

    /// A new identity, which is not in the directory yet.
    pub fn fresh<D: Directory>(dir: &D, server: u64) -> Result<Identity, DiskError> {
        let mut identity =
            Identity { directory: DirectoryId([0; 16]), server, life: Life::New, secret: [0; 32] };
        dir.random(&mut identity.directory.0)?;
        dir.random(&mut identity.secret)?;
        Ok(identity)
    }

    /// Replaces the file: at any moment the old or the new one is there, whole.
    pub fn save<D: Directory>(&self, dir: &D) -> Result<(), DiskError> {
        let mut sink = dir.create(NEW)?;
        sink.write(self.text().as_bytes())?;
        sink.sync()?;
        drop(sink);
        dir.rename(NEW, NAME)?;
        dir.sync_dir()
    }

    fn text(&self) -> String {
        let life = match self.life {
            Life::New => "new",
            Life::Live => "live",
        };
        let mut text = format!(
            "{TITLE}\nformat={FORMAT}\ndirectory={}\nserver={}\nlife={life}\nsecret={}\n",
            hex(&self.directory.0),
            self.server,
            hex(&self.secret),
        );
        let sum = crc_fast::crc32_iscsi(text.as_bytes());
        text.push_str(&format!("crc32c={sum:08x}\n"));
        text
    }

    fn parse(bytes: &[u8], file: &str) -> Result<Identity, BadIdentity> {
        let damaged = |what| BadIdentity::Damaged { file: file.to_owned(), what };
        let text = std::str::from_utf8(bytes).map_err(|_| damaged("it is no text"))?;
        let (fields, sum) = text.rsplit_once("crc32c=").ok_or(damaged("its end is missing"))?;
        let expected = format!("{:08x}\n", crc_fast::crc32_iscsi(fields.as_bytes()));
        if sum != expected || !fields.starts_with(TITLE) {
            return Err(damaged("its checksum is wrong"));
        }
        let field = |name: &str| {
            let line = fields.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            line.ok_or(damaged("a line is missing"))
        };
        let format = field("format")?.parse().map_err(|_| damaged("its format is no number"))?;
        if format != FORMAT {
            return Err(BadIdentity::Version { file: file.to_owned(), format });
        }
        Ok(Identity {
            directory: DirectoryId(unhex(field("directory")?).ok_or(damaged("a bad number"))?),
            server: field("server")?.parse().map_err(|_| damaged("a bad number"))?,
            life: match field("life")? {
                "new" => Life::New,
                "live" => Life::Live,
                _ => return Err(damaged("a bad word")),
            },
            secret: unhex(field("secret")?).ok_or(damaged("a bad number"))?,
        })
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
