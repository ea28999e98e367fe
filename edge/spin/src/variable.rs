//! The component's variables, read once an instance. Spin's names are core's keys in lower case.

use std::collections::BTreeMap;

use causeway_core::config::KEYS;
use spin_sdk::variables;

/// Values by core's keys.
pub(crate) struct Variables(BTreeMap<&'static str, String>);

impl Variables {
    /// Asks for every key that core knows. One that is not defined, or cannot be had, is not set; core says which.
    pub(crate) async fn read() -> Self {
        let mut values = BTreeMap::new();
        for key in KEYS {
            if let Ok(value) = variables::get(key.to_ascii_lowercase()).await {
                values.insert(key, value);
            }
        }
        Self(values)
    }

    pub(crate) fn get(&self, key: &str) -> Option<String> {
        self.0.get(key).cloned()
    }
}
