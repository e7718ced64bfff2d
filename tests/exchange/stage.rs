//! The stage: an embedded exchange in a process of its own, a guard in another, and a folder for both.

use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tempfile::TempDir;

/// A flat market with a position, and nothing that happens by itself.
pub const QUIET: &str = r#"
name = "quiet"
description = "A flat market."
duration = "10m"
[[symbol]]
name = "BTCUSDT"
path = [ { at = "0s", price = "60000" } ]
[account]
wallet = { USDT = "100000" }
[[account.position]]
symbol = "BTCUSDT"
quantity = "0.5"
entry_price = "60000"
leverage = 20
"#;
/// Key and secret of the bot, which trades on the guarded account.
const BOT: (&str, &str) = (
    "bot-key-of-the-embedded-exchange",
    "bot-secret-of-the-embedded-exchange",
);
/// A condition that does not come true within this has failed.
const PATIENCE: Duration = Duration::from_secs(90);

/// An exchange in a process of its own.
pub struct Exchange {
    process: Child,
    pub rest_url: String,
    pub stream_url: String,
    /// The same as `rest_url`, without the faults of the network.
    control_url: String,
    pub key: String,
    pub secret: String,
    pub bot_key: String,
    pub bot_secret: String,
}

/// A guard in a process of its own.
pub struct Guard {
    process: Child,
}

/// A folder with a configuration for a guard of an exchange.
pub struct Folder {
    dir: TempDir,
}

pub fn backstop() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_backstop"));
    command
        .env_remove("BACKSTOP_CONFIG")
        .env("NO_COLOR", "1")
        .stdin(Stdio::null());
    command
}

impl Exchange {
    /// Serves a scenario, by name or as the text of a file.
    pub fn serve(scenario: &str) -> Exchange {
        Exchange::serve_with(scenario, &[])
    }

    /// Serves a scenario with further arguments.
    pub fn serve_with(scenario: &str, arguments: &[&str]) -> Exchange {
        let folder = tempfile::tempdir().unwrap();
        let named = if scenario.contains('\n') {
            let path = folder.path().join("scenario.toml");
            fs::write(&path, scenario).unwrap();
            path.display().to_string()
        } else {
            scenario.to_owned()
        };
        let mut process = backstop()
            .args([
                "sim",
                "--listen",
                "127.0.0.1:0",
                "--stream-listen",
                "127.0.0.1:0",
                "--json",
                "--scenario",
            ])
            .arg(named)
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let opened: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let text = |name: &str| {
            opened[name]
                .as_str()
                .unwrap_or_else(|| panic!("{name} in {line}"))
                .to_owned()
        };
        Exchange {
            process,
            rest_url: text("rest_url"),
            stream_url: text("stream_url"),
            control_url: text("control_url"),
            key: text("api_key"),
            secret: text("api_secret"),
            bot_key: text("bot_api_key"),
            bot_secret: text("bot_api_secret"),
        }
    }

    /// The exchange's own account of what happened.
    pub fn report(&self) -> Value {
        let (status, body) = http(&self.control_url, "GET", "/sim/report", &[], "");
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).unwrap()
    }

    /// Lets something go wrong from now on, in the words of a scenario: `{"what":"cut","until":"3s"}`.
    pub fn fault(&self, fault: &str) {
        let (status, body) = http(&self.control_url, "POST", "/sim/faults", &[], fault);
        assert_eq!(status, 200, "{fault}: {body}");
    }

    /// Lets venue or humans do something now, in the words of a scenario: `{"kind":"halt","symbol":"BTCUSDT"}`.
    pub fn event(&self, event: &str) {
        let (status, body) = http(&self.control_url, "POST", "/sim/events", &[], event);
        assert_eq!(status, 200, "{event}: {body}");
    }

    /// Everything heals.
    pub fn heal(&self) {
        let (status, body) = http(&self.control_url, "DELETE", "/sim/faults", &[], "");
        assert_eq!(status, 200, "{body}");
    }

    /// A signed request of the bot on the same account.
    pub fn bot(&self, method: &str, path: &str, query: &str) -> (u16, Value) {
        self.signed(BOT, method, path, query)
    }

    /// A signed request of the guard's key.
    pub fn own(&self, method: &str, path: &str, query: &str) -> (u16, Value) {
        self.signed((&self.key, &self.secret), method, path, query)
    }

    fn signed(&self, (key, secret): (&str, &str), method: &str, path: &str, query: &str) -> (u16, Value) {
        let joined = if query.is_empty() {
            String::new()
        } else {
            format!("{query}&")
        };
        let payload = format!("{joined}timestamp={}", now_ms());
        let signature = backstop::sim::sign(secret, &payload);
        let target = format!("{path}?{payload}&signature={signature}");
        let (status, body) = http(&self.control_url, method, &target, &[("X-MBX-APIKEY", key)], "");
        (status, serde_json::from_str(&body).unwrap_or(Value::String(body)))
    }

    /// Waits until the report is as wanted.
    pub fn wait(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let report = self.report();
            if wanted(&report) {
                return report;
            }
            assert!(begun.elapsed() < PATIENCE, "{what} did not come true: {report:#}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

pub fn now_ms() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Folder {
    /// A folder whose configuration guards an exchange under these policies; `""` are the standard ones.
    pub fn for_exchange(exchange: &Exchange, policies: &str) -> Folder {
        let folder = Folder {
            dir: tempfile::tempdir().unwrap(),
        };
        let policies = if policies.is_empty() {
            include_str!("../../policies/standard.toml")
        } else {
            policies
        };
        folder.write("policies.toml", policies);
        folder.write("key", &exchange.key);
        folder.write("secret", &exchange.secret);
        folder.write(
            "backstop.toml",
            &format!(
                "state_dir = \"{0}/state\"\n[control]\nlisten = \"127.0.0.1:0\"\n[account.main]\nvenue = \"sim\"\npolicies = [\"policies.toml\"]\napi_key_file = \"{0}/key\"\napi_secret_file = \"{0}/secret\"\nrest_url = \"{1}\"\nstream_url = \"{2}\"\n[account.main.timing]\ndigest_interval = \"1s\"\n",
                folder.path().display(),
                exchange.rest_url,
                exchange.stream_url
            ).replace("[control]\nlisten = \"127.0.0.1:0\"\n", "[control]\nlisten = \"\"\n"),
        );
        folder
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn write(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    pub fn state(&self) -> PathBuf {
        self.path().join("state")
    }

    /// Changes the configuration.
    pub fn replace(&self, from: &str, to: &str) {
        let text = fs::read_to_string(self.path().join("backstop.toml")).unwrap();
        assert!(text.contains(from), "{from} is not in {text}");
        self.write("backstop.toml", &text.replace(from, to));
    }

    /// A verb with this folder's configuration.
    pub fn verb(&self, verb: &str) -> Command {
        let mut command = backstop();
        command
            .arg(verb)
            .arg("--config")
            .arg(self.path().join("backstop.toml"));
        command
    }

    /// Starts a guard.
    pub fn guard(&self, arguments: &[&str]) -> Guard {
        self.guard_with(arguments, &[])
    }

    /// Starts a guard with more in its environment.
    pub fn guard_with(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Guard {
        let log = fs::File::create(self.path().join("guard.log")).unwrap();
        let process = self
            .verb("run")
            .args(arguments)
            .envs(environment.iter().copied())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Guard { process }
    }

    /// What the guard has printed.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path().join("guard.log")).unwrap_or_default()
    }

    /// The state that the guard printed last.
    pub fn state_word(&self) -> String {
        let log = self.log();
        let last = log.lines().rev().find(|line| line.contains("  state "));
        last.and_then(|line| line.rsplit("-> ").next())
            .unwrap_or_default()
            .trim()
            .to_owned()
    }

    /// Waits until the guard has printed something.
    pub fn wait_for(&self, text: &str) {
        let begun = Instant::now();
        while !self.log().contains(text) {
            assert!(
                begun.elapsed() < PATIENCE,
                "`{text}` was not printed:\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Guard {
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Waits until it has ended by itself; the exit code.
    pub fn ended(mut self) -> Option<i32> {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                return status.code();
            }
            assert!(begun.elapsed() < PATIENCE, "the guard goes on");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// kill -9.
    pub fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// SIGTERM; gives the exit code and how long it took.
    pub fn terminate(mut self) -> (Option<i32>, Duration) {
        let begun = Instant::now();
        let pid = self.process.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &pid])
                .status()
                .unwrap()
                .success()
        );
        let status = self.process.wait().unwrap();
        (status.code(), begun.elapsed())
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A live guard that is armed.
pub struct Armed {
    pub exchange: Exchange,
    pub folder: Folder,
    guard: Guard,
}

impl Armed {
    /// A guard of a scenario under these policies; `""` are the standard ones.
    pub fn new(scenario: &str, policies: &str) -> Armed {
        Armed::with(scenario, policies, "")
    }

    /// The same with lines for its table of times.
    pub fn with(scenario: &str, policies: &str, timing: &str) -> Armed {
        let exchange = Exchange::serve(scenario);
        let folder = Folder::for_exchange(&exchange, policies);
        let table = "[account.main.timing]\n";
        folder.replace(table, &format!("{table}{timing}\n"));
        let guard = folder.guard(&["--live"]);
        folder.wait_for("starting -> armed");
        Armed {
            exchange,
            folder,
            guard,
        }
    }

    /// The guard's process id.
    pub fn pid(&self) -> String {
        self.guard.process.id().to_string()
    }

    /// The kill path without a token and without a network.
    pub fn kill_by_file(&self) {
        fs::write(self.folder.state().join("KILL"), "").unwrap();
    }

    /// How often faults struck.
    pub fn struck(&self) -> u64 {
        let report = self.exchange.report();
        let counts = report["faults"].as_object().unwrap().values();
        counts.map(|count| count.as_u64().unwrap()).sum()
    }

    /// Requests of the guard's key by method and path.
    pub fn requests(&self, line: &str) -> u64 {
        self.exchange.report()["requests"][line].as_u64().unwrap_or(0)
    }
}

/// Runs cases beside each other, a few at a time.
pub fn each<T: Send>(cases: impl IntoIterator<Item = T>, test: impl Fn(T) + Sync) {
    let mut cases: Vec<T> = cases.into_iter().collect();
    while !cases.is_empty() {
        let rest = cases.split_off(cases.len().min(4));
        std::thread::scope(|scope| {
            for case in cases {
                scope.spawn(|| test(case));
            }
        });
        cases = rest;
    }
}

/// A request over a socket of its own: status and body.
pub fn http(base: &str, method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> (u16, String) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = client
            .request(method, format!("{base}{target}"))
            .body(body.to_owned());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    })
}

/// The signed amount that the report shows for a leg; zero when flat.
pub fn position(report: &Value, leg: &str) -> f64 {
    report["positions"][leg]
        .as_str()
        .map_or(0.0, |text| text.parse().unwrap())
}

/// Orders that the guard sent, in their order.
pub fn guard_orders(report: &Value) -> Vec<&Value> {
    report["orders"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|order| order["who"] == "guard")
        .collect()
}

/// The promise, as the matching engine saw it.
pub fn kept_its_word(report: &Value) {
    assert_eq!(report["violations"], serde_json::json!([]), "{report:#}");
    for order in guard_orders(report) {
        assert!(order["client_id"].as_str().unwrap().starts_with("bs-"), "{order}");
        let hedge = order["position_side"] != "BOTH";
        assert_eq!(order["reduce_only"], serde_json::json!(!hedge), "{order}");
    }
}
