//! The component's variables. Spin's names are core's keys in lower case.

use std::collections::BTreeMap;

use causeway_core::config::{KEYS, Source};
use spin_sdk::variables::{self, Error};
use zeroize::Zeroizing;

/// The values, by core's keys. They are kept to be compared with what is read later.
#[derive(PartialEq)]
pub(crate) struct Variables {
    values: BTreeMap<&'static str, Zeroizing<String>>,
    unreadable: Vec<&'static str>,
}

impl Variables {
    /// Reads every key that core knows.
    pub(crate) async fn read() -> Self {
        let (mut values, mut unreadable) = (BTreeMap::new(), Vec::new());
        for key in KEYS {
            match variables::get(key.to_ascii_lowercase()).await {
                Ok(value) => {
                    values.insert(key, Zeroizing::new(value));
                }
                Err(Error::Undefined(_)) => {}
                Err(_) => unreadable.push(key),
            }
        }
        Self { values, unreadable }
    }
}

impl Source for Variables {
    fn get(&self, key: &str) -> Option<String> {
        self.values.get(key).map(|value| value.to_string())
    }

    fn unreadable(&self) -> Vec<&'static str> {
        self.unreadable.clone()
    }
}
