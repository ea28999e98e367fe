//! The component's variables. Spin's names are core's keys in lower case.

use std::collections::BTreeMap;

use causeway_core::config::{KEYS, Source};
use futures_util::future::join_all;
use spin_sdk::variables::{self, Error};
use zeroize::Zeroizing;

/// The values, by core's keys. They are kept to be compared with what is read later.
#[derive(PartialEq)]
pub(crate) struct Variables {
    values: BTreeMap<&'static str, Zeroizing<String>>,
    unreadable: Vec<&'static str>,
}

impl Variables {
    /// Reads every key that core knows. They are read at the same time, because each may come from a remote store.
    pub(crate) async fn read() -> Self {
        let (mut values, mut unreadable) = (BTreeMap::new(), Vec::new());
        let read = KEYS.map(async |key| (key, variables::get(key.to_ascii_lowercase()).await.map(Zeroizing::new)));
        for (key, read) in join_all(read).await {
            match read {
                Ok(value) => {
                    values.insert(key, value);
                }
                Err(Error::Undefined(_)) => {}
                Err(_) => unreadable.push(key),
            }
        }
        Self { values, unreadable }
    }

    /// The address of Redis.
    pub(crate) fn redis_url(&self) -> &str {
        self.values.get("REDIS_URL").map_or("", |url| url.trim())
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
