//! TLS in front of a scripted server, with certificates of an authority of the test's own; and a proxy that tunnels.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tempfile::TempDir;

use super::server::Server;

/// A certificate authority that nobody knows yet. Made by the openssl command.
pub struct Authority {
    directory: TempDir,
}

impl Authority {
    /// Makes one; `None`, said loudly, where there is no openssl command.
    pub fn new() -> Option<Self> {
        Self::signing("P-256", "sha256")
    }

    /// Makes one with a key on this curve, which signs by this digest.
    pub fn signing(curve: &str, digest: &str) -> Option<Self> {
        if !super::peers::present("openssl", super::peers::command("openssl").is_some()) {
            return None;
        }
        let authority = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        let settings = format!(
            "[ca]\ndefault_ca=own\n[own]\ndir=.\ndatabase=index\nserial=serial\nnew_certs_dir=.\n\
            default_md={digest}\npolicy=any\ncopy_extensions=copy\nunique_subject=no\n[any]\ncommonName=supplied\n\
            [req]\ndistinguished_name=dn\n[dn]\n"
        );
        std::fs::write(authority.path("settings"), settings).unwrap();
        std::fs::write(authority.path("index"), "").unwrap();
        std::fs::write(authority.path("serial"), "01\n").unwrap();
        authority.openssl(&format!(
            "req -x509 -config settings -newkey ec -pkeyopt ec_paramgen_curve:{curve} -{digest} -noenc -days 2 \
             -subj /CN=test-ca -addext basicConstraints=critical,CA:true -addext keyUsage=critical,keyCertSign \
             -keyout ca.key -out ca.pem",
        ));
        Some(authority)
    }

    /// Returns the path of a file beside them.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Runs the openssl command beside the authority's files, `ca.pem` and `ca.key`.
    pub fn openssl(&self, arguments: &str) {
        let output = Command::new("openssl")
            .args(arguments.split_whitespace())
            .current_dir(self.directory.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "openssl {arguments}: {output:?}");
    }

    /// The authority's own certificate, for `SSL_CERT_FILE`.
    pub fn certificate(&self) -> PathBuf {
        self.path("ca.pem")
    }

    /// Puts TLS in front of a server, with a certificate for `host` that is valid on these days (`YYYYMMDD`).
    pub fn guard(&self, server: &Server, host: &str, days: (&str, &str)) -> Guarded {
        let kind = if host.parse::<std::net::IpAddr>().is_ok() {
            "IP"
        } else {
            "DNS"
        };
        self.openssl(&format!(
            "req -new -config settings -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -subj /CN=leaf \
             -addext subjectAltName={kind}:{host} -keyout leaf.key -out leaf.csr"
        ));
        self.openssl(&format!(
            "ca -batch -config settings -cert ca.pem -keyfile ca.key -in leaf.csr -out leaf.pem -notext \
             -startdate {}000000Z -enddate {}000000Z",
            days.0, days.1
        ));
        Guarded::start(server.port(), &self.path("leaf.pem"), &self.path("leaf.key"))
    }
}

impl Authority {
    /// Puts TLS in front of a server with a certificate for `host` that its own key signed and that says `extension`, as in
    /// every tutorial; returns its file too.
    pub fn guard_self_signed(
        &self,
        server: &Server,
        host: &str,
        days: (&str, &str),
        extension: &str,
    ) -> (Guarded, PathBuf) {
        let kind = if host.parse::<std::net::IpAddr>().is_ok() {
            "IP"
        } else {
            "DNS"
        };
        let name = format!(
            "own-{}",
            std::fs::read_dir(self.directory.path()).unwrap().count()
        );
        self.openssl(&format!(
            "req -new -config settings -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -subj /CN=own \
             -addext subjectAltName={kind}:{host} -addext {extension} -keyout {name}.key -out {name}.csr"
        ));
        self.openssl(&format!(
            "ca -batch -config settings -selfsign -keyfile {name}.key -in {name}.csr -out {name}.pem -notext \
             -startdate {}000000Z -enddate {}000000Z",
            days.0, days.1
        ));
        let certificate = self.path(&format!("{name}.pem"));
        let guarded = Guarded::start(server.port(), &certificate, &self.path(&format!("{name}.key")));
        (guarded, certificate)
    }

    /// Puts TLS in front of a server with a certificate made by these openssl commands, which write `own.pem` and `own.key`.
    pub fn guard_made_by(&self, server: &Server, commands: &[&str]) -> (Guarded, PathBuf) {
        commands.iter().for_each(|command| self.openssl(command));
        let certificate = self.path("own.pem");
        let guarded = Guarded::start(server.port(), &certificate, &self.path("own.key"));
        (guarded, certificate)
    }

    /// Puts TLS in front of a server with the authority's own certificate.
    pub fn guard_by_itself(&self, server: &Server) -> Guarded {
        Guarded::start(server.port(), &self.certificate(), &self.path("ca.key"))
    }

    /// Makes a directory that holds this certificate by its hash, for `SSL_CERT_DIR`.
    pub fn directory_of(&self, certificate: &Path) -> PathBuf {
        let directory = certificate.with_extension("d");
        std::fs::create_dir(&directory).unwrap();
        std::fs::copy(certificate, directory.join("server.pem")).unwrap();
        self.openssl(&format!("rehash {}", directory.display()));
        directory
    }
}

/// A TLS endpoint that passes requests on to a scripted server.
pub struct Guarded {
    port: u16,
}

impl Guarded {
    fn start(behind: u16, certificate: &Path, key: &Path) -> Self {
        let chain = vec![CertificateDer::from_pem_file(certificate).unwrap()];
        let key = PrivateKeyDer::from_pem_file(key).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let config = Arc::clone(&config);
                thread::spawn(move || pass_on(stream, config, behind));
            }
        });
        Self { port }
    }

    pub fn port(&self) -> u16 {
        self.port
    }
}

/// Takes one request out of TLS, hands it to the server behind, and brings back what that says until it ends.
fn pass_on(stream: TcpStream, config: Arc<ServerConfig>, behind: u16) {
    let tls = StreamOwned::new(ServerConnection::new(config).unwrap(), stream);
    let mut reader = BufReader::new(tls);
    let Some(request) = request(&mut reader) else {
        return;
    };
    let mut server = TcpStream::connect(("127.0.0.1", behind)).unwrap();
    server.write_all(&request).unwrap();
    let mut bytes = [0; 4096];
    while let Ok(count @ 1..) = server.read(&mut bytes) {
        if reader
            .get_mut()
            .write_all(&bytes[..count])
            .and_then(|()| reader.get_mut().flush())
            .is_err()
        {
            return;
        }
    }
}

/// Reads one request whose body, if any, has a length.
fn request(reader: &mut impl BufRead) -> Option<Vec<u8>> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let lower = head.to_ascii_lowercase();
    let length = lower
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"));
    let length: usize = length.map_or(0, |length| length.trim().parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some([head.into_bytes(), body].concat())
}

/// A proxy that tunnels every CONNECT to one port of this machine, and keeps what it was asked for.
pub struct Tunnel {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Tunnel {
    pub fn to(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let kept = Arc::clone(&asked);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let kept = Arc::clone(&kept);
                thread::spawn(move || tunnel(stream, target, &kept));
            }
        });
        Self { port, asked }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The heads of all requests so far.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn tunnel(stream: TcpStream, target: u16, asked: &Mutex<Vec<String>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).unwrap_or(0) == 0 {
            return;
        }
    }
    asked.lock().unwrap().push(head);
    let mut client = stream;
    client
        .write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
        .unwrap();
    let mut server = TcpStream::connect(("127.0.0.1", target)).unwrap();
    server.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let (mut up, mut down) = (server.try_clone().unwrap(), client.try_clone().unwrap());
    thread::spawn(move || {
        let _ = std::io::copy(&mut reader, &mut up);
        let _ = up.shutdown(std::net::Shutdown::Write);
    });
    let _ = std::io::copy(&mut server, &mut down);
    let _ = client.shutdown(std::net::Shutdown::Both);
}
