//! The stage: an embedded exchange in a process of its own, a guard in another, and a folder for both.

use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A condition that does not come true within this has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// An exchange in a process of its own.
pub struct Exchange {
    process: Child,
    pub rest_url: String,
    pub stream_url: String,
    pub key: String,
    pub secret: String,
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
            key: text("api_key"),
            secret: text("api_secret"),
        }
    }

    /// The exchange's own account of what happened.
    pub fn report(&self) -> Value {
        let (status, body) = http(&self.rest_url, "GET", "/sim/report", &[], "");
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).unwrap()
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
        let log = fs::File::create(self.path().join("guard.log")).unwrap();
        let process = self
            .verb("run")
            .args(arguments)
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
    pub fn id(&self) -> u32 {
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
