//! One request at a time.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{KEY, venue};
use crate::model::{Intent, Span, Symbol};
use crate::venue::binance::client::names::Names;
use crate::venue::binance::client::socket::Socket;
use crate::venue::binance::client::testing::{API_KEY, API_SECRET, Reply, Server, ok, reader, short, soon};
use crate::venue::binance::client::*;
use crate::venue::binance::request::{Mutation, Read};
use crate::venue::binance::sign::{Signed, TradeSigner};

#[tokio::test]
async fn warm_connections_are_opened_once_and_orders_use_them() {
    let server = Server::start(|_| Reply::Slow(20, "{}".to_owned())).await;
    let http = server.http();
    for _ in 0..4 {
        http.warm_once().await;
    }
    assert_eq!(server.connections.load(Ordering::SeqCst), 3);
    assert_eq!(server.count("GET /fapi/v1/ping"), 12);
}

#[tokio::test]
async fn the_key_goes_into_a_header_and_signed_queries_arrive_as_signed() {
    let server = Server::start(venue).await;
    let http = server.http();
    http.read(&Read::account(), &reader(), Importance::Routine)
        .await
        .unwrap();
    let asked = server.asked();
    assert!(
        asked[0]
            .head
            .contains(&format!("x-mbx-apikey: {}", API_KEY.to_lowercase())),
        "{asked:?}"
    );
    let (payload, signature) = asked[0].target.split_once("&signature=").unwrap();
    assert!(
        payload.starts_with("/fapi/v3/account?recvWindow=3000&timestamp="),
        "{payload}"
    );
    assert_eq!(signature.len(), 64);
}

#[tokio::test]
async fn li_11_a_redirect_is_an_answer_and_is_not_followed() {
    let server = Server::start(|asked| match asked.path() {
        "/fapi/v3/account" => Reply::Http(302, "location: /elsewhere\r\n", String::new()),
        _ => ok("{}"),
    })
    .await;
    let answer = server
        .http()
        .read(&Read::account(), &reader(), Importance::Routine)
        .await
        .unwrap();
    assert_eq!(answer.status, 302);
    assert_eq!(server.count("GET /elsewhere"), 0);
}

#[tokio::test]
async fn li_01_after_429_nothing_is_asked_before_the_time_that_the_venue_named() {
    let server = Server::start(|_| Reply::Http(429, "retry-after: 2\r\n", "{}".to_owned())).await;
    let http = server.http();
    let asked = http.clock().now();
    let answer = http
        .read(&Read::time(), &reader(), Importance::Routine)
        .await
        .unwrap();
    assert_eq!(answer.status, 429);
    for importance in [Importance::Routine, Importance::Sight, Importance::Vital] {
        let none = http.read(&Read::time(), &reader(), importance).await.unwrap_err();
        assert!(
            !none.bytes_may_have_been_written && none.not_before > Some(asked.after(Span::from_secs(1))),
            "{none:?}"
        );
    }
    assert!(http.wait(true).is_some_and(|rest| Span::from_ms(1_000) < rest));
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn li_01_what_the_host_of_the_keys_rights_says_of_limits_stops_nothing_here() {
    let venue = Server::start(|_| ok("{}")).await;
    for reply in [
        Reply::Http(418, "retry-after: 600\r\n", "{}".to_owned()),
        Reply::Http(403, "", "<html>blocked</html>".to_owned()),
        Reply::Http(200, "x-mbx-used-weight-1m: 5900\r\n", "{}".to_owned()),
    ] {
        let (http, other) = (venue.http(), Server::start(move |_| reply.clone()).await);
        http.read_at(&other.url, &Read::restrictions(), &reader(), Importance::Routine)
            .await
            .unwrap();
        assert_eq!((http.wait(true), http.usage().0 < 1_000), (None, true));
        let seen = http.read(&Read::account(), &reader(), Importance::Sight).await;
        assert_eq!(seen.unwrap().status, 200);
    }
}

#[tokio::test]
async fn li_02_the_venues_own_count_of_weight_is_believed() {
    let server = Server::start(|_| Reply::Http(200, "x-mbx-used-weight-1m: 2300\r\n", "{}".to_owned())).await;
    let http = server.http();
    let mut refusals = Vec::new();
    // The minute may turn between the two, which would make the second one fine: but not twice.
    for _ in 0..2 {
        let told = http.read(&Read::time(), &reader(), Importance::Vital).await;
        assert!(told.is_ok());
        refusals.extend(http.read(&Read::time(), &reader(), Importance::Sight).await.err());
    }
    assert!(
        !refusals.is_empty() && refusals.iter().all(|none| none.why.contains("weight budget")),
        "{refusals:?}"
    );
    assert!(
        http.read(&Read::time(), &reader(), Importance::Vital)
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn li_05_the_offset_of_a_skewed_clock_is_measured() {
    for skew in [-10_000_i64, 10_000] {
        let server = Server::start(move |_| {
            ok(&format!(
                r#"{{"serverTime":{}}}"#,
                crate::clock::now().ms() + skew
            ))
        })
        .await;
        let http = server.http();
        let offset = http.sync_clock(&reader()).await.unwrap();
        assert!((offset - skew).abs() < 200, "{offset}");
        assert!((http.timestamp().ms() - crate::clock::now().ms() - skew).abs() < 200);
    }
}

#[tokio::test]
async fn li_05_the_quickest_of_the_samples_tells_the_offset() {
    let asked = AtomicI64::new(0);
    let server = Server::start(move |_| {
        let body = format!(r#"{{"serverTime":{}}}"#, crate::clock::now().ms());
        match asked.fetch_add(1, Ordering::SeqCst) {
            1 => ok(&body),
            // The way back takes 600 ms, the way there nothing: half of it is a wrong guess.
            _ => Reply::Slow(600, body),
        }
    })
    .await;
    let offset = server.http().sync_clock(&reader()).await.unwrap();
    assert!(offset.abs() < 200, "{offset}");
}

#[tokio::test]
async fn li_05_half_of_a_slow_round_trip_is_the_most_that_a_clock_is_off() {
    let server = Server::start(|_| {
        Reply::Slow(
            400,
            format!(r#"{{"serverTime":{}}}"#, crate::clock::now().ms() + 400),
        )
    })
    .await;
    // Told at the end of a way of 400 ms: as late as it can be.
    let offset = server.http().sync_clock(&reader()).await.unwrap();
    assert!((150..=250).contains(&offset), "{offset}");
}

#[tokio::test]
async fn li_13_after_a_403_reads_wait_half_a_minute_and_mutations_do_not() {
    let server = Server::start(|_| Reply::Http(403, "", "<html>blocked</html>".to_owned())).await;
    let http = server.http();
    let asked = http.clock().now();
    let first = http.read(&Read::account(), &reader(), Importance::Sight).await;
    assert_eq!(first.unwrap().status, 403);
    let none = http
        .read(&Read::account(), &reader(), Importance::Sight)
        .await
        .unwrap_err();
    assert!(
        none.not_before >= Some(asked.after(Span::from_secs(30))),
        "{none:?}"
    );
    assert_eq!((http.wait(true), http.wait(false)), (None, None));
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn pa_10_a_body_without_end_is_no_answer() {
    let server = Server::start(|_| ok(&"x".repeat(17 * 1024 * 1024))).await;
    let none = server
        .http()
        .read(&Read::account(), &reader(), Importance::Routine)
        .await
        .unwrap_err();
    assert!(none.bytes_may_have_been_written, "{none:?}");
}

#[tokio::test]
async fn pa_08_what_was_signed_is_what_is_sent_in_any_script() {
    let server = Server::start(venue).await;
    let (http, trade) = (server.http(), TradeSigner::new(&API_SECRET.into()).unwrap());
    for name in ["测试USDT", "1000PEPEUSDT", "BTCUSDT_260327", &"X".repeat(150)] {
        let intent = Intent::CancelAll(Symbol::new(name).unwrap());
        let signed = trade.sign(&Mutation::from_intent(&intent), http.timestamp(), RECV_WINDOW_MS);
        http.mutate(&signed).await.unwrap();
        assert_eq!(server.asked().last().unwrap().target, signed.path_and_query());
    }
    // What a parser of addresses would encode anew is not sent at all.
    let odd = Signed::new("DELETE", "/fapi/v1/allOpenOrders?symbol=测试USDT".into());
    let none = http.mutate(&odd).await.unwrap_err();
    assert!(!none.bytes_may_have_been_written, "{none:?}");
}

#[test]
fn or_07_a_request_ends_after_three_seconds_and_a_connect_sooner() {
    let config = HttpConfig::new("http://127.0.0.1:1");
    assert!(config.request_timeout <= Span::from_secs(3));
    assert!(config.connect_timeout < config.request_timeout);
}

#[tokio::test]
async fn or_07_a_request_without_an_answer_ends_and_may_have_been_written() {
    let server = Server::start(|_| Reply::Hang).await;
    let http = server.http_with(short);
    let none = soon(http.read(&Read::time(), &reader(), Importance::Vital))
        .await
        .unwrap_err();
    assert!(
        none.bytes_may_have_been_written && none.why.contains("timed out"),
        "{none:?}"
    );
}

#[tokio::test]
async fn or_06_nothing_was_written_when_nobody_listens() {
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let config = HttpConfig::new(&format!("http://127.0.0.1:{port}"));
    let http = Http::new(
        config,
        &secrecy::SecretString::from(API_KEY),
        crate::clock::Clock::start(),
    )
    .unwrap();
    let none = http
        .read(&Read::time(), &reader(), Importance::Vital)
        .await
        .unwrap_err();
    assert!(!none.bytes_may_have_been_written, "{none:?}");
}

#[tokio::test]
async fn se_01_no_error_text_has_a_secret_a_signature_or_the_listen_key() {
    let mut texts = Vec::new();
    for reply in [Reply::Hang, Reply::Cut, Reply::Http(500, "", "oops".to_owned())] {
        let server = Server::start(move |_| reply.clone()).await;
        let http = server.http_with(short);
        let read = http.read(&Read::account(), &reader(), Importance::Vital).await;
        texts.push(read.err().map(|none| format!("{none} {none:?}")));
        texts.push(http.keep_key().await.err().map(|none| format!("{none} {none:?}")));
    }
    let streams = "ws://127.0.0.1:1";
    let url = crate::venue::binance::stream::private_url(streams, KEY);
    texts.push(
        Socket::open(&Names::default(), &url, Duration::from_secs(1))
            .await
            .err(),
    );
    let texts: Vec<String> = texts.into_iter().flatten().collect();
    assert!(5 <= texts.len(), "{texts:?}");
    for text in texts {
        for secret in [API_KEY, API_SECRET, KEY, "signature"] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}

#[tokio::test]
async fn the_keys_permissions_are_asked_of_the_account_host() {
    let body = r#"{"ipRestrict":true,"enableReading":true,"enableWithdrawals":true,"enableInternalTransfer":false,
        "permitsUniversalTransfer":false,"enableFutures":true}"#;
    let server = Server::start(move |asked| match asked.path() {
        "/sapi/v1/account/apiRestrictions" => ok(body),
        _ => venue(asked),
    })
    .await;
    let http = server.http();
    let got = permissions::permissions(&http, &reader(), &server.url)
        .await
        .unwrap();
    assert_eq!(got.excessive(), ["enableWithdrawals"]);
}

/// A server that speaks TLS with a certificate that nobody vouches for, and remembers what it was told inside.
async fn impostor() -> (std::net::SocketAddr, Arc<Mutex<Vec<u8>>>) {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/tls/nobodys");
    let certificate = CertificateDer::from_pem_file(format!("{folder}.cert.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(format!("{folder}.key.pem")).unwrap();
    let config =
        rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let log = heard.clone();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            // A client that looks at the certificate says nothing after it.
            let Ok(mut inside) = acceptor.accept(tcp).await else {
                continue;
            };
            let mut request = [0; 4_096];
            let n = inside.read(&mut request).await.unwrap_or(0);
            log.lock().unwrap().extend_from_slice(&request[..n]);
            let _ = inside
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 16\r\n\r\n{\"serverTime\":1}")
                .await;
        }
    });
    (address, heard)
}

#[tokio::test]
async fn li_10_a_certificate_that_nobody_vouches_for_is_refused_and_told_nothing() {
    let (address, heard) = impostor().await;
    let config = HttpConfig::new(&format!("https://localhost:{}", address.port()));
    let clock = crate::clock::Clock::start();
    let http = Http::new(config, &secrecy::SecretString::from(API_KEY), clock).unwrap();
    let read = http.read(&Read::time(), &reader(), Importance::Vital).await;
    assert!(!read.unwrap_err().bytes_may_have_been_written);
    let url = format!("wss://localhost:{}/private/ws", address.port());
    let opened = Socket::open(&Names::default(), &url, Duration::from_secs(3)).await;
    assert!(opened.is_err_and(|why| !why.contains("no connection within")));
    assert_eq!(*heard.lock().unwrap(), b"", "not a byte inside the connection");
}

#[tokio::test]
async fn li_10_a_host_that_cannot_prove_itself_is_refused_by_http_and_by_sockets() {
    // It answers a TLS greeting in plain text.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let log = heard.clone();
    tokio::spawn(async move {
        while let Ok((mut tcp, _)) = listener.accept().await {
            let mut greeting = [0; 4_096];
            let n = tcp.read(&mut greeting).await.unwrap();
            log.lock().unwrap().extend_from_slice(&greeting[..n]);
            let _ = tcp.write_all(b"HTTP/1.1 400 X\r\n\r\n").await;
        }
    });
    let config = HttpConfig::new(&format!("https://{address}"));
    let clock = crate::clock::Clock::start();
    let http = Http::new(config, &secrecy::SecretString::from(API_KEY), clock).unwrap();
    let none = http
        .read(&Read::time(), &reader(), Importance::Vital)
        .await
        .unwrap_err();
    assert!(!none.bytes_may_have_been_written, "{none:?}");
    let url = format!("wss://{address}/private/ws");
    let opened = Socket::open(&Names::default(), &url, Duration::from_secs(3)).await;
    assert!(opened.is_err_and(|why| !why.contains("no connection within")));
    let heard = heard.lock().unwrap();
    assert!(
        !heard
            .windows(6)
            .any(|bytes| bytes == b"CANARY" || bytes == b"/fapi/")
    );
}

#[tokio::test]
async fn li_06_the_clock_moves_only_when_venue_and_wall_agree_that_time_has_passed() {
    let skew = Arc::new(AtomicI64::new(0));
    let read = skew.clone();
    let server = Server::start(move |_| {
        let ms = crate::clock::now().ms() + read.load(Ordering::SeqCst);
        ok(&format!(r#"{{"serverTime":{ms}}}"#))
    })
    .await;
    let http = server.http();
    http.sync_clock(&reader()).await.unwrap();
    // The venue alone says so: that is an offset.
    skew.store(60_000, Ordering::SeqCst);
    http.sync_clock(&reader()).await.unwrap();
    assert_eq!(http.clock().slept(), Span::ZERO);
    assert!((http.offset_ms() - 60_000).abs() < 500);
    // The wall alone says so: somebody set it.
    http.clock().move_wall(Span::from_secs(1_800));
    assert!(http.is_slipped());
    http.sync_clock(&reader()).await.unwrap();
    assert_eq!(http.clock().slept(), Span::ZERO);
    // Both say so: the machine slept, and the offset is what it was.
    http.clock().move_wall(Span::from_secs(3_600));
    skew.store(60_000 + 3_600_000, Ordering::SeqCst);
    assert!(http.is_slipped());
    http.sync_clock(&reader()).await.unwrap();
    assert!(
        Span::from_secs(3_599) < http.clock().slept(),
        "{}",
        http.clock().slept()
    );
    assert!((http.offset_ms() - 60_000).abs() < 500);
    assert!(!http.is_slipped());
}
