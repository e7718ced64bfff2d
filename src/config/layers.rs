//! The layers of a configuration, laid over each other: defaults, file, environment, flags. The only user of figment.

use super::mask::is_secret_key;
use super::node::{Node, Place, Problems, Value};
use figment::providers::{Format, Toml};
use figment::value::{Dict, Map, Tag};
use figment::{Error, Figment, Metadata, Profile, Provider};
use std::collections::BTreeMap;

/// The prefix of every environment variable.
const PREFIX: &str = "BACKSTOP_";

/// What flags say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// Where state is kept.
    pub state_dir: Option<String>,
    /// Where the control API listens; empty for nowhere.
    pub listen: Option<String>,
}

/// One environment variable that is a setting: its name, its path and its text.
pub(super) struct Variable {
    pub name: String,
    pub path: Vec<String>,
    pub text: String,
}

/// Keys of `[alerts.NAME]` that are secrets, as the environment spells them.
const ALERT_SECRETS: [&str; 5] = ["bot_token", "url", "token", "routing_key", "password"];

/// The variables that are settings: those with `__`, and no secrets. Names without `__` are flags. `labels` and `channels`
/// are the names in the file, which may have a `-` where a variable has a `_`.
pub(super) fn variables(
    environment: &BTreeMap<String, String>,
    labels: &[String],
    channels: &[String],
) -> Vec<Variable> {
    environment
        .iter()
        .filter_map(|(name, text)| {
            let rest = name.strip_prefix(PREFIX)?;
            if !rest.contains("__") {
                return None;
            }
            let mut path: Vec<String> = rest.split("__").map(str::to_lowercase).collect();
            let is_secret = match path.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
                // The second key of a drill is no setting: `drill` reads it itself.
                ["drill", key] | ["account", _, key] => ["api_key", "api_secret"].contains(key),
                ["alerts", _, key] => ALERT_SECRETS.contains(key),
                _ => false,
            };
            if is_secret {
                return None;
            }
            if let [table, label, _, ..] = path.as_mut_slice() {
                let names = if table == "alerts" { channels } else { labels };
                if let Some(known) = names.iter().find(|known| known.replace('-', "_") == *label) {
                    label.clone_from(known);
                }
            }
            Some(Variable {
                name: name.clone(),
                path,
                text: text.clone(),
            })
        })
        .collect()
}

/// One layer with one setting.
struct Single {
    layer: String,
    path: Vec<String>,
    value: figment::value::Value,
}

impl Provider for Single {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.layer.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, Error> {
        let nested = self.path.iter().rev().fold(self.value.clone(), |inner, key| {
            figment::value::Value::from(Dict::from([(key.clone(), inner)]))
        });
        match nested {
            figment::value::Value::Dict(_, dict) => Ok(Map::from([(Profile::Default, dict)])),
            _ => Ok(Map::new()),
        }
    }
}

/// The layer of the file.
struct FileLayer<'t>(&'t str);

impl Provider for FileLayer<'_> {
    fn metadata(&self) -> Metadata {
        Metadata::named("file")
    }

    fn data(&self) -> Result<Map<Profile, Dict>, Error> {
        Toml::string(self.0).data()
    }
}

/// Lays the layers over each other; each value keeps its place. `file` is the text, already parsed with its places.
pub(super) fn merge(
    text: &str,
    file: &BTreeMap<String, Node>,
    variables: &[Variable],
    flags: &Overrides,
    problems: &mut Problems,
) -> Option<BTreeMap<String, Node>> {
    let single = |layer: &str, path: &[&str], value: figment::value::Value| Single {
        layer: layer.into(),
        path: path.iter().map(|key| (*key).to_owned()).collect(),
        value,
    };
    let mut all = Figment::new()
        .merge(single("default", &["mode"], "dry-run".into()))
        .merge(single(
            "default",
            &["control", "listen"],
            super::LISTEN_DEFAULT.into(),
        ))
        .merge(FileLayer(text));
    for variable in variables {
        all = all.merge(Single {
            layer: format!("environment {}", variable.name),
            path: variable.path.clone(),
            value: value_of(variable),
        });
    }
    if let Some(dir) = &flags.state_dir {
        all = all.merge(single("flag --state-dir", &["state_dir"], dir.as_str().into()));
    }
    if let Some(listen) = &flags.listen {
        all = all.merge(single(
            "flag --listen",
            &["control", "listen"],
            listen.as_str().into(),
        ));
    }
    match all.data() {
        Ok(mut profiles) => {
            let dict = profiles.remove(&Profile::Default).unwrap_or_default();
            Some(nodes(&dict, Some(file), &all))
        }
        Err(_) => {
            let message = "the layers of the configuration could not be merged".to_owned();
            problems.error(&Place::Default, "layers", message, None);
            None
        }
    }
}

/// The text of a variable; never parsed, but for the one setting that is a list.
fn value_of(variable: &Variable) -> figment::value::Value {
    if variable.path.last().is_some_and(|key| key == "policies") {
        let list: Vec<String> = match variable.text.parse::<toml_edit::Value>() {
            Ok(toml_edit::Value::Array(all)) => all
                .iter()
                .map(|each| each.as_str().map_or_else(|| each.to_string(), str::to_owned))
                .collect(),
            _ => vec![variable.text.clone()],
        };
        return figment::value::Value::from(list);
    }
    figment::value::Value::from(variable.text.as_str())
}

fn nodes(dict: &Dict, file: Option<&BTreeMap<String, Node>>, all: &Figment) -> BTreeMap<String, Node> {
    dict.iter()
        .map(|(key, value)| {
            let written = file.and_then(|table| table.get(key));
            (key.clone(), node(value, written, all))
        })
        .collect()
}

fn node(value: &figment::value::Value, written: Option<&Node>, all: &Figment) -> Node {
    use figment::value::Value as Merged;
    let place = place(value.tag(), all);
    let inner = |node: &Node| match &node.value {
        Value::Table(table) => Some(table.clone()),
        _ => None,
    };
    if let Merged::Dict(_, dict) = value {
        let table = nodes(dict, written.and_then(inner).as_ref(), all);
        let own = written.map(|node| (node.place.clone(), node.key.clone()));
        let first = table.values().next().map(|child| child.place.clone());
        let (place, key) = own.unwrap_or_else(|| {
            let place = first.unwrap_or(place);
            (place.clone(), place)
        });
        return Node {
            place,
            key,
            value: Value::Table(table),
        };
    }
    if let (Layer::File, Some(written)) = (layer(value.tag(), all), written) {
        return written.clone();
    }
    let value = match value {
        Merged::String(_, text) => Value::Text(text.clone()),
        Merged::Array(_, list) => Value::List(list.iter().map(|each| node(each, None, all)).collect()),
        Merged::Bool(_, value) => Value::Bool(*value),
        Merged::Num(_, number) => match number.to_i128().and_then(|n| i64::try_from(n).ok()) {
            Some(whole) => Value::Whole(whole),
            None => Value::Float(String::new()),
        },
        Merged::Char(_, value) => Value::Text(value.to_string()),
        Merged::Empty(..) | Merged::Dict(..) => Value::Text(String::new()),
    };
    Node {
        key: place.clone(),
        place,
        value,
    }
}

/// The layer that a value came from.
enum Layer {
    Default,
    File,
    Environment(String),
    Flag(&'static str),
}

fn layer(tag: Tag, all: &Figment) -> Layer {
    let name = all
        .get_metadata(tag)
        .map_or("", |metadata| metadata.name.as_ref());
    match (name, name.strip_prefix("environment ")) {
        (_, Some(variable)) => Layer::Environment(variable.to_owned()),
        ("flag --state-dir", _) => Layer::Flag("--state-dir"),
        ("flag --listen", _) => Layer::Flag("--listen"),
        ("file", _) => Layer::File,
        _ => Layer::Default,
    }
}

fn place(tag: Tag, all: &Figment) -> Place {
    match layer(tag, all) {
        Layer::Environment(name) => Place::Environment(name),
        Layer::Flag(name) => Place::Flag(name),
        Layer::File | Layer::Default => Place::Default,
    }
}

/// The variables that hold the secret `kind` of accounts, by the label that they spell.
pub(super) fn secret_variables(environment: &BTreeMap<String, String>) -> Vec<(String, String)> {
    environment
        .keys()
        .filter_map(|name| {
            let rest = name.strip_prefix(PREFIX)?.strip_prefix("ACCOUNT__")?;
            let (label, key) = rest.split_once("__")?;
            let secret = is_secret_key(key) && (key == "API_KEY" || key == "API_SECRET");
            secret.then(|| (label.to_lowercase(), name.clone()))
        })
        .collect()
}

/// The variable that holds the secret `kind` of a table: `API_KEY` of the account `main`.
pub(super) fn secret_variable(table: &str, label: &str, kind: &str) -> String {
    format!(
        "{PREFIX}{}__{}__{kind}",
        table.to_uppercase(),
        label.to_uppercase().replace('-', "_")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_with_two_underscores_are_settings_and_secrets_never_are() {
        let environment: BTreeMap<String, String> = [
            "BACKSTOP_CONFIG",
            "BACKSTOP_LOG",
            "BACKSTOP_ACCOUNT__MAIN__REST_URL",
            "BACKSTOP_ACCOUNT__MY_BOT__VENUE",
            "BACKSTOP_ACCOUNT__MAIN__API_KEY",
            "BACKSTOP_ACCOUNT__MAIN__API_SECRET",
            "BACKSTOP_ACCOUNT__MAIN__TIMING__KEEPALIVE",
            "BACKSTOP_ALERTS__ON_CALL__MIN_SEVERITY",
            "BACKSTOP_ALERTS__ON_CALL__BOT_TOKEN",
            "BACKSTOP_ALERTS__ON_CALL__URL",
            "BACKSTOP_CONTROL__LISTEN",
            "HOME",
        ]
        .into_iter()
        .map(|name| (name.to_owned(), "007".to_owned()))
        .collect();
        let paths: Vec<String> = variables(&environment, &["my-bot".into()], &["on-call".into()])
            .into_iter()
            .map(|variable| variable.path.join("."))
            .collect();
        assert_eq!(
            paths,
            [
                "account.main.rest_url",
                "account.main.timing.keepalive",
                "account.my-bot.venue",
                "alerts.on-call.min_severity",
                "control.listen"
            ]
        );
    }
}
