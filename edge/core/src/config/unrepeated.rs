//! A JSON object in which no name may stand twice: elsewhere the last one would silently be what counts.

use std::{collections::BTreeMap, fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, Visitor},
};

/// Its values by name.
pub(super) struct Unrepeated<V>(pub(super) BTreeMap<String, V>);

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Unrepeated<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Once<V>(PhantomData<V>);
        impl<'de, V: Deserialize<'de>> Visitor<'de> for Once<V> {
            type Value = Unrepeated<V>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object without repeated names")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Unrepeated<V>, A::Error> {
                let mut values = BTreeMap::new();
                while let Some((name, value)) = map.next_entry()? {
                    if values.insert(name, value).is_some() {
                        // Never the name itself: it may be a secret in the wrong place.
                        return Err(A::Error::custom("a name twice in an object"));
                    }
                }
                Ok(Unrepeated(values))
            }
        }
        deserializer.deserialize_map(Once(PhantomData))
    }
}
