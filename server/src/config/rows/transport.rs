//! TLS.

use super::super::table::Disposition::Refused;
use super::super::table::{Kind, Row, Topic};
use super::{PORT, millis};

pub(super) const TOPIC: Topic = Topic {
    title: "TLS",
    about: "Encryption for clients. Servers have none between each other in this release.",
    rows: ROWS,
};

const NO_PEER_TLS: &str = "servers have no TLS between each other in this release; keep them in a \
                           network of their own without it, or stay with ZooKeeper until they do";
const NO_REVOCATION: &str = "certificates are not looked up over the network; remove it, and issue \
                             certificates that expire soon";
const STORE_TYPES: Kind = Kind::Choice(&["JKS", "PEM", "PKCS12", "BCFKS", ""]);

const ROWS: &[Row] = &[
    Row::parsed("secureClientPort", PORT, "")
        .unset()
        .doc("The TCP port for TLS clients; it may be the only one."),
    Row::parsed("secureClientPortAddress", Kind::Host, "")
        .unset()
        .doc("The address to listen on for TLS clients; every address when unset."),
    Row::property("client.portUnification", Kind::Switch, "false")
        .doc("Whether the client port takes TLS clients too; the first byte of each tells."),
    Row::property("client.certReload", Kind::Switch, "true")
        .apache("false", "ZooKeeper reads its stores again for every connection anyway")
        .doc("Whether changed stores are taken over while running; with false by SIGHUP only."),
    Row::property("ssl.keyStore.location", Kind::Path, "")
        .unset()
        .doc("The file with the key of the server and its certificates."),
    Row::property("ssl.keyStore.password", Kind::Secret, "")
        .unset()
        .doc("The password of the key store, and of the key in it."),
    Row::property("ssl.keyStore.passwordPath", Kind::Path, "")
        .unset()
        .doc("A file with the password of the key store; it wins over the password itself."),
    Row::property("ssl.keyStore.type", STORE_TYPES, "")
        .doc("The form of the key store; when empty the name of the file tells, or its content."),
    Row::property("ssl.trustStore.location", Kind::Path, "")
        .unset()
        .apache("the authorities of the JDK", "no public authority vouches for your clients")
        .doc("The file with the certificates that clients are verified by."),
    Row::property("ssl.trustStore.password", Kind::Secret, "")
        .unset()
        .doc("The password of the trust store."),
    Row::property("ssl.trustStore.passwordPath", Kind::Path, "")
        .unset()
        .doc("A file with the password of the trust store; it wins over the password itself."),
    Row::property("ssl.trustStore.type", STORE_TYPES, "")
        .doc("The form of the trust store; when empty the name of the file tells, or its content."),
    Row::property("ssl.clientAuth", Kind::Choice(&["need", "want", "none"]), "need")
        .doc("Whether clients need a certificate, may show one, or are not asked for it."),
    Row::property("ssl.protocol", Kind::Choice(&["TLSv1.3", "TLSv1.2", "TLS", ""]), "")
        .apache("TLSv1.3", "clients of ZooKeeper 3.8 speak TLSv1.2 alone")
        .doc("The only version of TLS that is offered; both when it is empty or TLS."),
    Row::property("ssl.enabledProtocols", Kind::Words, "").doc(
        "The versions of TLS that are offered, TLSv1.3 and TLSv1.2; it wins over ssl.protocol.",
    ),
    Row::property("ssl.ciphersuites", Kind::Words, "")
        .doc("The cipher suites that are offered, by their names in Java; all when it is empty."),
    Row::property("ssl.hostnameVerification", Kind::Switch, "true")
        .no_meaning("it is about the certificates of servers, which clients verify")
        .doc("Whether the name in the certificate of a server is verified."),
    Row::property("ssl.clientHostnameVerification", Kind::Switch, "false")
        .refused("addresses in the certificates of clients are not compared here; remove it")
        .doc("Whether the certificate of a client has to name its address."),
    Row::property("ssl.allowReverseDnsLookup", Kind::Switch, "false")
        .refused("no server asks DNS who a client is, which anybody can forge; remove it")
        .doc("Whether the name of a client is looked up to compare it with its certificate."),
    Row::property("ssl.crl", Kind::Switch, "false")
        .refused(NO_REVOCATION)
        .doc("Whether lists of revoked certificates are fetched."),
    Row::property("ssl.ocsp", Kind::Switch, "false")
        .refused(NO_REVOCATION)
        .doc("Whether certificates are asked about at their issuers."),
    Row::property("ssl.context.supplier.class", Kind::Text, "")
        .unset()
        .refused("Java classes cannot be loaded here; name the stores by ssl.keyStore.location")
        .doc("A class that makes the TLS configuration."),
    Row::property("ssl.authProvider", Kind::Text, "x509")
        .refused("there is one provider for certificates here; remove it, or write x509")
        .doc("The authentication scheme that verifies certificates."),
    Row::property("ssl.sslProvider", Kind::Text, "JDK")
        .no_meaning("TLS is built in")
        .doc("Which implementation of TLS is used in Java."),
    Row::property("ssl.handshakeDetectionTimeoutMillis", millis(1, super::INT_MAX), "5000")
        .no_meaning("the first byte tells, and nio.sessionlessCnxnTimeout limits silence")
        .doc("How long a port for both waits for the bytes that tell TLS from plain."),
    Row::property("ssl.*", Kind::Text, "")
        .unset()
        .refused("this setting of TLS is not known here; remove it")
        .doc("Other settings of TLS for clients."),
    Row::property("ssl.quorum.*", Kind::Text, "")
        .unset()
        .refused(NO_PEER_TLS)
        .in_ensemble(Refused(NO_PEER_TLS))
        .doc("Keys, certificates, protocols and checks of TLS between servers."),
    Row::parsed("sslQuorum", Kind::Switch, "false")
        .properties(&["zookeeper.sslQuorum"])
        .refused(NO_PEER_TLS)
        .in_ensemble(Refused(NO_PEER_TLS))
        .doc("Whether servers talk TLS to each other."),
    Row::parsed("portUnification", Kind::Switch, "false")
        .refused(NO_PEER_TLS)
        .in_ensemble(Refused(NO_PEER_TLS))
        .doc("Whether the ports between servers take both plain and TLS connections."),
    Row::parsed("sslQuorumReloadCertFiles", Kind::Switch, "false")
        .refused(NO_PEER_TLS)
        .in_ensemble(Refused(NO_PEER_TLS))
        .doc("Whether changed certificates between servers are loaded while running."),
    Row::property("fips-mode", Kind::Switch, "true")
        .no_meaning("the library for TLS here is no build that FIPS 140 was certified for")
        .doc("Whether only what FIPS 140 allows is used in TLS and SASL."),
];
