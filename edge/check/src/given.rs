//! The settings that are to be checked, as a source of the edge's configuration.

use std::collections::BTreeMap;

use causeway_core::config::{KEYS, Source};
use serde::Deserialize;
use toml::{Table, Value};

/// What standard input holds.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Input {
    /// The runtime that the settings are for.
    pub(crate) runtime: Runtime,
    /// Texts of wrangler.toml, or of parts of it: their `[vars]` and `[[ratelimits]]` count.
    #[serde(default)]
    manifests: Vec<Manifest>,
    /// Settings by name, in upper case. They replace those of the manifests.
    #[serde(default)]
    values: BTreeMap<String, String>,
    /// The environments of bridges that are to work with this edge.
    #[serde(default)]
    pub(crate) bridges: Vec<BTreeMap<String, String>>,
}

/// A runtime of the edge.
#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Runtime {
    Workers,
    Spin,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    file: String,
    text: String,
}

/// The settings of all inputs.
pub(crate) struct Given {
    values: BTreeMap<String, String>,
    /// Variables of a manifest that are no text.
    not_text: Vec<String>,
    /// `None`: the runtime counts in a store, and has every limiter.
    rate_limiters: Option<Vec<String>>,
}

impl TryFrom<Input> for Given {
    type Error = String;

    fn try_from(Input { runtime, manifests, values, .. }: Input) -> Result<Self, String> {
        let mut given = Self {
            values: BTreeMap::new(),
            not_text: Vec::new(),
            rate_limiters: matches!(runtime, Runtime::Workers).then(Vec::new),
        };
        for manifest in manifests {
            // The error's own text repeats the line.
            let table: Table =
                manifest.text.parse().map_err(|_| format!("{} is not TOML, or has a name twice", manifest.file))?;
            given.add_variables(&table);
            given.add_rate_limiters(&table);
        }
        given.not_text.retain(|name| !values.contains_key(name));
        given.values.extend(values);
        Ok(given)
    }
}

impl Given {
    fn add_variables(&mut self, manifest: &Table) {
        let Some(variables) = manifest.get("vars").and_then(Value::as_table) else { return };
        for (name, value) in variables {
            match value.as_str() {
                Some(text) => {
                    self.values.insert(name.clone(), text.to_owned());
                }
                None => self.not_text.push(name.clone()),
            }
        }
    }

    fn add_rate_limiters(&mut self, manifest: &Table) {
        let limiters = manifest.get("ratelimits").and_then(Value::as_array).into_iter().flatten();
        let names = limiters.filter_map(|limiter| limiter.get("name").and_then(Value::as_str)).map(str::to_owned);
        if let Some(known) = &mut self.rate_limiters {
            known.extend(names);
        }
    }
}

impl Source for Given {
    fn get(&self, key: &str) -> Option<String> {
        self.values.get(key).cloned()
    }

    fn names(&self) -> Vec<String> {
        self.values.keys().chain(&self.not_text).cloned().collect()
    }

    fn unreadable(&self) -> Vec<&'static str> {
        KEYS.into_iter().filter(|key| self.not_text.iter().any(|name| name == key)).collect()
    }

    fn has_rate_limiter(&self, name: &str) -> bool {
        self.rate_limiters.as_ref().is_none_or(|known| known.iter().any(|known| known == name))
    }
}
