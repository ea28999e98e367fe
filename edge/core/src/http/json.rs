//! A JSON object that is read as a struct. A derived reader takes a list of the fields' values for one, too, and what nobody
//! documented would work until somebody adds a field.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor, value::MapAccessDeserializer},
};

/// What an object holds.
#[derive(Debug)]
pub(crate) struct Object<T>(pub(crate) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }
        deserializer.deserialize_map(Fields(PhantomData))
    }
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
    fn only_an_object_is_one_and_what_it_holds_stays_as_it_is() {
        let read = |text| serde_json::from_str::<Object<Pair<'_>>>(text);
        let Object(pair) = read(r#"{"name":"a","data":{"b": 1.0}}"#).unwrap();
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
