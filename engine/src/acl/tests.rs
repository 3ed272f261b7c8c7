//! The rules of lists and identities, as observed on ZooKeeper.

use std::net::{IpAddr, Ipv4Addr};

use super::*;
use crate::limits::{CONN_IDENTITIES_MAX, CONN_IDENTITY_BYTES_MAX, TXN_EXPANDED_BYTES_MAX};
use crate::wire::SentAcl;
use crate::wire::record::perms;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn id(scheme: &str, id: &str) -> Id {
    Id { scheme: scheme.into(), id: id.into() }
}

fn acl(perms: i32, scheme: &str, name: &str) -> Acl {
    Acl { perms, id: id(scheme, name) }
}

fn login(settings: &AuthSettings, user_password: &str) -> Vec<Id> {
    let mut ids = vec![ip_identity(HERE)];
    authenticate(settings, "digest", Some(user_password.as_bytes()), &mut ids, HERE).unwrap();
    ids
}

fn fixed(list: &[Acl], ids: &[Id]) -> Result<Vec<Acl>, Code> {
    fix_up(&sent(list), ids, &AuthSettings::default(), &mut { TXN_EXPANDED_BYTES_MAX })
        .map(|list| list.to_vec())
}

/// As a client sends it.
fn sent(list: &[Acl]) -> Vec<SentAcl> {
    list.iter().cloned().map(SentAcl::from).collect()
}

#[test]
fn the_open_list_is_shared() {
    let settings = AuthSettings::default();
    let one = fix_up(&sent(&[Acl::open()]), &[], &settings, &mut 0).unwrap();
    let twice = fix_up(&sent(&[Acl::open(), Acl::open()]), &[], &settings, &mut 0).unwrap();
    assert!(one.is_shared_with(&open_list()));
    assert_eq!(one, twice);
}

#[test]
fn repeated_entries_are_dropped_in_order() {
    let list = [
        acl(1, "digest", "b:x"),
        acl(300, "world", "anyone"),
        acl(1, "digest", "b:x"),
        acl(-1, "world", "anyone"),
        acl(0, "ip", "1.1.1.1"),
    ];
    let expected = [&list[0], &list[1], &list[3], &list[4]].map(Clone::clone);
    assert_eq!(fixed(&list, &[]), Ok(expected.to_vec()));
    let long: Vec<Acl> = (0..200).map(|at| acl(at % 50, "world", "anyone")).collect();
    assert_eq!(fixed(&long, &[]), Ok(long[..50].to_vec()));
}

#[test]
fn invalid_lists_are_refused() {
    assert_eq!(fixed(&[], &[]), Err(Code::InvalidAcl));
    let refused = [
        ("world", "x"),
        ("world", ""),
        ("auth", ""),
        ("super", ""),
        ("digest", "nocolon"),
        ("ip", "here"),
        ("sasl", "bob"),
        ("x509", "CN=bob"),
        ("ensemble", "e"),
        ("key", "k"),
        ("DIGEST", "a:b"),
        ("", ""),
    ];
    for (scheme, name) in refused {
        let list = [Acl::open(), acl(31, scheme, name)];
        assert_eq!(fixed(&list, &[ip_identity(HERE)]), Err(Code::InvalidAcl), "{scheme}:{name}");
    }
}

#[test]
fn auth_stands_for_every_proven_identity_and_may_repeat_them() {
    let settings = AuthSettings { super_digest: None, ..AuthSettings::default() };
    let mut ids = login(&settings, "bob:pw");
    authenticate(&settings, "digest", Some(b"al:pw"), &mut ids, HERE).unwrap();
    let bob = "bob:ikIaKsbtGweaHnb/jKn7OHqbunM=";
    let al = "al:E2WgW72KiEUG4R7vIVBkt6SPXyA=";
    let list = [acl(1, "auth", ""), acl(1, "auth", "x"), acl(3, "auth", "")];
    let expected = [1, 1, 3].map(|perms| [acl(perms, "digest", bob), acl(perms, "digest", al)]);
    assert_eq!(fixed(&list, &ids), Ok(expected.concat()));
}

#[test]
fn schemes_that_are_switched_on_take_their_names() {
    let settings =
        AuthSettings { sasl_enabled: true, x509_enabled: true, ..AuthSettings::default() };
    let list = [acl(1, "sasl", "bob@R"), acl(1, "x509", "CN=bob")];
    assert!(fix_up(&sent(&list), &[], &settings, &mut 0).is_ok());
    assert!(fix_up(&sent(&[acl(1, "sasl", "a@b@c")]), &[], &settings, &mut 0).is_err());
    assert!(fix_up(&sent(&[acl(1, "x509", "bob")]), &[], &settings, &mut 0).is_err());
    let off = AuthSettings { digest_enabled: false, ..AuthSettings::default() };
    assert!(fix_up(&sent(&[acl(1, "digest", "a:b")]), &[], &off, &mut 0).is_err());
}

fn nullable(perms: i32, scheme: Option<&str>, id: Option<&str>) -> SentAcl {
    SentAcl { perms, scheme: scheme.map(Into::into), id: id.map(Into::into) }
}

/// Entries of every kind, with what is null in them; none of them sets a list.
fn entries() -> Vec<SentAcl> {
    let schemes = [None, Some("world"), Some("auth"), Some("ip"), Some("nosuch")];
    let ids = [None, Some("anyone"), Some("1.2.3.4")];
    let kinds = schemes.iter().flat_map(|scheme| ids.iter().map(move |id| (scheme, id)));
    kinds.flat_map(|(scheme, id)| [1, 2].map(|perms| nullable(perms, *scheme, *id))).collect()
}

#[test]
fn null_of_a_scheme_is_invalid_or_trips_as_the_scheme_does() {
    let settings = AuthSettings { x509_enabled: true, ..AuthSettings::default() };
    let code = |scheme, id| fix_up(&[nullable(31, scheme, id)], &[], &settings, &mut 0).map(|_| ());
    for scheme in ["world", "digest", "ip", "x509"] {
        assert_eq!(code(Some(scheme), None), Err(Code::MarshallingError), "{scheme}");
    }
    for scheme in ["auth", "sasl", "super", "ensemble", "nosuch", ""] {
        assert_eq!(code(Some(scheme), None), Err(Code::InvalidAcl), "{scheme}");
    }
    assert_eq!(code(None, None), Err(Code::InvalidAcl));
    assert_eq!(code(None, Some("anyone")), Err(Code::InvalidAcl));
    let off = AuthSettings { digest_enabled: false, ..AuthSettings::default() };
    let refused = fix_up(&[nullable(31, Some("digest"), None)], &[], &off, &mut 0);
    assert_eq!(refused, Err(Code::InvalidAcl));
}

#[test]
fn null_that_has_to_be_compared_trips_before_any_entry_is_judged() {
    let settings = AuthSettings::default();
    let held = login(&settings, "bob:pw");
    let code = |list: &[SentAcl]| {
        fix_up(list, &held, &settings, &mut { TXN_EXPANDED_BYTES_MAX }).map(|list| list.len())
    };
    let auth = nullable(31, Some("auth"), None);
    let open = SentAcl::from(Acl::open());
    let unknown = nullable(31, Some("nosuch"), None);
    assert_eq!(code(std::slice::from_ref(&auth)), Ok(1));
    for list in [
        [auth.clone(), auth.clone()],
        [unknown.clone(), unknown.clone()],
        [open.clone(), nullable(31, None, Some("anyone"))],
        [nullable(31, None, None), nullable(31, None, None)],
        [unknown.clone(), nullable(31, None, Some("x"))],
    ] {
        assert_eq!(code(&list), Err(Code::MarshallingError), "{list:?}");
    }
    // Where something before the null differs, or only the earlier one has a null, nothing trips.
    assert_eq!(code(&[auth.clone(), nullable(1, Some("auth"), None)]), Ok(2));
    assert_eq!(code(&[auth.clone(), nullable(31, Some("auth"), Some("x"))]), Ok(2));
    assert_eq!(code(&[nullable(31, None, None), open]), Err(Code::InvalidAcl));
    assert_eq!(code(&[auth, unknown]), Err(Code::InvalidAcl));
}

/// Long lists are compared in another way, with the same outcome.
#[test]
fn comparison_of_a_long_list_finds_what_that_of_a_short_one_finds() {
    let (mut tripped, mut repeated) = (0, 0);
    let entries = entries();
    for a in &entries {
        for b in &entries {
            for c in &entries {
                let list = [a.clone(), b.clone(), c.clone()];
                let (short, long) = (without_repetitions(&list), distinct(&list));
                assert_eq!(short, long, "{list:?}");
                tripped += usize::from(short.is_err());
                repeated += usize::from(short.is_ok_and(|first| first.len() < 3));
            }
        }
    }
    assert!(tripped > 1_000 && repeated > 1_000, "{tripped} {repeated}");
}

#[test]
fn any_entry_with_the_wanted_bit_and_the_right_identity_allows() {
    let settings = AuthSettings::default();
    let bob = login(&settings, "bob:pw");
    let list = [
        acl(perms::READ, "world", "anyone"),
        acl(perms::WRITE, "digest", "bob:ikIaKsbtGweaHnb/jKn7OHqbunM="),
        acl(perms::CREATE, "ip", "127.0.0.0/8"),
        acl(perms::DELETE, "digest", "al:E2WgW72KiEUG4R7vIVBkt6SPXyA="),
        acl(-1, "nonsense", "bob"),
    ];
    let list = AclList::from(list);
    let can = |perm, ids: &[Id]| allowed(&list, perm, ids, &settings);
    assert!(can(perms::READ, &[]));
    assert!(can(perms::WRITE, &bob) && !can(perms::WRITE, &[]));
    assert!(can(perms::CREATE, &bob) && !can(perms::CREATE, &[id("ip", "1.2.3.4")]));
    assert!(!can(perms::DELETE, &bob));
    assert!(can(perms::READ | perms::ADMIN, &[]), "one of the bits is enough");
    assert!(!can(perms::ADMIN, &[id("nonsense", "bob")]));
    assert!(can(perms::ADMIN, &[id("super", "")]));
    assert!(!can(perms::WRITE, &[id("digest", "bob:")]));
    assert!(allowed(&[].into(), perms::ADMIN, &[], &settings), "no list, no check");
    let skip = AuthSettings { skip_acl: true, ..settings.clone() };
    assert!(allowed(&list, perms::DELETE, &[], &skip));
}

#[test]
fn sasl_and_x509_users_match_their_names() {
    let settings = AuthSettings {
        sasl_enabled: true,
        x509_enabled: true,
        sasl_any_user: Some("all".into()),
        x509_super_user: Some("CN=root".into()),
        ..AuthSettings::default()
    };
    let can = |listed: (&str, &str), held: (&str, &str)| {
        allowed(&[acl(31, listed.0, listed.1)].into(), 1, &[id(held.0, held.1)], &settings)
    };
    assert!(can(("sasl", "bob"), ("sasl", "bob")) && !can(("sasl", "bob"), ("sasl", "al")));
    assert!(can(("sasl", "bob"), ("sasl", "super")) && can(("sasl", "all"), ("sasl", "al")));
    assert!(can(("x509", "CN=a"), ("x509", "CN=a")) && !can(("x509", "CN=a"), ("x509", "CN=b")));
    assert!(can(("x509", "CN=a"), ("x509", "CN=root")) && !can(("x509", "a"), ("sasl", "a")));
}

#[test]
fn the_super_digest_makes_super() {
    let settings = AuthSettings {
        super_digest: Some("super:xQJmxLMiHGwaqBvst5y6rkB6HQs=".into()),
        ..AuthSettings::default()
    };
    let root = login(&settings, "super:admin");
    assert!(is_super(&root));
    let shown: Vec<_> =
        who_am_i(&settings, &root).into_iter().map(|(scheme, user)| scheme + "/" + &user).collect();
    assert_eq!(shown, ["ip/127.0.0.1", "super/", "digest/super"]);
    assert!(!is_super(&login(&settings, "super:wrong")));
}

#[test]
fn digest_users_without_password_or_name() {
    let settings = AuthSettings::default();
    for (auth, user) in [("nocolon", "nocolon"), ("", ""), (":pw", ""), ("a:b:c", "a")] {
        let ids = login(&settings, auth);
        assert_eq!(who_am_i(&settings, &ids)[1], ("digest".into(), user.into()), "{auth:?}");
    }
    let mut ids = Vec::new();
    authenticate(&settings, "digest", Some(b"\xff\xfe:x"), &mut ids, HERE).unwrap();
    assert_eq!(who_am_i(&settings, &ids)[0].1, "\u{fffd}\u{fffd}");
}

#[test]
fn auth_with_an_unknown_scheme_or_bad_credentials_is_refused() {
    let settings = AuthSettings::default();
    let mut ids = vec![ip_identity(HERE)];
    for scheme in ["world", "auth", "super", "sasl", "x509", "ensemble", "key", "", "DIGEST"] {
        let result = authenticate(&settings, scheme, Some(b"x"), &mut ids, HERE);
        assert_eq!(result, Err(AuthFailure::Scheme), "{scheme}");
    }
    let no_data = authenticate(&settings, "digest", None, &mut ids, HERE);
    assert_eq!(no_data, Err(AuthFailure::NoData));
    assert_eq!(authenticate(&settings, "ip", None, &mut ids, HERE), Ok(()));
    assert_eq!(ids, [ip_identity(HERE)]);
}

#[test]
fn x509_is_proven_by_the_handshake_only() {
    let settings = AuthSettings { x509_enabled: true, ..AuthSettings::default() };
    let mut ids = Vec::new();
    let refused = authenticate(&settings, "x509", Some(b"CN=a"), &mut ids, HERE);
    assert_eq!(refused, Err(AuthFailure::NoCertificate));
    ids.push(id("x509", "CN=a"));
    assert_eq!(authenticate(&settings, "x509", None, &mut ids, HERE), Ok(()));
}

#[test]
fn ensemble_names() {
    let mut settings = AuthSettings { ensemble_enabled: true, ..AuthSettings::default() };
    let check = |settings: &AuthSettings, name: Option<&[u8]>| {
        authenticate(settings, "ensemble", name, &mut Vec::new(), HERE)
    };
    assert_eq!(check(&settings, Some(b"any")), Ok(()));
    settings.ensemble_names = vec!["one".into(), "two".into()];
    assert_eq!(check(&settings, Some(b"two")), Ok(()));
    assert_eq!(check(&settings, None), Ok(()));
    assert_eq!(check(&settings, Some(b"three")), Err(AuthFailure::WrongEnsemble));
}

#[test]
fn a_connection_cannot_collect_identities_without_end() {
    let settings = AuthSettings::default();
    let mut ids = Vec::new();
    for at in 0..CONN_IDENTITIES_MAX {
        let auth = format!("u{at}:p");
        authenticate(&settings, "digest", Some(auth.as_bytes()), &mut ids, HERE).unwrap();
    }
    let again = authenticate(&settings, "digest", Some(b"u0:p"), &mut ids, HERE);
    assert_eq!(again, Ok(()), "one that it has already is not one more");
    let one_more = authenticate(&settings, "digest", Some(b"new:p"), &mut ids, HERE);
    assert_eq!(one_more, Err(AuthFailure::TooMany));
    let (mut ids, user) = (Vec::new(), "u".repeat(CONN_IDENTITY_BYTES_MAX * 2 / 5));
    let many = ["a", "b", "c"].map(|password| {
        let auth = format!("{user}:{password}");
        authenticate(&settings, "digest", Some(auth.as_bytes()), &mut ids, HERE)
    });
    assert_eq!(many, [Ok(()), Ok(()), Err(AuthFailure::TooMany)]);
}

#[test]
fn enforced_schemes() {
    let mut settings = AuthSettings::default();
    assert!(enforced_ok(&settings, &[]));
    settings.enforce = Some(vec!["sasl".into(), "digest".into()]);
    assert!(!enforced_ok(&settings, &[ip_identity(HERE)]));
    assert!(enforced_ok(&settings, &login(&settings, "a:b")));
}

#[test]
fn digests_are_masked_whatever_they_hold() {
    let list = [
        acl(16, "digest", "bob:hash"),
        acl(1, "digest", ":b"),
        acl(1, "digest", "q:x\ny:z"),
        Acl::open(),
    ];
    let masked =
        [acl(16, "digest", "bob:x"), acl(1, "digest", ":x"), acl(1, "digest", "q:x"), Acl::open()];
    assert_eq!(redact(&list), masked);
}

#[test]
fn auth_cannot_multiply_a_list_without_end() {
    let mut ids: Vec<Id> = (0..1_000).map(|at| id("digest", &format!("u{at}:p"))).collect();
    let list: Vec<Acl> = (0..100).map(|perms| acl(perms, "auth", "")).collect();
    assert_eq!(fixed(&list, &ids), Err(Code::InvalidAcl));
    ids.truncate(1);
    assert_eq!(fixed(&list, &ids).map(|list| list.len()), Ok(100));
    let bytes = ENTRY_BYTES + "digest".len() + 400;
    let long = [id("digest", &"u".repeat(400))];
    let most = ACL_EXPANDED_BYTES_MAX / bytes;
    assert_eq!(fixed(&list[..most], &long).map(|list| list.len()), Ok(most));
    assert_eq!(fixed(&list[..=most], &long), Err(Code::InvalidAcl));
}

#[test]
fn auth_cannot_multiply_the_lists_of_one_request_without_end() {
    let (settings, mut expandable) = (AuthSettings::default(), TXN_EXPANDED_BYTES_MAX);
    let ids = [id("digest", &"u".repeat(4_000))];
    let mut lists = 0;
    let refused = loop {
        match fix_up(&sent(&[acl(31, "auth", "")]), &ids, &settings, &mut expandable) {
            Ok(_) => lists += 1,
            Err(code) => break code,
        }
    };
    let bytes = ENTRY_BYTES + "digest".len() + 4_000;
    assert_eq!((lists, refused), (TXN_EXPANDED_BYTES_MAX / bytes, Code::InvalidAcl));
    let plain = sent(&[acl(31, "digest", "a:b")]);
    assert!(fix_up(&plain, &ids, &settings, &mut expandable).is_ok(), "as it was sent");
}

#[test]
fn secrets_differ_wherever_they_differ() {
    let secret = "bob:ikIaKsbtGweaHnb/jKn7OHqbunM=";
    assert!(same_secret(secret, secret) && same_secret("", ""));
    for at in 0..secret.len() {
        let mut other = secret.as_bytes().to_vec();
        other[at] ^= 1;
        assert!(!same_secret(secret, std::str::from_utf8(&other).unwrap()), "{at}");
    }
    assert!(!same_secret(secret, &secret[1..]));
}

#[test]
fn sasl_user_is_named_only_where_the_scheme_is_offered_and_is_super_only_where_it_is_listed() {
    let mut ids = Vec::new();
    let supers = ["root".to_owned()];
    add_sasl_user(&mut ids, "bob", &supers).unwrap();
    assert!(!is_super(&ids));
    add_sasl_user(&mut ids, "root", &supers).unwrap();
    assert!(is_super(&ids));
    let offered = AuthSettings { sasl_enabled: true, ..AuthSettings::default() };
    let names = |settings| who_am_i(settings, &ids).into_iter().map(|(_, user)| user).collect();
    let (shown, hidden): (Vec<String>, Vec<String>) =
        (names(&offered), names(&AuthSettings::default()));
    assert_eq!(shown, ["bob", "root", ""]);
    assert_eq!(hidden, ["", "", ""]);
}
