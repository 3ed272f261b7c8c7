//! Who may do what.

use super::super::table::{Kind, Row, Topic};

pub(super) const TOPIC: Topic = Topic {
    title: "Access",
    about: "Who may do what, and how clients prove who they are.",
    rows: ROWS,
};

const NO_KERBEROS: &str = "GSSAPI (Kerberos) is not built in, and the names of DIGEST-MD5 users \
                           have neither host nor realm";

const ROWS: &[Row] = &[
    Row::property("skipACL", Kind::YesNo, "no")
        .doc("With yes, access lists are kept but not checked: every client may do everything."),
    Row::property("enableEagerACLCheck", Kind::Switch, "false")
        .no_meaning("a write is always checked before anything is done for it")
        .doc("Whether a follower checks a write before it passes it on."),
    Row::property("DigestAuthenticationProvider.enabled", Kind::Switch, "true")
        .doc("Whether the digest scheme, names with passwords, can be used."),
    Row::property("DigestAuthenticationProvider.superDigest", Kind::Secret, "").unset().doc(
        "The digest of the user super, who may do everything; its form is super: and a digest.",
    ),
    Row::property(
        "DigestAuthenticationProvider.digestAlg",
        Kind::Choice(&[
            "SHA1",
            "SHA-1",
            "SHA-224",
            "SHA-256",
            "SHA-384",
            "SHA-512",
            "SHA-512/224",
            "SHA-512/256",
            "SHA3-224",
            "SHA3-256",
            "SHA3-384",
            "SHA3-512",
            "MD5",
        ]),
        "SHA1",
    )
    .doc("How the digest scheme turns a name and password into an id."),
    Row::property("enforce.auth.enabled", Kind::Switch, "false").doc(
        "Whether clients must authenticate, by one of the schemes below, before anything \
             else.",
    ),
    Row::property("enforce.auth.schemes", Kind::Words, "")
        .doc("The schemes that satisfy enforce.auth.enabled, between commas."),
    Row::property("ensembleAuthName", Kind::Words, "")
        .doc("The names of this service; a client that expects another name is turned away."),
    Row::property("sessionRequireClientSASLAuth", Kind::Switch, "false")
        .doc("Whether clients must authenticate with SASL before anything else."),
    Row::property("requireClientAuthScheme", Kind::Text, "")
        .unset()
        .no_meaning("ZooKeeper 3.9 does not read it either; use sessionRequireClientSASLAuth")
        .doc("An older way to require SASL."),
    Row::property("allowSaslFailedClients", Kind::Switch, "false")
        .doc("Whether a client whose SASL exchange failed stays connected without an identity."),
    Row::property("authProvider.*", Kind::Text, "").unset().doc(
        "A class that adds an authentication scheme; those of ZooKeeper that exist here are \
             built in.",
    ),
    Row::property("superUser", Kind::Text, "").unset().doc("The SASL user who may do everything."),
    Row::property("superUser.*", Kind::Text, "")
        .unset()
        .doc("More SASL users who may do everything."),
    Row::property("SASLAuthenticationProvider.superPassword", Kind::Secret, "")
        .unset()
        .doc("The password of the SASL user super, in place of that of the JAAS file."),
    Row::property("X509AuthenticationProvider.superUser", Kind::Text, "")
        .unset()
        .doc("The subject of the certificate whose holder may do everything."),
    Row::property("IPAuthenticationProvider.usexforwardedfor", Kind::Switch, "false")
        .doc("Whether the ip scheme believes the X-Forwarded-For header of HTTP requests."),
    Row::property("letAnySaslUserDoX", Kind::Text, "")
        .unset()
        .doc("A name whose entries in access lists every SASL user matches."),
    Row::property("sasl.serverconfig", Kind::Text, "Server")
        .doc("The section of the JAAS file that the server uses."),
    Row::property("java.security.auth.login.config", Kind::Path, "")
        .properties(&["java.security.auth.login.config"])
        .unset()
        .doc("The JAAS file with the SASL users of the server."),
    Row::property("security.auth_to_local", Kind::Text, "DEFAULT")
        .no_meaning(NO_KERBEROS)
        .doc("The rules that map Kerberos principals to names."),
    Row::property("kerberos.removeHostFromPrincipal", Kind::Switch, "false")
        .no_meaning(NO_KERBEROS)
        .doc("Whether the host is dropped from a Kerberos principal."),
    Row::property("kerberos.removeRealmFromPrincipal", Kind::Switch, "false")
        .no_meaning(NO_KERBEROS)
        .doc("Whether the realm is dropped from a Kerberos principal."),
    Row::property("kerberos.*", Kind::Text, "")
        .unset()
        .no_meaning(NO_KERBEROS)
        .doc("Details of the Kerberos login."),
    Row::property("requireKerberosConfig", Kind::Switch, "false")
        .refused("GSSAPI (Kerberos) is not built in; use DIGEST-MD5 users of a JAAS file")
        .doc("Whether a missing Kerberos configuration stops the start."),
    Row::property("jaasLoginRenew", Kind::Text, "")
        .unset()
        .no_meaning("this release has no Kerberos login that would need renewal")
        .doc("How often the Kerberos login is renewed; current ZooKeeper does not read it."),
];
