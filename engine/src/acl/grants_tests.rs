//! Look-ups in long lists against the comparison of every entry with every identity.

use super::*;
use crate::acl::AclList;
use crate::limits::{ACL_ENTRIES_MAX, CONN_IDENTITIES_MAX};

fn id(scheme: &str, id: String) -> Id {
    Id { scheme: scheme.into(), id }
}

/// A number below `most`; the state moves on.
fn below(state: &mut u64, most: u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) % most
}

fn random_id(state: &mut u64) -> Id {
    let n = below(state, 6);
    match below(state, 9) {
        0 => id("digest", format!("u{n}:p")),
        1 => id("sasl", ["super", "all", "bob"][n as usize % 3].into()),
        2 => id("x509", ["CN=root", "CN=a", "CN=b"][n as usize % 3].into()),
        3 => id("ip", format!("10.{n}.1.{n}")),
        4 => id("ip", format!("10.{n}.0.0/{}", 8 * n)),
        5 => id("ip", format!("1:{n}::/{}", 16 + n)),
        6 => id("ip", format!("1:{n}::")),
        7 => id("world", ["anyone", "x"][n as usize % 2].into()),
        _ => id("nonsense", format!("u{n}:p")),
    }
}

fn settings(bits: u64) -> AuthSettings {
    AuthSettings {
        digest_enabled: bits & 1 == 0,
        sasl_enabled: bits & 2 == 0,
        x509_enabled: bits & 4 == 0,
        sasl_any_user: (bits & 8 == 0).then(|| "all".into()),
        x509_super_user: (bits & 16 == 0).then(|| "CN=root".into()),
        ..AuthSettings::default()
    }
}

#[test]
fn long_list_grants_what_its_entries_grant_one_by_one() {
    let mut state = 7;
    let (mut granted, mut refused) = (0, 0);
    for round in 0..3_000 {
        let settings = settings(if round % 2 == 0 { 0 } else { below(&mut state, 32) });
        let entries = 1 + below(&mut state, 12);
        let entry = |state: &mut u64| Acl { perms: 1 << below(state, 5), id: random_id(state) };
        let list: AclList = (0..entries).map(|_| entry(&mut state)).collect::<Vec<_>>().into();
        let ids: Vec<Id> = (0..below(&mut state, 4)).map(|_| random_id(&mut state)).collect();
        let perms = Grants::of(&list).of_ids(&list, &ids, &settings);
        for perm in (0..5).map(|bit| 1 << bit) {
            let one_by_one = list.iter().any(|entry| settings.grants(entry, perm, &ids));
            assert_eq!(perms & perm != 0, one_by_one, "{list:?} {ids:?} {perm} {settings:?}");
            if one_by_one { granted += 1 } else { refused += 1 }
        }
    }
    assert!(granted > 1_000 && refused > 1_000, "{granted} {refused}");
}

#[test]
fn look_up_in_the_longest_list_searches_once_for_each_identity() {
    let entry = |n: usize| Acl { perms: 1, id: id("digest", format!("u{n}:p")) };
    let list: AclList = (0..ACL_ENTRIES_MAX).map(entry).collect::<Vec<_>>().into();
    let grants = Grants::of(&list);
    assert_eq!(grants.named.len(), ACL_ENTRIES_MAX);
    // Every identity meets one hash, of one entry at most.
    assert!(grants.named.windows(2).all(|pair| pair[0].hash < pair[1].hash));
    let ids: Vec<Id> = (0..CONN_IDENTITIES_MAX).map(|n| id("digest", format!("v{n}:p"))).collect();
    let settings = AuthSettings::default();
    assert!(!list.grants(1, &ids, &settings) && list.grants(1, &[list[9].id.clone()], &settings));
}

#[test]
fn entries_that_are_equal_but_for_their_permissions_are_one() {
    let entry = |perms| Acl { perms, id: id("digest", "bob:x".into()) };
    let network = |perms| Acl { perms, id: id("ip", "10.0.0.1/8".into()) };
    let list: Vec<Acl> = (0..4_000).flat_map(|perms| [entry(perms), network(perms)]).collect();
    let grants = Grants::of(&list);
    assert_eq!((grants.named.len(), grants.networks.len(), grants.sizes.len()), (1, 1, 1));
    let settings = AuthSettings::default();
    assert_eq!(grants.of_ids(&list, &[id("digest", "bob:x".into())], &settings), 4_095);
    assert_eq!(grants.of_ids(&list, &[id("ip", "10.9.9.9".into())], &settings), 4_095);
}
