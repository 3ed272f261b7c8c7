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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::PeerRole;
    use crate::config::ensemble::tests::observer_of_three;

    #[test]
    fn text_of_an_ensemble_names_its_members_and_version() {
        let ensemble = Ensemble { version: 0x1_0000_0002, ..observer_of_three() };
        let text = ensemble.text();
        assert!(text.starts_with("server.1=127.0.0.1:24021:24031:participant\n"), "{text}");
        assert!(text.ends_with("server.4=127.0.0.1:24024:24034:observer\nversion=100000002"));
        let named = NamedMembers::parse(&text).unwrap();
        assert_eq!(named.version, ensemble.version);
        let same = |(one, other): (&Member, &Member)| {
            let member = Member { origin: one.origin.clone(), ..other.clone() };
            *one == member
        };
        assert!(ensemble.members.iter().zip(&named.members).all(same), "{named:?}");
        assert_eq!(named.members.len(), 4);
    }

    #[test]
    fn members_are_in_the_order_of_their_numbers_and_other_lines_are_passed_over() {
        let text = " server.10=a:1:2;0.0.0.0:2181\r\n\nserver.2=[::1]:1:2:observer\nweight.2=1\n";
        let named = NamedMembers::parse(text).unwrap();
        let ids: Vec<u8> = named.members.iter().map(|member| member.id.0).collect();
        assert_eq!((ids, named.version), (vec![2, 10], 0));
        assert_eq!(named.members[0].role, PeerRole::Observer);
        assert_eq!(named.members[0].addresses[0].host, "::1");
        assert_eq!(NamedMembers::parse("").unwrap().members, []);
    }

    #[test]
    fn text_that_is_wrong_is_refused_with_a_sentence() {
        for (text, sentence) in [
            ("no line", "\"no line\" is no line of a configuration"),
            ("version=xyz", "\"xyz\" is no version of a configuration"),
            ("version=11111111111111111", "is no version of a configuration"),
            ("server.256=a:1:2", "server.256: the number is too large"),
            ("server.=a:1:2", "server.: \"\" is not the number of a server"),
            ("server.1=a", "server.1: \"a\" is not an address with a port"),
        ] {
            let refused = NamedMembers::parse(text).unwrap_err();
            assert!(refused.contains(sentence), "{refused}");
        }
    }
}
