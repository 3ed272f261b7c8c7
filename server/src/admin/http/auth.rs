//! Who asks, and whether they may.

use std::net::IpAddr;

use hyper::header::AUTHORIZATION;
use hyper::{Request, StatusCode};
use ringkeeper_engine::acl;
use ringkeeper_engine::wire::record::perms;

use super::site::Site;

/// Whether whoever asks may do everything to the root. As in ZooKeeper the header holds a scheme
/// and what it needs, in clear text.
pub(super) fn check(
    site: &Site,
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
    let caller = caller(site, request, peer);
    acl::authenticate(&site.auth, scheme, proof, &mut ids, caller).map_err(|_| unknown)?;
    if ids.is_empty() {
        return Err(unknown);
    }
    let db = site.hub.view.read();
    let root = db.tree.find("/").expect("there is always a root");
    let list = db.tree.acl(root);
    let bits = (0..5).map(|bit| 1 << bit);
    let may = bits.filter(|bit| bit & perms::ALL != 0).all(|bit| {
        // Each bit counts on its own: an entry with one of them is not enough for all.
        acl::allowed(list, bit, &ids, &site.auth)
    });
    if may { Ok(()) } else { Err((StatusCode::FORBIDDEN, "Not authorized")) }
}

/// The address of whoever asks; behind a proxy the first one that it names, if it is believed.
fn caller(site: &Site, request: &Request<()>, peer: IpAddr) -> IpAddr {
    if !site.believes_forwarded {
        return peer;
    }
    let forwarded = request.headers().get("x-forwarded-for").and_then(|header| {
        let first = header.to_str().ok()?.split(',').next()?;
        first.trim().parse::<IpAddr>().ok()
    });
    forwarded.unwrap_or(peer)
}
