//! Who sent a request, and whether it is authorized.

use std::net::IpAddr;

use hyper::header::AUTHORIZATION;
use hyper::{Request, StatusCode};
use ringkeeper_engine::acl::{self, AuthSettings};
use ringkeeper_engine::wire::record::perms;

use crate::node::view::View;

/// What requests are authorized by.
pub(super) struct Authorizer {
    /// The schemes.
    pub(super) settings: AuthSettings,
    /// Whether a proxy is believed that names the client's address.
    pub(super) believes_forwarded: bool,
}

impl Authorizer {
    /// Whether a request may do everything to the root. As in ZooKeeper the header holds a scheme
    /// and its credentials, in clear text.
    pub(super) fn check(
        &self,
        view: &View,
        request: &Request<()>,
        peer: IpAddr,
    ) -> Result<(), (StatusCode, &'static str)> {
        let missing = (StatusCode::UNAUTHORIZED, "Auth info is missing for the command");
        let unknown = (StatusCode::UNAUTHORIZED, "Not authenticated");
        let header = request.headers().get(AUTHORIZATION).ok_or(missing)?;
        let header = header.to_str().map_err(|_| unknown)?;
        let (scheme, proof) = match header.split(' ').collect::<Vec<_>>()[..] {
            [scheme] => (scheme, None),
            [scheme, proof] => (scheme, Some(proof.as_bytes())),
            _ => return Err(unknown),
        };
        let mut ids = Vec::new();
        let caller = self.caller(request, peer);
        acl::authenticate(&self.settings, scheme, proof, &mut ids, caller).map_err(|_| unknown)?;
        if ids.is_empty() {
            return Err(unknown);
        }
        let db = view.read();
        let root = db.tree.find("/").expect("there is always a root");
        let list = db.tree.acl(root);
        let bits = (0..5).map(|bit| 1 << bit);
        let may = bits.filter(|bit| bit & perms::ALL != 0).all(|bit| {
            // Each bit counts on its own: an entry with one of them is not enough for all.
            acl::allowed(list, bit, &ids, &self.settings)
        });
        if may { Ok(()) } else { Err((StatusCode::FORBIDDEN, "Not authorized")) }
    }

    /// The address of the client; behind a proxy the first one that it names, if it is believed.
    fn caller(&self, request: &Request<()>, peer: IpAddr) -> IpAddr {
        if !self.believes_forwarded {
            return peer;
        }
        let forwarded = request.headers().get("x-forwarded-for").and_then(|header| {
            let first = header.to_str().ok()?.split(',').next()?;
            first.trim().parse::<IpAddr>().ok()
        });
        forwarded.unwrap_or(peer)
    }
}
