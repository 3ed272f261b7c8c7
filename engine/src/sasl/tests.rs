//! Recorded exchanges, every form of a response, and what random tokens do.

use proptest::prelude::*;

use super::directives::put_quoted;
use super::proof::{Agreed, Prover};
use super::*;

const NONCE: &str = "j5d0zm/GHAlP++NASaSht5Abvmz/A1ecJOW/k0nn";
const CNONCE: &str = "978971650693714";

fn credentials() -> Credentials {
    let mut credentials = Credentials::new();
    credentials.set("jaasuser", "jaas_password");
    credentials.set("empty", "");
    credentials.set("ü", "pä");
    credentials.set("δ", "ώ");
    credentials.set("a\"b\\c", "pw");
    credentials
}

fn nonces() -> NonceSource {
    NonceSource::new([7; 32], 3)
}

fn challenged() -> Exchange {
    Exchange::Challenged(Box::new(Nonce::recorded(NONCE)))
}

fn answer(token: &[u8]) -> Result<Step, Refusal> {
    challenged().step(token, &credentials(), &mut nonces())
}

fn agreed(authzid: Option<&[u8]>) -> Agreed<'_> {
    let (nonce, cnonce) = (NONCE.as_bytes(), CNONCE.as_bytes());
    Agreed { nonce, cnonce, authzid, digest_uri: DIGEST_URI }
}

/// A response; `Some` replaces a field, `None` leaves it out.
fn response(changes: &[(&str, Option<&str>)]) -> Vec<u8> {
    response_of(("jaasuser", "jaas_password"), None, changes)
}

fn response_of(
    (user, password): (&str, &str),
    authzid: Option<&str>,
    changes: &[(&str, Option<&str>)],
) -> Vec<u8> {
    let hash = PasswordHash::of(user, password);
    let proof = agreed(authzid.map(str::as_bytes)).proof(&hash, Prover::Client);
    let mut name = Vec::new();
    put_quoted(&mut name, "username", user.as_bytes());
    let mut fields = vec![
        ("qop", "auth".to_owned()),
        ("realm", "\"zk-sasl-md5\"".to_owned()),
        ("username", String::from_utf8(name["username=".len()..].to_vec()).expect("UTF-8")),
        ("nonce", format!("\"{NONCE}\"")),
        ("cnonce", format!("\"{CNONCE}\"")),
        ("nc", "00000001".to_owned()),
        ("digest-uri", "\"zookeeper/zk-sasl-md5\"".to_owned()),
        ("response", String::from_utf8(proof.to_vec()).expect("ASCII")),
    ];
    fields.extend(authzid.map(|authzid| ("authzid", format!("\"{authzid}\""))));
    for (key, value) in changes {
        fields.retain(|(name, _)| name != key);
        fields.extend(value.map(|value| (*key, value.to_owned())));
    }
    let fields: Vec<String> = fields.iter().map(|(key, value)| format!("{key}={value}")).collect();
    fields.join(",").into_bytes()
}

fn proven(result: Result<Step, Refusal>) -> String {
    match result {
        Ok(Step::Proven { user, token }) => {
            assert!(token.starts_with(b"rspauth=") && token.len() == 40);
            user
        }
        other => panic!("{other:?} proves nothing"),
    }
}

#[test]
fn recorded_exchange_of_kazoo_is_proven_with_the_recorded_answer() {
    let token = format!(
        "qop=auth,realm=\"zk-sasl-md5\",username=\"jaasuser\",nonce=\"{NONCE}\",cnonce=\"{CNONCE}\",\
         nc=00000001,digest-uri=\"zookeeper/zk-sasl-md5\",response=177fa56e5714db0b0263e1d175cfb66c"
    );
    let user = "jaasuser".to_owned();
    let own = b"rspauth=c1c56e8352710abd63d09d221ddb8664".to_vec();
    assert_eq!(answer(token.as_bytes()), Ok(Step::Proven { user, token: own }));
}

#[test]
fn recorded_exchange_of_the_java_client_is_proven_with_the_recorded_answer() {
    let (nonce, cnonce) =
        ("VImi9OFIEDfKUQvPEuWG9copHBMMhNp0/2KjTEZv", "Bc4jm2w/G5WtjRp4iymkRBJGgBSYkpKltdra4b2K");
    let token = format!(
        "charset=utf-8,username=\"jaasuser\",realm=\"zk-sasl-md5\",nonce=\"{nonce}\",nc=00000001,\
         cnonce=\"{cnonce}\",digest-uri=\"zookeeper/zk-sasl-md5\",maxbuf=65536,\
         response=d5dc73b3bfc89b665dbd5178188ac99f,qop=auth,authzid=\"jaasuser\""
    );
    let mut exchange = Exchange::Challenged(Box::new(Nonce::recorded(nonce)));
    let user = "jaasuser".to_owned();
    let own = b"rspauth=f3805841e2de3908a1d7562686ac13b2".to_vec();
    let step = exchange.step(token.as_bytes(), &credentials(), &mut nonces());
    assert_eq!(step, Ok(Step::Proven { user, token: own }));
}

#[test]
fn challenge_has_four_fields_and_a_nonce_that_is_never_the_same() {
    let mut nonces = nonces();
    let mut seen = Vec::new();
    for first in [b"".as_slice(), b"ignored", &[0; 4_096]] {
        let step = Exchange::default().step(first, &credentials(), &mut nonces);
        let Ok(Step::Challenge(challenge)) = step else { panic!("{step:?}") };
        let text = String::from_utf8(challenge).expect("ASCII");
        let rest = text.strip_prefix("realm=\"zk-sasl-md5\",nonce=\"").expect("realm first");
        let nonce = rest.strip_suffix("\",charset=utf-8,algorithm=md5-sess").expect("as Java");
        assert_eq!(nonce.len(), 40);
        assert!(!seen.contains(&nonce.to_owned()));
        seen.push(nonce.to_owned());
    }
    let too_long = Exchange::default().step(&[0; 4_097], &credentials(), &mut nonces);
    assert_eq!(too_long, Err(Refusal::TooLong));
    let other_shard = NonceSource::new([7; 32], 4).fresh();
    let other_key = NonceSource::new([8; 32], 3).fresh();
    assert!(![other_shard, other_key].iter().any(|nonce| seen[0].as_bytes() == nonce.as_bytes()));
}

#[test]
fn forms_of_a_response_that_zookeeper_accepts_are_accepted() {
    let forms: &[&[(&str, Option<&str>)]] = &[
        &[],
        &[("qop", None)],
        &[("qop", Some("\"auth\""))],
        &[("nc", None)],
        &[("nc", Some("00000002"))],
        &[("nc", Some("x"))],
        &[("nonce-count", Some("1"))],
        &[("realm", Some("zk-sasl-md5 "))],
        &[("cipher", Some("rc4"))],
        &[("maxbuf", Some("-1"))],
        &[("charset", Some("utf-8"))],
        &[("maxbuf", Some("65536"))],
        &[("unknown", Some("field")), ("other", Some("\"a,b\""))],
    ];
    for form in forms {
        assert_eq!(proven(answer(&response(form))), "jaasuser", "{form:?}");
    }
    // The host and service may have another case, which the hash has then, too.
    let hash = PasswordHash::of("jaasuser", "jaas_password");
    let uri = "ZooKeeper/ZK-SASL-MD5";
    let proof = Agreed { digest_uri: uri.as_bytes(), ..agreed(None) }.proof(&hash, Prover::Client);
    let proof = String::from_utf8(proof.to_vec()).expect("ASCII");
    let cased = response(&[("digest-uri", Some(uri)), ("response", Some(&proof))]);
    assert_eq!(proven(answer(&cased)), "jaasuser");
    let users = [("empty", ""), ("ü", "pä"), ("δ", "ώ"), ("a\"b\\c", "pw")];
    for user in users {
        assert_eq!(proven(answer(&response_of(user, None, &[]))), user.0);
    }
}

#[test]
fn requested_name_is_never_believed() {
    for authzid in ["super", "jaasuser", "", "somebody else"] {
        let token = response_of(("jaasuser", "jaas_password"), Some(authzid), &[]);
        assert_eq!(proven(answer(&token)), "jaasuser");
    }
    // It is part of the hash, so that it cannot be added on the way either.
    let added = response(&[("authzid", Some("\"super\""))]);
    assert_eq!(answer(&added), Err(Refusal::Proof));
}

#[test]
fn forms_of_a_response_that_zookeeper_refuses_are_refused() {
    let wrong = "\"zookeeper/zk-sasl-md5/third\"";
    let forms: &[(&str, Option<&str>)] = &[
        ("response", Some("177fa56e5714db0b0263e1d175cfb66d")),
        ("response", Some("177FA56E5714DB0B0263E1D175CFB66C")),
        ("response", Some("\"\"")),
        ("response", None),
        ("username", Some("\"nobody\"")),
        ("username", Some("\"super\"")),
        ("username", Some("\"\"")),
        ("username", None),
        ("realm", Some("\"other\"")),
        ("realm", Some("\"\"")),
        ("realm", None),
        ("digest-uri", Some("\"other/zk-sasl-md5\"")),
        ("digest-uri", Some("\"zookeeper/other\"")),
        ("digest-uri", Some(wrong)),
        ("digest-uri", None),
        ("qop", Some("auth-int")),
        ("qop", Some("auth-conf")),
        ("qop", Some("AUTH")),
        ("nonce-count", Some("00000002")),
        ("nonce-count", Some("x")),
        ("nonce", Some("\"VImi9OFIEDfKUQvPEuWG9copHBMMhNp0/2KjTEZv\"")),
        ("nonce", None),
        ("cnonce", None),
        ("charset", Some("latin-1")),
        ("charset", Some("UTF-8")),
        ("digest-uri", Some("\"zookeeper/ZK-SASL-MD5\"")),
        ("maxbuf", Some("many")),
    ];
    for (key, value) in forms {
        let refused = answer(&response(&[(*key, *value)]));
        assert!(refused.is_err(), "{key}={value:?} gave {refused:?}");
    }
    for twice in ["realm=\"zk-sasl-md5\"", "username=\"jaasuser\"", "qop=auth", "CNONCE=x"] {
        let token = [response(&[]), b",".to_vec(), twice.into()].concat();
        assert_eq!(answer(&token), Err(Refusal::Malformed), "{twice} twice");
    }
    for (key, value) in [("maxbuf", "many"), ("nonce-count", "x"), ("username", "\"\"")] {
        let answered = answer(&response(&[(key, Some(value))]));
        assert_eq!(answered, Err(Refusal::Unanswered(key)));
    }
    for broken in [b"".as_slice(), b",\"", b"=", b"username"] {
        assert!(answer(broken).is_err());
    }
    let wrong_password = response_of(("empty", "something"), None, &[]);
    assert_eq!(answer(&wrong_password), Err(Refusal::Proof));
    let no_password = response_of(("jaasuser", ""), None, &[]);
    assert_eq!(answer(&no_password), Err(Refusal::Proof));
}

#[test]
fn response_of_4096_bytes_is_accepted_and_one_more_refused() {
    let padded = |bytes: usize| {
        let token = response(&[]);
        let padding = "x".repeat(bytes - token.len() - ",pad=".len());
        [token, format!(",pad={padding}").into_bytes()].concat()
    };
    assert_eq!(proven(answer(&padded(4_096))), "jaasuser");
    assert_eq!(answer(&padded(4_097)), Err(Refusal::TooLong));
}

#[test]
fn connection_has_one_exchange_whatever_its_end() {
    let (credentials, mut nonces) = (credentials(), nonces());
    let (good, bad) = (response(&[]), response(&[("response", None)]));
    for (token, succeeds) in [(&good, true), (&bad, false), (&Vec::new(), false)] {
        let mut exchange = challenged();
        assert_eq!(exchange.step(token, &credentials, &mut nonces).is_ok(), succeeds);
        for again in [&good, &bad, &Vec::new()] {
            assert_eq!(exchange.step(again, &credentials, &mut nonces), Err(Refusal::Ended));
        }
    }
    // The response to one nonce is none to the next.
    let mut replayed = Exchange::default();
    replayed.step(b"", &credentials, &mut nonces).expect("a challenge");
    assert_eq!(replayed.step(&good, &credentials, &mut nonces), Err(Refusal::Field("nonce")));
}

#[test]
fn own_client_and_server_convince_each_other() {
    let (credentials, mut nonces) = (credentials(), nonces());
    for (user, password) in [("jaasuser", "jaas_password"), ("ü", "pä"), ("a\"b\\c", "pw")] {
        let (mut server, mut client) =
            (Exchange::default(), ClientExchange::new(user, password, CNONCE));
        let Ok(Step::Challenge(challenge)) = server.step(b"", &credentials, &mut nonces) else {
            panic!("no challenge")
        };
        let token = client.step(Some(&challenge)).expect("a challenge").expect("a response");
        let Ok(Step::Proven { user: proven, token }) =
            server.step(&token, &credentials, &mut nonces)
        else {
            panic!("{user} is refused")
        };
        assert_eq!(proven, user);
        assert_eq!(client.clone().step(Some(&token)), Ok(None));
        assert_eq!(client.step(Some(b"rspauth=0")), Err(NoProof::Server));
    }
    let mut client = ClientExchange::new("jaasuser", "jaas_password", CNONCE);
    assert_eq!(client.step(None), Err(NoProof::NotOffered));
    assert_eq!(client.step(Some(b"nonce=\"a\"")), Err(NoProof::Challenge));
}

#[test]
fn no_password_is_shown() {
    let mut settings = SaslSettings::none();
    settings.credentials = Some(Credentials::new());
    settings.credentials.get_or_insert_default().set("bob", "marker-7f3a");
    settings.nonce_key = [0xab; 32];
    let hash = PasswordHash::of("bob", "marker-7f3a");
    let client = ClientExchange::new("bob", "marker-7f3a", CNONCE);
    let shown = format!("{settings:?} {hash:?} {client:?}");
    assert!(shown.contains("bob") && !shown.contains("marker-7f3a"), "{shown}");
    assert!(!shown.contains("171") && !shown.contains("ab, "), "{shown}");
}

proptest! {
    #[test]
    fn random_tokens_are_refused_without_a_panic(
        tokens in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..4)
    ) {
        let (credentials, mut nonces) = (credentials(), nonces());
        let (mut server, mut client) =
            (Exchange::default(), ClientExchange::new("a", "b", CNONCE));
        for token in &tokens {
            let step = server.step(token, &credentials, &mut nonces);
            let proven = matches!(step, Ok(Step::Proven { .. }));
            prop_assert!(!proven);
            prop_assert!(client.step(Some(token)) != Ok(None));
        }
    }

    #[test]
    fn changed_response_is_refused_without_a_panic(
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let good = response(&[]);
        let mut changed = good.clone();
        changed[at.index(good.len())] = byte;
        // A quoted value may also be written without quotes, and keys in upper case.
        if let Ok(Step::Proven { user, .. }) = answer(&changed) {
            prop_assert_eq!(user, "jaasuser");
        }
        prop_assert!(answer(&good[..cut.index(good.len())]).is_err());
    }
}
