//! The members of an ensemble as servers send them to each other, and as `/zookeeper/config` has
//! them: a line per member, by its number, and the version.

use ringkeeper_engine::session::ServerId;

use super::{Ensemble, Member};
use crate::config::origin::Origin;
use crate::config::servers;

impl Ensemble {
    /// The members as text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for member in &self.members {
            text.push_str(&format!("server.{}={member}\n", member.id.0));
        }
        text + &format!("version={:x}", self.version)
    }
}

/// Members that another server or a change has named.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedMembers {
    /// Every member, by their numbers.
    pub members: Vec<Member>,
    /// The version: the zxid of the change, or 0.
    pub version: u64,
}

impl NamedMembers {
    /// Reads a text; what is wrong with it is said in one sentence.
    pub fn parse(text: &str) -> Result<NamedMembers, String> {
        let mut named = NamedMembers { members: Vec::new(), version: 0 };
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let Some((key, value)) = line.split_once('=') else {
                return Err(format!("\"{line}\" is no line of a configuration"));
            };
            if key == "version" {
                named.version = u64::from_str_radix(value, 16)
                    .map_err(|_| format!("\"{value}\" is no version of a configuration"))?;
            } else if key.starts_with("server.") {
                named.members.push(member(key, value)?);
            }
        }
        named.members.sort_by_key(|member| member.id);
        Ok(named)
    }
}

fn member(key: &str, value: &str) -> Result<Member, String> {
    let line = servers::parse(key, value).map_err(|why| format!("{key}: {why}"))?;
    let id = u8::try_from(line.id).map_err(|_| format!("{key}: the number is too large"))?;
    Ok(Member {
        id: ServerId(id),
        role: line.role,
        addresses: line.addresses,
        client: line.client,
        origin: Origin::Default,
    })
}
