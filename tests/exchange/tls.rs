//! A venue that cannot prove that it is the venue is told nothing, by HTTP and by streams alike.

use super::stage::{Exchange, Folder, QUIET, each};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/tls");

/// A server hello of TLS 1.1, as a machine in the middle would send that wants an old cipher: ECDHE-RSA-AES128-SHA.
fn old_hello() -> Vec<u8> {
    let mut hello = vec![0x16, 3, 2, 0, 42, 2, 0, 0, 38, 3, 2];
    hello.extend([7; 32]);
    hello.extend([0, 0xc0, 0x13, 0]);
    hello
}

/// What a server was told: connections, and what came inside of TLS or beside it.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<(u32, Vec<u8>)>>);

impl Heard {
    fn connections(&self) -> u32 {
        self.0.lock().unwrap().0
    }

    fn has(&self, words: &str) -> bool {
        String::from_utf8_lossy(&self.0.lock().unwrap().1).contains(words)
    }
}

/// Serves with one of the certificates, or speaks TLS 1.1; gives the port.
fn serve(certificate: Option<&str>) -> (u16, Heard) {
    let tls = certificate.map(|name| {
        let chain = CertificateDer::from_pem_file(format!("{FIXTURES}/{name}.cert.pem")).unwrap();
        let key = PrivateKeyDer::from_pem_file(format!("{FIXTURES}/host.key.pem")).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![chain], key);
        Arc::new(config.unwrap())
    });
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = Heard::default();
    let log = heard.clone();
    // Ends with the process: nothing tells a listener to stop.
    std::thread::spawn(move || {
        for tcp in listener.incoming().flatten() {
            let (tls, log) = (tls.clone(), log.clone());
            std::thread::spawn(move || hear(tcp, tls, &log));
        }
    });
    (port, heard)
}

fn hear(mut tcp: TcpStream, tls: Option<Arc<ServerConfig>>, log: &Heard) {
    log.0.lock().unwrap().0 += 1;
    tcp.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut said = [0; 4_096];
    let count = match tls {
        Some(config) => {
            let connection = ServerConnection::new(config).unwrap();
            let mut inside = StreamOwned::new(connection, tcp);
            inside.read(&mut said).unwrap_or(0)
        }
        None => {
            // The greeting names the host and nothing else.
            let greeting = tcp.read(&mut said).unwrap_or(0);
            log.0.lock().unwrap().1.extend_from_slice(&said[..greeting]);
            let _ = tcp.write_all(&old_hello());
            tcp.read(&mut said).unwrap_or(0)
        }
    };
    log.0.lock().unwrap().1.extend_from_slice(&said[..count]);
}

#[test]
fn li_10_only_a_venue_that_proves_itself_is_told_anything() {
    let exchange = Exchange::serve(QUIET);
    let hosts = [
        (Some("good"), ""),
        (Some("expired"), "certificate expired"),
        (Some("not-yet-valid"), "certificate not valid yet"),
        (Some("wrong-host"), "not valid for name"),
        (None, "peer is incompatible"),
    ];
    let sides = [
        ("rest_url", exchange.rest_url.as_str(), "https", "/fapi/"),
        ("stream_url", exchange.stream_url.as_str(), "wss", "/private/ws"),
    ];
    let cases = hosts.into_iter().flat_map(|host| sides.map(|side| (host, side)));
    each(cases, |((certificate, why), (option, url, scheme, target))| {
        let (port, heard) = serve(certificate);
        let folder = Folder::for_exchange(&exchange, "");
        folder.replace(
            &format!("{option} = \"{url}\""),
            &format!("{option} = \"{scheme}://localhost:{port}\""),
        );
        let trusted = format!("{FIXTURES}/tests-ca.cert.pem");
        let _guard = folder.guard_with(&[], &[("SSL_CERT_FILE", &trusted)]);
        let name = format!("{certificate:?} {option}");
        let begun = Instant::now();
        // Told to people, with its reason.
        let is_told = || {
            let log = folder.log();
            log.lines()
                .any(|line| line.contains("the private stream is down") && line.contains(why))
        };
        let over = || match why {
            "" => heard.has(target),
            _ => 2 <= heard.connections() && is_told(),
        };
        while !over() {
            assert!(
                begun.elapsed() < Duration::from_secs(60),
                "{name}: {}",
                folder.log()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        if !why.is_empty() {
            // And not a word of the request to the host.
            assert!(!heard.has(target) && !heard.has(&exchange.key), "{name}");
        }
    });
}
