//! `backstop sim`: the embedded exchange alone, for other programs to trade on with play money.

use crate::sim::Scenario;
use crate::sim::keys::{ED25519, KeyScript};
use crate::sim::server::{Server, serve};
use serde_json::json;
use std::net::SocketAddr;
use std::path::Path;

/// Serves the embedded exchange on the loopback until Ctrl-C.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "Examples:
  backstop sim                                    the flash crash, REST on 7900 and streams on 7901
  backstop sim --scenario my-crash.toml           a script of your own
  backstop sim --listen 127.0.0.1:0 --json        any free port; addresses and keys as one line of JSON

Exit codes: 0 stopped by Ctrl-C, 1 an address cannot be bound, 2 the scenario is wrong.")]
pub struct Args {
    /// Where REST is served; a loopback address, port 0 for any
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7900")]
    pub listen: SocketAddr,
    /// Where streams are served; a loopback address, port 0 for any
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7901")]
    pub stream_listen: SocketAddr,
    /// A scenario's file, or the name of a built-in one
    #[arg(long, value_name = "FILE|NAME", default_value = "flash-crash")]
    pub scenario: String,
    /// How the guard's key signs, unless the scenario brings a key
    #[arg(long, value_name = "TYPE", value_enum, default_value = "hmac")]
    pub key_type: KeyType,
    /// Print addresses and keys, and the report at the end, as JSON
    #[arg(long)]
    pub json: bool,
}

/// How a key signs.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyType {
    /// A shared secret.
    Hmac,
    /// A private key, known to everybody.
    Ed25519,
}

/// Serves until Ctrl-C and prints what happened; `clock` tells Unix milliseconds. Returns the exit code.
pub async fn run(args: Args, clock: fn() -> i64) -> i32 {
    let mut scenario = match scenario(&args.scenario) {
        Ok(scenario) => scenario,
        Err(why) => {
            anstream::eprintln!("error: {why}");
            return 2;
        }
    };
    let key = &mut scenario.account.key;
    if args.key_type == KeyType::Ed25519 && key.secret == KeyScript::default().secret {
        key.secret = ED25519.into();
    }
    let server = match serve(scenario, args.listen, args.stream_listen, clock).await {
        Ok(server) => server,
        Err(error) => {
            anstream::eprintln!("error: {error}");
            return 1;
        }
    };
    anstream::println!("{}", opening(&server, args.json));
    if let Err(error) = tokio::signal::ctrl_c().await {
        anstream::eprintln!("error: Ctrl-C cannot be heard: {error}");
    }
    let report = server.report().await;
    server.stop().await;
    anstream::println!(
        "{}",
        if args.json {
            serde_json::to_string(&report).unwrap_or_default()
        } else {
            format!("What happened:\n{}", report.summary())
        }
    );
    0
}

/// Finds a scenario by its built-in name or reads its file; a file wins over a name only if it looks like one.
///
/// # Errors
///
/// What to tell the user: the file and the reason, with line and column where the text is wrong.
pub(crate) fn scenario(named: &str) -> Result<Scenario, String> {
    if let Some(scenario) = Scenario::builtin(named) {
        return Ok(scenario);
    }
    let looks_like_a_file = Path::new(named).extension().is_some() || named.contains(std::path::is_separator);
    let text = std::fs::read_to_string(named).map_err(|error| {
        let names = Scenario::names().join(", ");
        if looks_like_a_file {
            format!("cannot read the scenario {named}: {error}")
        } else {
            format!("no scenario is called `{named}`; there are {names}, or name a file")
        }
    })?;
    Scenario::parse(&text).map_err(|error| format!("the scenario {named}: {error}"))
}

fn opening(server: &Server, as_json: bool) -> String {
    let (key, secret) = server.credentials();
    let (bot_key, bot_secret) = server.bot_credentials();
    let (rest, streams, control) = (server.rest_url(), server.stream_url(), server.control_url());
    if as_json {
        return json!({"rest_url": rest, "stream_url": streams, "control_url": control,
            "api_key": key, "api_secret": secret, "bot_api_key": bot_key, "bot_api_secret": bot_secret})
        .to_string();
    }
    format!(
        "The embedded exchange is open. Its money is play money, and so are its keys.

  REST     {rest}
  streams  {streams}
  control  {control}    the same as REST, without the faults of the network
  key      {key}
  secret   {secret}

Who trades against a guard needs a key of its own:

  key      {bot_key}
  secret   {bot_secret}

Ask it for the account:

{}
What happened so far: curl -s {control}/sim/report
Let something go wrong: curl -s {control}/sim/faults -d '{{\"until\":\"10s\",\"what\":\"cut\"}}'
Ctrl-C ends it.",
        curl(&rest, &key, &secret)
    )
}

/// Commands to paste into a shell: a signed request, as the venue wants it.
fn curl(rest: &str, key: &str, secret: &str) -> String {
    let (sign, send) = if secret.starts_with("-----BEGIN") {
        (
            "printf %s \"$query\" > query  # the secret is in key.pem\n  signature=$(openssl pkeyutl -sign -inkey key.pem -rawin -in query | base64 -w0)".into(),
            "-G --data-urlencode \"signature=$signature\"",
        )
    } else {
        let sign = format!(
            "signature=$(printf %s \"$query\" | openssl dgst -sha256 -hmac '{secret}' | sed 's/^.* //')"
        );
        (sign, "-G -d \"signature=$signature\"")
    };
    format!(
        r#"  query="timestamp=$(date +%s)000&recvWindow=5000"
  {sign}
  curl -s {send} -H 'X-MBX-APIKEY: {key}' "{rest}/fapi/v3/account?$query"
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn parsed(line: &[&str]) -> Args {
        Line::try_parse_from(std::iter::once("sim").chain(line.iter().copied()))
            .map(|line| line.args)
            .unwrap()
    }

    #[test]
    fn without_arguments_it_is_the_flash_crash_on_the_usual_ports() {
        let args = parsed(&[]);
        assert_eq!(args.listen.to_string(), "127.0.0.1:7900");
        assert_eq!(args.stream_listen.to_string(), "127.0.0.1:7901");
        assert_eq!((args.scenario.as_str(), args.json), ("flash-crash", false));
    }

    #[test]
    fn a_wrong_scenario_is_named_with_what_there_is() {
        for (named, expected) in [
            ("flash-crush", "no scenario is called `flash-crush`; there are "),
            ("no/such.toml", "cannot read the scenario no/such.toml: "),
        ] {
            let why = scenario(named).map(|_| ()).unwrap_err();
            assert!(why.starts_with(expected), "{why}");
        }
        let file = tempfile::NamedTempFile::with_suffix(".toml").unwrap();
        std::fs::write(file.path(), "this is = = no scenario").unwrap();
        let name = file.path().display().to_string();
        assert!(
            scenario(&name)
                .map(|_| ())
                .unwrap_err()
                .starts_with(&format!("the scenario {name}: "))
        );
    }

    #[tokio::test]
    async fn a_wrong_scenario_exits_with_two_and_an_open_address_with_one() {
        let ports = ["--listen", "127.0.0.1:0", "--stream-listen", "127.0.0.1:0"];
        let wrong = [&ports[..], &["--scenario", "flash-crush"]].concat();
        assert_eq!(run(parsed(&wrong), || 0).await, 2);
        assert_eq!(run(parsed(&["--listen", "0.0.0.0:0"]), || 0).await, 1);
    }

    #[test]
    fn the_example_signs_with_openssl() {
        let text = curl("http://127.0.0.1:7900", "KEY", "SECRET");
        for part in [
            "openssl dgst -sha256 -hmac 'SECRET'",
            "X-MBX-APIKEY: KEY",
            "signature=$signature",
        ] {
            assert!(text.contains(part), "{part}");
        }
    }
}
