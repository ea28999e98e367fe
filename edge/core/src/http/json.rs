//! JSON read more strictly than serde's derived readers do.

use std::{collections::BTreeMap, fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, Visitor, value::MapAccessDeserializer},
};

/// A struct read from a JSON object only. A derived reader also accepts an array of the fields' values: undocumented
/// input that would work until a field is added.
#[derive(Debug)]
pub(crate) struct StrictObject<T>(pub(crate) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for StrictObject<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
            type Value = StrictObject<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<StrictObject<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(StrictObject)
            }
        }
        deserializer.deserialize_map(Fields(PhantomData))
    }
}

/// A JSON object whose names are unique. Elsewhere the last of two equal names would silently win.
pub(crate) struct UniqueMap<V>(pub(crate) BTreeMap<String, V>);

impl<'de, V: Deserialize<'de>> Deserialize<'de> for UniqueMap<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<V>(PhantomData<V>);
        impl<'de, V: Deserialize<'de>> Visitor<'de> for Entries<V> {
            type Value = UniqueMap<V>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object without repeated names")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<UniqueMap<V>, A::Error> {
                let mut values = BTreeMap::new();
                while let Some((name, value)) = map.next_entry()? {
                    if values.insert(name, value).is_some() {
                        // The error must not repeat the name: it may be a secret in the wrong place.
                        return Err(A::Error::custom("a name twice in an object"));
                    }
                }
                Ok(UniqueMap(values))
            }
        }
        deserializer.deserialize_map(Entries(PhantomData))
    }
}

/// Reads a field that may be absent but not `null`, for `deserialize_with` beside `default`: where a field restricts
/// something, `null` must not pass for "not restricted" (S134).
pub(crate) fn non_null<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Pair<'a> {
        name: &'a str,
        data: Box<RawValue>,
    }

    #[test]
    fn strict_object_accepts_objects_only_and_keeps_raw_values() {
        let read = |text| serde_json::from_str::<StrictObject<Pair<'_>>>(text);
        let StrictObject(pair) = read(r#"{"name":"a","data":{"b": 1.0}}"#).unwrap();
        assert_eq!((pair.name, pair.data.get()), ("a", r#"{"b": 1.0}"#));
        for text in [
            r#"["a",{"b":1}]"#,
            r#"{"name":"a","name":"a","data":1}"#,
            r#"{"name":"a","data":1,"more":1}"#,
            r#"{"name":"a"}"#,
            "null",
            "1",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
