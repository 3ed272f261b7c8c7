//! Clients that speak TLS.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use ringkeeper_engine::client::{Client, Options, four_letter_word};
use rustix::process::Signal;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion,
};
use tempfile::{TempDir, tempdir};

use crate::host::{Host, errors, finish, line_with, start};
use crate::web::get;

/// How long an answer may take on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(30);
/// A ConnectRequest for a new session of 30 s, in its frame.
const CONNECT: &[u8] = b"\0\0\0\x2d\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x75\x30\0\0\0\0\0\0\0\0\
                         \0\0\0\x10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
const WHO_AM_I: i32 = 107;
const GET_DATA: i32 = 4;

/// An authority, and what it has signed, as files.
struct Site {
    home: TempDir,
    authority: Issuer<'static, KeyPair>,
}

impl Site {
    fn new() -> Site {
        let home = tempdir().unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = named("authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        fs::write(home.path().join("ca.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        let site = Site { home, authority: Issuer::new(params, key) };
        site.sign("server");
        site.sign("client");
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Writes NAME.pem with a new key and its certificate.
    fn sign(&self, name: &str) {
        let key = KeyPair::generate().unwrap();
        let certificate = named(name).signed_by(&key, &self.authority).unwrap();
        fs::write(self.path(&format!("{name}.pem")), certificate.pem() + &key.serialize_pem())
            .unwrap();
    }

    fn definitions(&self, more: &[&str]) -> Vec<String> {
        let mut all = vec![
            "secureClientPort=0".to_owned(),
            "secureClientPortAddress=127.0.0.1".to_owned(),
            "4lw.commands.whitelist=*".to_owned(),
            format!("ssl.keyStore.location={}", self.path("server.pem").display()),
            format!("ssl.trustStore.location={}", self.path("ca.pem").display()),
        ];
        all.extend(more.iter().map(|one| (*one).to_owned()));
        all
    }

    fn serve(&self, more: &[&str]) -> Host {
        let all = self.definitions(more);
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        let mut command = start(&self.path("data"), &all);
        command.stderr(File::create(self.path("log.txt")).unwrap());
        Host::run(command)
    }

    fn config(
        &self,
        who: Option<&str>,
        version: &'static SupportedProtocolVersion,
    ) -> ClientConfig {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.path("ca.pem")).unwrap()).unwrap();
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots);
        let Some(who) = who else { return builder.with_no_client_auth() };
        let file = self.path(&format!("{who}.pem"));
        let chain = vec![CertificateDer::from_pem_file(&file).unwrap()];
        builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_file(&file).unwrap()).unwrap()
    }

    fn connect(&self, at: SocketAddr, who: Option<&str>) -> Tls<TcpStream> {
        Tls::over(tcp(at), self.config(who, &TLS13))
    }
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "Acme");
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn tcp(at: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(at).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// A client of ZooKeeper's protocol over TLS.
struct Tls<S: Read + Write>(StreamOwned<ClientConnection, S>);

impl<S: Read + Write> Tls<S> {
    fn over(stream: S, config: ClientConfig) -> Tls<S> {
        let name = ServerName::try_from("localhost").unwrap();
        let session = ClientConnection::new(Arc::new(config), name).unwrap();
        Tls(StreamOwned::new(session, stream))
    }

    fn frame(&mut self) -> io::Result<Vec<u8>> {
        let mut length = [0; 4];
        self.0.read_exact(&mut length)?;
        let mut frame = vec![0; u32::from_be_bytes(length) as usize];
        self.0.read_exact(&mut frame)?;
        Ok(frame)
    }

    fn begin(&mut self) -> io::Result<()> {
        self.0.write_all(CONNECT)?;
        let answer = self.frame()?;
        assert_ne!(answer[8..16], [0; 8], "a session");
        Ok(())
    }

    fn queue(&mut self, op: i32, body: &[u8]) {
        let length = u32::try_from(8 + body.len()).unwrap();
        let header = [length.to_be_bytes(), 1_i32.to_be_bytes(), op.to_be_bytes()].concat();
        self.0.write_all(&[&header, body].concat()).unwrap();
    }

    fn call(&mut self, op: i32, body: &[u8]) -> Vec<u8> {
        self.queue(op, body);
        self.frame().unwrap()
    }

    fn who(&mut self) -> String {
        String::from_utf8_lossy(&self.call(WHO_AM_I, b"")).into_owned()
    }
}

/// Hands every byte over in a write of its own.
struct ByteByByte(TcpStream);

impl Read for ByteByByte {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let end = bytes.len().min(1);
        self.0.read(&mut bytes[..end])
    }
}

impl Write for ByteByByte {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(&bytes[..bytes.len().min(1)])
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[test]
fn tls_client_is_served_and_has_the_subject_of_its_certificate() {
    for io in ["auto", "epoll"] {
        let site = Site::new();
        let host = site.serve(&[&format!("ringkeeper.io={io}")]);
        for version in [&TLS12, &TLS13] {
            let stream = tcp(host.secure.expect("a port for TLS"));
            let mut client = Tls::over(stream, site.config(Some("client"), version));
            client.begin().unwrap();
            let who = client.who();
            assert!(who.contains("x509") && who.contains("CN=client,O=Acme"), "{io}: {who:?}");
        }
    }
}

#[test]
fn large_and_pipelined_replies_arrive_whole_and_in_order() {
    for io in ["auto", "epoll"] {
        let site = Site::new();
        let host = site.serve(&[&format!("ringkeeper.io={io}")]);
        let value: Vec<u8> = (0..700_000_u32).map(|at| (at % 251) as u8).collect();
        host.connect().create("/large", &value).unwrap();
        let mut client = site.connect(host.secure.unwrap(), Some("client"));
        client.begin().unwrap();
        for _ in 0..30 {
            client.queue(GET_DATA, b"\0\0\0\x06/large\0");
        }
        for _ in 0..30 {
            let reply = client.frame().unwrap();
            assert_eq!(reply[20..20 + value.len()], value, "{io}");
        }
    }
}

#[test]
fn certificates_are_needed_wanted_or_not_asked_for() {
    let site = Site::new();
    for (auth, served) in [("need", false), ("want", true), ("none", true)] {
        let host = site.serve(&[&format!("ssl.clientAuth={auth}")]);
        let secure = host.secure.unwrap();
        let mut nobody = site.connect(secure, None);
        assert_eq!(nobody.begin().is_ok(), served, "{auth}");
        if served {
            assert!(!nobody.who().contains("x509"), "{auth}");
        } else {
            line_with(&site.path("log.txt"), "TLS handshake has failed");
            let mntr = four_letter_word(host.address, "mntr").unwrap();
            assert!(mntr.contains("zk_unsuccessful_handshake\t1"), "{mntr}");
        }
        let stranger = Site::new();
        let mut config = site.config(None, &TLS13);
        let file = stranger.path("client.pem");
        let chain = vec![CertificateDer::from_pem_file(&file).unwrap()];
        let key = PrivateKeyDer::from_pem_file(&file).unwrap();
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let key = rustls::sign::CertifiedKey::from_der(chain, key, &provider).unwrap();
        config.client_auth_cert_resolver = Arc::new(rustls::sign::SingleCertAndKey::from(key));
        let begun = Tls::over(tcp(secure), config).begin();
        assert_eq!(begun.is_ok(), auth == "none", "{auth}: {begun:?}");
        host.kill();
    }
}

#[test]
fn port_for_both_tells_by_the_first_byte_and_others_keep_apart() {
    for io in ["auto", "epoll"] {
        let site = Site::new();
        let host = site.serve(&["client.portUnification=true", &format!("ringkeeper.io={io}")]);
        let slow = ByteByByte(tcp(host.address));
        let mut client = Tls::over(slow, site.config(Some("client"), &TLS13));
        client.begin().unwrap();
        assert!(client.who().contains("CN=client"), "{io}");
        let mut plain = Client::connect(host.address, Options::default()).unwrap();
        plain.create("/plain", b"").unwrap();
        let mut stranger = tcp(host.secure.unwrap());
        stranger.write_all(CONNECT).unwrap();
        let mut bytes = Vec::new();
        // Closed at once, without a byte: the rest of what was sent may make it a reset.
        let _ = stranger.read_to_end(&mut bytes);
        assert_eq!(bytes, b"", "{io}: plain bytes at the port for TLS");
    }
}

#[test]
fn four_letter_word_is_answered_over_tls_with_a_clean_end() {
    let site = Site::new();
    let host = site.serve(&[]);
    let mut client = site.connect(host.secure.unwrap(), Some("client"));
    client.0.write_all(b"ruok").unwrap();
    let mut answer = String::new();
    // Without close_notify this would be an error.
    client.0.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "imok");
}

#[test]
fn connections_are_listed_and_counted_by_their_port() {
    let site = Site::new();
    let host = site.serve(&[]);
    let mut secure = site.connect(host.secure.unwrap(), Some("client"));
    secure.begin().unwrap();
    let plain = host.connect();
    let own = secure.0.sock.local_addr().unwrap().to_string();
    let cons = four_letter_word(host.address, "cons").unwrap();
    assert!(!cons.contains(&own) && cons.contains("/127.0.0.1:"), "{cons}");
    let mut there = site.connect(host.secure.unwrap(), Some("client"));
    there.0.write_all(b"cons").unwrap();
    let mut cons = String::new();
    there.0.read_to_string(&mut cons).unwrap();
    assert!(cons.contains(&own), "{cons}");
    let json = get(host.http[0], "/commands/connections").json();
    let [listed] = &json["secure_connections"].as_array().unwrap()[..] else { panic!("{json}") };
    assert_eq!(listed["remote_socket_address"], own);
    assert_eq!(json["connections"].as_array().unwrap().len(), 1);
    let mntr = four_letter_word(host.address, "mntr").unwrap();
    // The client without TLS, and the words.
    assert!(mntr.contains("zk_non_mtls_local_conn_count\t3\n"), "{mntr}");
    drop(plain);
}

#[test]
fn version_that_is_not_offered_is_refused() {
    let site = Site::new();
    for (setting, offered, refused) in
        [("ssl.protocol=TLSv1.3", &TLS13, &TLS12), ("ssl.enabledProtocols=TLSv1.2", &TLS12, &TLS13)]
    {
        let host = site.serve(&[setting]);
        let begin = |version| {
            let stream = tcp(host.secure.unwrap());
            Tls::over(stream, site.config(Some("client"), version)).begin()
        };
        assert!(begin(offered).is_ok() && begin(refused).is_err(), "{setting}");
        host.kill();
    }
}

#[test]
fn stores_are_read_again_and_those_that_cannot_be_used_are_not() {
    let site = Site::new();
    let host = site.serve(&[]);
    let shown = || {
        let mut client = site.connect(host.secure.unwrap(), Some("client"));
        client.begin().unwrap();
        client.0.conn.peer_certificates().unwrap()[0].clone().into_owned()
    };
    let first = shown();
    fs::write(site.path("server.pem"), "half a file").unwrap();
    host.signal(Signal::HUP);
    line_with(&site.path("log.txt"), "stay as they were");
    assert_eq!(shown(), first);
    site.sign("server");
    host.signal(Signal::HUP);
    line_with(&site.path("log.txt"), "they hold now");
    assert_ne!(shown(), first);
}

#[test]
fn stores_that_cannot_be_used_refuse_the_start() {
    let site = Site::new();
    let refused = |more: &[&str]| {
        let all = site.definitions(more);
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        let output = finish(start(&site.path("data"), &all));
        assert!(!output.status.success(), "{more:?}");
        errors(&output)
    };
    let missing = refused(&["ssl.keyStore.location=/nowhere/key.pem"]);
    assert!(missing.contains("ssl.keyStore.location=/nowhere/key.pem"), "{missing}");
    let without = refused(&["ssl.trustStore.location="]);
    assert!(without.contains("ssl.trustStore.location"), "{without}");
    let key = KeyPair::generate().unwrap().serialize_pem();
    let certificate = fs::read_to_string(site.path("client.pem")).unwrap();
    let certificate = certificate.split("-----BEGIN PRIVATE").next().unwrap().to_owned();
    fs::write(site.path("server.pem"), certificate + &key).unwrap();
    let mismatch = refused(&[]);
    assert!(mismatch.contains("server.pem"), "{mismatch}");
}
