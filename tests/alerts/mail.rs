//! A mail, as a mail server receives it.

use super::letter;
use backstop::alert::{Failure, Mail, Phase, Sender, Target, Tls};
use backstop::guard::Severity;
use secrecy::SecretString;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

/// A mail server for one mail (RFC 5321); gives the lines that it was sent. `refuse` is answered to RCPT.
fn server(refuse: Option<&'static str>) -> (u16, Receiver<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (done, lines) = sync_channel(1);
    std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut out = stream.try_clone().unwrap();
        let mut heard = Vec::new();
        let mut in_data = false;
        out.write_all(b"220 here ESMTP\r\n").unwrap();
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            heard.push(line.clone());
            let verb = line.get(..4).unwrap_or("").to_uppercase();
            let answer = match (in_data, verb.as_str()) {
                (true, _) if line != "." => continue,
                (true, _) => "250 taken",
                (_, "EHLO") => "250-here\r\n250-8BITMIME\r\n250 AUTH PLAIN LOGIN",
                (_, "AUTH") => "235 come in",
                (_, "RCPT") => refuse.unwrap_or("250 fine"),
                (_, "DATA") => "354 go on",
                (_, "QUIT") => "221 bye",
                _ => "250 fine",
            };
            in_data = verb == "DATA" && !in_data;
            if out.write_all(format!("{answer}\r\n").as_bytes()).is_err() || verb == "QUIT" {
                break;
            }
        }
        let _ = done.send(heard);
    });
    (port, lines)
}

fn mail(port: u16) -> Mail {
    Mail {
        host: "127.0.0.1".into(),
        port,
        tls: Tls::None,
        login: Some(("desk".into(), SecretString::from("CANARY"))),
        from: "Backstop <backstop@example.com>".into(),
        to: vec!["a@example.com".into(), "b@example.com".into()],
    }
}

#[tokio::test]
async fn a_mail_has_its_receivers_its_subject_and_an_id_that_stays_the_same() {
    let (port, lines) = server(None);
    let letter = letter(Severity::Critical, Phase::Begins);
    let sender = Sender::new(Target::Email(mail(port)), true).unwrap();
    sender.send(&letter).await.unwrap();
    let heard = lines.recv_timeout(Duration::from_secs(5)).unwrap().join("\n");
    for part in [
        // "\0desk\0CANARY" in base64.
        "AUTH PLAIN AGRlc2sAQ0FOQVJZ",
        "MAIL FROM:<backstop@example.com>",
        "RCPT TO:<a@example.com>",
        "RCPT TO:<b@example.com>",
        "Subject: CRITICAL main: margin ratio 70.1%",
        "Done: SELL 0.41 BTCUSDT at market, reduce-only",
        &format!("Message-ID: <{}@example.com>", letter.id()),
    ] {
        assert!(heard.contains(part), "{part} in\n{heard}");
    }
}

#[tokio::test]
async fn se_01_a_mail_that_is_refused_is_tried_later_and_shows_no_secret() {
    let (port, _lines) = server(Some("550 CANARY is not welcome"));
    let sender = Sender::new(Target::Email(mail(port)), true).unwrap();
    let failure = sender
        .send(&letter(Severity::Warning, Phase::Happened))
        .await
        .unwrap_err();
    assert_eq!(
        failure,
        Failure::Later("the mail server refuses (550)".into(), None)
    );
}

#[tokio::test]
async fn se_11_a_mail_server_on_this_machine_is_refused_unless_it_is_allowed() {
    let refused = Sender::new(Target::Email(mail(25)), false).err().unwrap();
    assert!(refused.contains("on this machine or its network"), "{refused}");
    let metadata = Mail {
        host: "169.254.169.254".into(),
        ..mail(25)
    };
    assert!(Sender::new(Target::Email(metadata), true).is_err());
}
