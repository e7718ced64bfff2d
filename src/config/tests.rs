//! Files, environments and flags in; configurations, findings and refusals out.

use super::*;
use std::collections::BTreeMap;
use std::path::Path;

/// The least that is a configuration.
const LEAST: &str = "[account.main]\nvenue = \"binance-usdm-testnet\"\npolicies = [\"p.toml\"]\n";

/// Reads a text as `backstop.toml` in a folder of its own, with these environment variables.
fn read(text: &str, environment: &[(&str, &str)]) -> Result<Config, ConfigError> {
    read_with(text, environment, &Overrides::default())
}

fn read_with(text: &str, environment: &[(&str, &str)], flags: &Overrides) -> Result<Config, ConfigError> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("backstop.toml"), text).unwrap();
    let around = Surroundings {
        environment: environment
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        folder: dir.path().to_owned(),
        config_home: None,
        state_home: Some("/state".into()),
    };
    load(None, flags, &around)
}

/// `fine`, `refused`, or `code line:column` of each finding, with the variable's name when it has no line.
fn check(text: &str, environment: &[(&str, &str)]) -> String {
    match read(text, environment) {
        Ok(_) => "fine".into(),
        Err(ConfigError::Refused(_)) => "refused".into(),
        Err(ConfigError::Invalid(found)) => {
            let all: Vec<String> = found
                .items
                .iter()
                .map(|item| match item.file.strip_prefix("environment variable ") {
                    Some(name) => format!("{} {name}", item.code),
                    None => format!("{} {}:{}", item.code, item.line, item.column),
                })
                .collect();
            all.join(", ")
        }
    }
}

#[test]
fn the_least_configuration_has_the_defaults_of_the_specification() {
    let config = read(LEAST, &[]).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(config.mode, RunMode::DryRun);
    assert_eq!(config.state_dir, Path::new("/state/backstop"));
    assert_eq!(config.control.listen, Some("127.0.0.1:7878".parse().unwrap()));
    assert_eq!(
        config.control.token_file,
        Path::new("/state/backstop/control.token")
    );
    let account = &config.accounts[0];
    assert_eq!(account.rest_url, "https://demo-fapi.binance.com");
    assert_eq!(account.stream_url, "wss://demo-fstream.binance.com");
    assert_eq!(account.sapi_url, None);
    assert_eq!(account.timing, Timing::default());
    assert!(!account.is_mainnet());
    assert!(account.policies[0].is_absolute() && account.policies[0].ends_with("p.toml"));
}

#[test]
fn the_example_is_fine() {
    let around = Surroundings {
        state_home: Some("/state".into()),
        ..Surroundings::default()
    };
    let path = Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/fixtures/config/backstop.toml"
    ));
    let config = load(Some(path), &Overrides::default(), &around).unwrap_or_else(|error| panic!("{error}"));
    let set = read_policies(&config.accounts[0].policies).unwrap_or_else(|found| panic!("{found}"));
    assert_eq!(set.policies.len(), 6);
}

#[test]
fn mistakes_of_a_configuration_are_reported_with_their_place() {
    for (text, expected) in [
        ("", "missing-key 1:1"),
        ("mode = \"live\"\n", "missing-key 1:1"),
        (
            "mdoe = \"live\"\n[account.main]\nvenue = \"sim\"",
            "unknown-key 1:1, missing-key 2:1, missing-key 2:1, missing-key 2:1",
        ),
        (
            "mode = \"Live\"\n[account.main]\nvenue = \"binance\"\npolicies = []\n",
            "unknown-word 1:8, unknown-word 3:9, policies 4:12",
        ),
        ("[account.Main]\nvenue = \"sim\"", "label 1:10"),
        ("[account.a__b]\nvenue = \"sim\"", "label 1:10"),
        ("account = 5", "wrong-kind 1:11"),
        ("[account]\nmain = 5", "wrong-kind 2:8"),
        ("mode = ", "toml 1:8"),
    ] {
        assert_eq!(check(text, &[]), expected, "{text}");
    }
}

#[test]
fn the_keys_of_an_account_are_strict() {
    for (line, expected) in [
        ("key_type = \"hmac\"", "fine"),
        ("key_type = \"ed25519\"", "fine"),
        ("rest_url = \"https://testnet.binancefuture.com\"", "fine"),
        ("rest_url = \"http://demo-fapi.binance.com\"", "address 4:12"),
        ("rest_url = \"\"", "address 4:12"),
        ("resturl = \"https://x\"", "unknown-key 4:1"),
        ("policies_ = []", "unknown-key 4:1"),
        (
            "timing = { digest_interval = \"5s\", blind_after = \"20s\", keepalive = \"30m\" }",
            "fine",
        ),
        ("timing = { keepalive = \"61m\" }", "range 4:24"),
        ("timing = { keepalive = 20 }", "duration 4:24"),
        ("timing = { blind = \"15s\" }", "unknown-key 4:12"),
        ("api_key_file = \"~/key\"", "path 4:16"),
        ("[control]\nlisten = \"\"", "fine"),
        ("[control]\nlisten = \"7878\"", "listen 5:10"),
        ("[control]\ntokenfile = \"x\"", "unknown-key 5:1"),
    ] {
        assert_eq!(check(&format!("{LEAST}{line}\n"), &[]), expected, "{line}");
    }
}

#[test]
fn the_environment_is_laid_over_the_file_and_flags_over_both() {
    let environment = [
        ("BACKSTOP_STATE__DIR", "x"),
        ("BACKSTOP_CONFIG", "ignored"),
        ("BACKSTOP_ACCOUNT__MAIN__REST_URL", "http://127.0.0.1:007"),
        ("BACKSTOP_ACCOUNT__MAIN__STREAM_URL", "ws://127.0.0.1:8"),
        ("BACKSTOP_ACCOUNT__MAIN__TIMING__KEEPALIVE", "10m"),
        ("BACKSTOP_ACCOUNT__MAIN__POLICIES", "[\"a.toml\", \"b.toml\"]"),
        ("BACKSTOP_CONTROL__LISTEN", "127.0.0.1:1"),
    ];
    assert_eq!(check(LEAST, &environment), "unknown-key BACKSTOP_STATE__DIR");
    let flags = Overrides {
        state_dir: Some("/elsewhere".into()),
        listen: Some("127.0.0.1:2".into()),
    };
    let config = read_with(LEAST, &environment[1..], &flags).unwrap_or_else(|error| panic!("{error}"));
    let account = &config.accounts[0];
    assert_eq!(account.rest_url, "http://127.0.0.1:7");
    assert_eq!(account.policies.len(), 2);
    assert_eq!(account.timing.keepalive.to_string(), "10m");
    assert_eq!(config.control.listen, Some("127.0.0.1:2".parse().unwrap()));
    assert_eq!(config.state_dir, Path::new("/elsewhere"));
    let shown = print(&config);
    for part in [
        "mode = \"dry-run\"",
        "# default",
        "backstop.toml:2",
        "# environment BACKSTOP_ACCOUNT__MAIN__REST_URL",
        "# flag --listen",
    ] {
        assert!(shown.contains(part), "{part} in\n{shown}");
    }
}

#[test]
fn a_wrong_variable_is_named_and_its_text_is_not_shown() {
    for (name, code) in [
        ("BACKSTOP_ACCOUNT__MAIN__API_SECERT", "unknown-key"),
        ("BACKSTOP_ACCOUNT__MAIN", "wrong-kind"),
        ("BACKSTOP_MODES__X", "unknown-key"),
        ("BACKSTOP_ACCOUNT__MAIN__TIMING__KEEP", "unknown-key"),
    ] {
        let error = read(LEAST, &[(name, "CANARY")]).unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(shown.contains(name) && shown.contains(code), "{shown}");
        assert!(!shown.contains("CANARY"), "{shown}");
    }
}

#[test]
fn an_account_may_be_described_by_the_environment_alone() {
    let around = Surroundings {
        environment: BTreeMap::from([
            ("BACKSTOP_ACCOUNT__MAIN__VENUE".into(), "sim".into()),
            (
                "BACKSTOP_ACCOUNT__MAIN__REST_URL".into(),
                "http://localhost:1".into(),
            ),
            (
                "BACKSTOP_ACCOUNT__MAIN__STREAM_URL".into(),
                "ws://localhost:2".into(),
            ),
            ("BACKSTOP_ACCOUNT__MAIN__POLICIES".into(), "p.toml".into()),
        ]),
        folder: "/nowhere".into(),
        config_home: None,
        state_home: Some("/state".into()),
    };
    let config = load(None, &Overrides::default(), &around).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((config.file, config.accounts.len()), (None, 1));
    let none = load(None, &Overrides::default(), &Surroundings::default()).unwrap_err();
    assert!(none.to_string().contains("run --sim"), "{none}");
}

#[test]
fn pr_17_a_label_and_hosts_that_disagree_are_refused() {
    let account = |venue: &str, lines: &str| {
        format!("[account.main]\nvenue = \"{venue}\"\npolicies = [\"p.toml\"]\n{lines}\n")
    };
    let local = "rest_url = \"http://127.0.0.1:1\"\nstream_url = \"ws://127.0.0.1:2\"";
    for (venue, lines, expected) in [
        ("binance-usdm", "", "fine"),
        ("binance-usdm", local, "fine"),
        ("sim", local, "fine"),
        ("binance-usdm-testnet", local, "fine"),
        (
            "binance-usdm",
            "rest_url = \"https://demo-fapi.binance.com\"",
            "refused",
        ),
        (
            "binance-usdm",
            "stream_url = \"wss://fstream.binancefuture.com\"",
            "refused",
        ),
        ("binance-usdm", "rest_url = \"http://127.0.0.1:1\"", "refused"),
        (
            "binance-usdm-testnet",
            "rest_url = \"https://fapi.binance.com\"",
            "refused",
        ),
        (
            "binance-usdm-testnet",
            "sapi_url = \"https://api.binance.com\"",
            "refused",
        ),
        (
            "binance-usdm-testnet",
            "rest_url = \"https://proxy.example\"",
            "refused",
        ),
        (
            "sim",
            "rest_url = \"https://fapi.binance.com\"\nstream_url = \"wss://fstream.binance.com\"",
            "refused",
        ),
        ("sim", "", "missing-key 1:1, missing-key 1:1"),
    ] {
        assert_eq!(check(&account(venue, lines), &[]), expected, "{venue} {lines}");
    }
}

#[test]
fn live_needs_the_flag_and_on_the_real_exchange_the_file_as_well() {
    let (dry, live) = (Some(RunMode::DryRun), Some(RunMode::Live));
    for (mode, venue, flag, expected) in [
        ("dry-run", "binance-usdm", None, "dry-run"),
        ("dry-run", "binance-usdm", live, "exit 3"),
        ("live", "binance-usdm", None, "dry-run"),
        ("live", "binance-usdm", dry, "dry-run"),
        ("live", "binance-usdm", live, "live"),
        ("dry-run", "binance-usdm-testnet", live, "live"),
    ] {
        let text =
            format!("mode = \"{mode}\"\n[account.main]\nvenue = \"{venue}\"\npolicies = [\"p.toml\"]\n");
        let config = read(&text, &[]).unwrap_or_else(|error| panic!("{error}"));
        let shown = match config.effective_mode(flag) {
            Ok(mode) => mode.name().to_owned(),
            Err(error) => format!("exit {}", error.exit_code()),
        };
        assert_eq!(shown, expected, "{mode} {venue} {flag:?}");
    }
}

#[test]
fn se_01_a_secret_in_the_file_is_an_error_that_does_not_show_it() {
    for line in [
        "api_key = \"CANARY\"",
        "api_secret = \"CANARY\"",
        "api_secert = \"CANARY\"",
        "api_key = \"\"\"\nCANARY\n\"\"\"",
        "api_key = [\"CANARY\"]",
        "timing = { api_key = \"CANARY\" }",
        "rest_url = \"https://user:CANARY@demo-fapi.binance.com\"",
        "api_key_file = \"CANARYCANARYCANARYCANARYCANARYCANARY\"",
        "api_secret = \"CANARY",
        "api_key = \"CANARY\" oops",
        "api_key = CANARY",
    ] {
        let error = read(&format!("{LEAST}{line}\n"), &[]).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{line}");
        let shown = format!("{error} {error:?} {error:#?}");
        assert!(!shown.contains("CANARY"), "{line}: {shown}");
    }
}

#[test]
fn secrets_are_looked_for_in_the_environment_then_the_file_then_the_credentials() {
    use secrecy::ExposeSecret;
    let dir = tempfile::tempdir().unwrap();
    let place = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        #[cfg(unix)]
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        path.display().to_string()
    };
    let named = place("key", "from-file\n");
    place("backstop-main-api_key", "from-credential");
    place("backstop-main-api_secret", "from-credential");
    let with_file = format!("{LEAST}api_key_file = \"{named}\"\n");
    let credentials = ("CREDENTIALS_DIRECTORY", dir.path().to_str().unwrap());
    let key = ("BACKSTOP_ACCOUNT__MAIN__API_KEY", "007");
    let secret = ("BACKSTOP_ACCOUNT__MAIN__API_SECRET", "true");
    for (text, environment, expected) in [
        (with_file.as_str(), vec![key, secret, credentials], "007 true"),
        (with_file.as_str(), vec![secret, credentials], "from-file true"),
        (LEAST, vec![key, secret, credentials], "007 true"),
        (LEAST, vec![secret, credentials], "from-credential true"),
        (LEAST, vec![key], "exit 2"),
    ] {
        let config = read(text, &environment).unwrap_or_else(|error| panic!("{error}"));
        let shown = match config.accounts[0].credentials() {
            Ok(both) => format!("{} {}", both.key.expose_secret(), both.secret.expose_secret()),
            Err(error) => format!("exit {}", error.exit_code()),
        };
        assert_eq!(shown, expected);
        let printed = format!("{config:?} {}", print(&config));
        for hidden in ["007\"", "from-credential", "from-file"] {
            assert!(!printed.contains(hidden), "{hidden} in {printed}");
        }
    }
}

#[test]
fn se_14_a_secret_of_another_type_than_the_key_is_refused() {
    let pem = "-----BEGIN PRIVATE KEY-----\nCANARY\n-----END PRIVATE KEY-----\n";
    for (key_type, key, secret, expected) in [
        ("hmac", "k", "s", "fine"),
        ("ed25519", "k", pem, "fine"),
        ("ed25519", "k", "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v", "fine"),
        ("hmac", "k", pem, "write key_type = \"ed25519\""),
        (
            "hmac",
            "k",
            "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v",
            "write key_type = \"ed25519\"",
        ),
        ("ed25519", "k", "CANARY", "put the private key there"),
        ("ed25519", pem, pem, "the venue shows the key"),
    ] {
        let text = format!("{LEAST}key_type = \"{key_type}\"\n");
        let environment = [
            ("BACKSTOP_ACCOUNT__MAIN__API_KEY", key),
            ("BACKSTOP_ACCOUNT__MAIN__API_SECRET", secret),
        ];
        let config = read(&text, &environment).unwrap_or_else(|error| panic!("{error}"));
        let said = match config.accounts[0].credentials() {
            Ok(_) => "fine".to_owned(),
            Err(error) => {
                assert_eq!(error.exit_code(), 3, "{error}");
                error.to_string()
            }
        };
        assert!(said.contains(expected) && !said.contains("CANARY"), "{said}");
    }
}

#[test]
fn a_label_with_a_dash_is_spelled_with_an_underscore_in_the_environment() {
    let text = "[account.my-bot]\nvenue = \"binance-usdm-testnet\"\npolicies = [\"p.toml\"]\n";
    let environment = [
        ("BACKSTOP_ACCOUNT__MY_BOT__TIMING__BLIND_AFTER", "20s"),
        ("BACKSTOP_ACCOUNT__MY_BOT__API_KEY", "k"),
        ("BACKSTOP_ACCOUNT__MY_BOT__API_SECRET", "s"),
    ];
    let config = read(text, &environment).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(config.accounts[0].timing.blind_after.to_string(), "20s");
    assert!(config.accounts[0].credentials().is_ok());
    let both = format!("{text}[account.my_bot]\nvenue = \"binance-usdm-testnet\"\npolicies = [\"p.toml\"]\n");
    assert_eq!(check(&both, &[]), "label 4:10");
}

#[test]
fn ids_are_unique_over_all_policy_files_of_an_account() {
    let dir = tempfile::tempdir().unwrap();
    let text = "version = 1\n[[policy]]\nid = \"a\"\ntype = \"blind\"\nladder = [ { at = \"15s\", action = \"alert\" } ]\n";
    let files: Vec<PathBuf> = ["x.toml", "y.toml"]
        .iter()
        .map(|name| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        })
        .collect();
    assert!(read_policies(&files[..1]).is_ok());
    let found = read_policies(&files).unwrap_err();
    assert_eq!(found.items[0].code, "id");
    assert!(read_policies(&[dir.path().join("none.toml")]).is_err());
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "(\\[account\\.[a-zé]\\]\n)?.{0,80}\n[a-z_]{1,12} = .{0,40}") {
        let _ = read(&text, &[("BACKSTOP_A__B", "x")]).map_err(|error| error.to_string());
    }
}

#[test]
fn a_channel_of_alerts_is_strict_and_says_what_is_missing() {
    for (table, expected) in [
        (
            "kind = \"telegram\"\nchat_id = -100123\nbot_token_file = \"t\"",
            "fine",
        ),
        (
            "kind = \"slack\"\nurl_file = \"u\"\nmin_severity = \"critical\"\nescalate_after = \"10m\"",
            "fine",
        ),
        (
            "kind = \"discord\"\nurl_file = \"u\"\ngroup = \"0s\"\nrepeat = \"0s\"",
            "fine",
        ),
        (
            "kind = \"ntfy\"\ntopic = \"t\"\nserver = \"http://127.0.0.1:8080\"\nallow_private = true",
            "fine",
        ),
        ("kind = \"pagerduty\"\nrouting_key_file = \"k\"", "fine"),
        ("kind = \"webhook\"\nurl_file = \"u\"\ntoken_file = \"t\"", "fine"),
        (
            "kind = \"alertmanager\"\nserver = \"https://am.example.com\"",
            "fine",
        ),
        (
            "kind = \"email\"\nhost = \"h\"\nfrom = \"a@b.c\"\nto = \"A <a@b.c>\"",
            "fine",
        ),
        (
            "kind = \"email\"\nhost = \"h\"\nuser = \"u\"\npassword_file = \"p\"\nfrom = \"a@b.c\"\nto = [\"a@b.c\"]\nport = 25\ntls = \"none\"",
            "fine",
        ),
        ("chat_id = \"1\"", "missing-key 4:1"),
        ("kind = \"telegramm\"", "unknown-word 5:8"),
        ("kind = \"telegram\"", "missing-key 4:1"),
        (
            "kind = \"telegram\"\nchat_id = \"1\"\nbot_token = \"CANARY\"",
            "inline-secret 7:1",
        ),
        (
            "kind = \"slack\"\nurl = \"https://hooks.example/CANARY\"",
            "inline-secret 6:1",
        ),
        ("kind = \"slack\"\nchat_id = \"1\"", "unknown-key 6:1"),
        (
            "kind = \"ntfy\"\ntopic = \"t\"\nserver = \"http://ntfy.example\"",
            "address 7:10",
        ),
        ("kind = \"alertmanager\"", "missing-key 4:1"),
        ("kind = \"slack\"\nrepeat = \"25h\"", "range 6:10"),
        ("kind = \"slack\"\nescalate_after = \"0s\"", "range 6:18"),
        ("kind = \"slack\"\nmin_severity = \"bad\"", "unknown-word 6:16"),
        ("kind = \"slack\"\nallow_private = \"yes\"", "wrong-kind 6:17"),
        (
            "kind = \"email\"\nhost = \"h\"\nuser = \"u\"\nfrom = \"a@b.c\"\nto = \"a@b.c\"",
            "missing-key 4:1",
        ),
        (
            "kind = \"email\"\nhost = \"h\"\nfrom = \"nobody\"\nto = \"a@b.c\"",
            "address 7:8",
        ),
        (
            "kind = \"email\"\nhost = \"h\"\nport = 70000\nfrom = \"a@b.c\"\nto = \"a@b.c\"",
            "port 7:8",
        ),
    ] {
        let text = format!("{LEAST}[alerts.ops]\n{table}\n");
        assert_eq!(check(&text, &[]), expected, "{table}");
        let shown = read(&text, &[]).map_or_else(|error| error.to_string(), |config| print(&config));
        assert!(!shown.contains("CANARY"), "{shown}");
    }
    assert_eq!(
        check(&format!("{LEAST}[alerts.Ops]\nkind = \"slack\"\n"), &[]),
        "label 4:9"
    );
    assert_eq!(check(&format!("alerts = 5\n{LEAST}"), &[]), "wrong-kind 1:10");
}

#[test]
fn se_01_the_secrets_of_a_channel_may_come_from_the_environment_and_are_masked() {
    use secrecy::ExposeSecret;
    let text = format!("{LEAST}[alerts.on-call]\nkind = \"slack\"\nurl_file = \"u\"\n");
    let environment = [
        ("BACKSTOP_ALERTS__ON_CALL__URL", "https://hooks.example/CANARY"),
        ("BACKSTOP_ALERTS__ON_CALL__MIN_SEVERITY", "info"),
    ];
    let config = read(&text, &environment).unwrap_or_else(|error| panic!("{error}"));
    let channel = &config.alerts[0];
    assert_eq!(
        (channel.name.as_str(), channel.min_severity),
        ("on-call", MinSeverity::Info)
    );
    let ChannelConfig::Slack(url) = &channel.channel else {
        panic!("{channel:?}")
    };
    assert!(url.read("url").unwrap().expose_secret().ends_with("CANARY"));
    let shown = format!("{config:?} {}", print(&config));
    assert!(
        shown.contains("alerts.on-call.url = ********") && !shown.contains("CANARY"),
        "{shown}"
    );
}
